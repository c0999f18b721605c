int e1(void){return x;}
int e2(void){return y}
