#include <stdio.h>
int main(int c,char**v){if(c>1)puts(v[1]);return 0;}
