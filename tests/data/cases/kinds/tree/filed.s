.file "orig.c"
.ident "hand"
.globl q
q: ret
