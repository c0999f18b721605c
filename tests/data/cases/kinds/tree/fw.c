#include <Fw/fw.h>
int h=FW;
