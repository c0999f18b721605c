int deprecated_f(void) __attribute__((deprecated("no")));int df(void){return deprecated_f();}
