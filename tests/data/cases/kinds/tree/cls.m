@interface Foo { int a; }
- (int) bar;
@end
@implementation Foo
- (int) bar { return a+1; }
@end
const char*of=__FILE__;
