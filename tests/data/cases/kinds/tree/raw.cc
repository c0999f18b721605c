const char*r=R"x(
#include "x.h"
// no comment
#define A 1
)x";
auto u=u8"é";
int q=1'000;
