int main(void){char b[4];extern void g(char*);g(b);return b[0];}
