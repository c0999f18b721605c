#line 40 "gram.y"
const char*l=__FILE__;int n=__LINE__;
int f(int*p){return *p;}
#line 7
int g(void){return __LINE__;}
