#pragma GCC dependency "x.h" older
int dep;
