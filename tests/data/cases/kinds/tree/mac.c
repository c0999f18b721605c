#define CAT(a,b) a##b
#define STR(x) #x
#define XSTR(x) STR(x)
int CAT(x,1)=__COUNTER__;const char*s=XSTR(CAT(a, b  c));const char*p=XSTR(__FILE__:__LINE__);int CAT(u,__COUNTER__);
