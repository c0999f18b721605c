#include <stdio.h>
#include <stdlib.h>
#include <string.h>
int cp(char*a,const char*b){char buf[8];strcpy(buf,b);memcpy(a,buf,8);return printf("%s",a);}
