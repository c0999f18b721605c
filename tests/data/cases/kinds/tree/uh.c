#include <hdr.h>
int h=HDR;
