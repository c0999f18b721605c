int ub(int a,int b,int*p){int c[4];return a/b+(a<<b)+p[a]+c[b&3]+*p;}
int over(int a){return a+100;}
