#include "x.h"
@interface Foo
+ (id) z;
@end
int mm=MAC;
