static const char*hf=__FILE__;int lv2=__INCLUDE_LEVEL__;int h(void){return hf[0];}
