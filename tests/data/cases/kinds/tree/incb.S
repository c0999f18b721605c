#define INC .incbin
INC "data.bin"
