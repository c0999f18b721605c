#pragma message "hello"
#warning careful
int msg;
#pragma GCC warning "gw"
