__asm__(".symver a1,a@V1");
int a1(void){return 1;}
void as(void){__asm__ volatile("nop\n\t# %0" :: "r"(1));}
register void *sp __asm__("rsp");
