#define FW 3
