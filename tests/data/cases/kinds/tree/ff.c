int ff;
int vt;
int nb = 1;
