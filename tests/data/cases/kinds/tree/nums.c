int z[] = {
#include "nums.inc"
};
