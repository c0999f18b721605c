#pragma GCC visibility push(hidden)
int hid(void){return 1;}
#pragma GCC visibility pop
#pragma GCC push_options
#pragma GCC optimize ("O3","unroll-loops")
int lp(int*a){int s=0;for(int i=0;i<100;i++)s+=a[i];return s;}
#pragma GCC pop_options
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-variable"
int dg(void){int un=1;return 2;}
#pragma GCC diagnostic pop
#pragma GCC poison evil
#pragma GCC ivdep
#pragma STDC FP_CONTRACT ON
#pragma omp parallel
#pragma unknown thing
