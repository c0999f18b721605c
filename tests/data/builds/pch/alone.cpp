#include <string>

std::string alone()
{
    return "no precompiled header here";
}
