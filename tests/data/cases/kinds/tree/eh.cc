extern "C" int printf(const char*,...);
struct E{~E();};int thr(){E e;try{throw 1;}catch(int i){return i;}return 0;}
inline int inl(){static int z;return ++z;}
int ui(){return inl();}
thread_local int tl=ui();
