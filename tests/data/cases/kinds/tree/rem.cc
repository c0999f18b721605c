static inline int twice_(int z) { return z + z; }
#include "rem.h"
template <class T> struct S { T v; T get() const { return thrice(v); } };
int f(int a) { S<int> s{a}; return s.get() + twice_(a); }
