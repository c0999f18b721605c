#include "sp.h"
int sp=SPACED;
const char*f=__FILE__;
