#include "miss_gen.h"
int g;
