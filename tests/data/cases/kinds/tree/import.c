#import "x.h"
#import "x.h"
int im=MAC;
