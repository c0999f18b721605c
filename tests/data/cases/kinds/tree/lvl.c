int s=__INCLUDE_LEVEL__;const char*b=__BASE_FILE__;
#include "sub/lv.h"
