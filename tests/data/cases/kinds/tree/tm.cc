template<class T> struct W{T t;W(T a):t(a){} T f(){return t;}};
int w(){W<int> x(3);return x.f();}
#include <string>
std::string s(){return __PRETTY_FUNCTION__;}
auto l=[](int a){return a+1;};int la(){return l(2);}
namespace{int anon(){static int k;return ++k;}}int an(){return anon();}
