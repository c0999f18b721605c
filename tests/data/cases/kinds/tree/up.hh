int up(void){return 1;}
