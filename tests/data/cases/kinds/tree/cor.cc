#include <coroutine>
int cor;
