__asm__(".section .x,\"a\"\n.file \"n.c\"\n.previous");
int af;
