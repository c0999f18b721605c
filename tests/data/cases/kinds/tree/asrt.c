#include <assert.h>
void as(int a){assert(a>1);}
