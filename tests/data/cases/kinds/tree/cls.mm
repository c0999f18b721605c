@interface Foo { int a; }
- (int) bar;
@end
@implementation Foo
- (int) bar { return a+1; }
@end
class K{};const char*of=__FILE__;
