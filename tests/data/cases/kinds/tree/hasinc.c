#if __has_include("x.h")
#include "x.h"
#endif
#include_next <limits.h>
int hi=MAC;
