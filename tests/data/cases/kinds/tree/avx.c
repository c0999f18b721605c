int nat(void){
#ifdef __AVX2__
return 2;
#else
return 1;
#endif
}
