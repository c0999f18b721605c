// No module, but CMake scans it and gives it a (then empty) module map all the same.
#include <vector>

int plain(int number)
{
    return std::vector<int>{number}[0];
}
