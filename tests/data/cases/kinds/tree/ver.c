int vv(void){return __VERSION__[0];} const char*v=__VERSION__; int o=__OPTIMIZE__;
