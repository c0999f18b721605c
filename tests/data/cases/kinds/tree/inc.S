#include "x.h"
.globl q
q: mov $MAC,%eax
ret
