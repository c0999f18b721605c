#define HDR 9
