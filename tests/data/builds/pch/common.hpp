#pragma once
#include <map>
#include <string>
#include <vector>

#define TWICE(x) ((x) + (x))

inline std::string join(const std::vector<std::string> &words)
{
    std::string joined;
    for (const auto &word : words)
        joined += word;
    return joined;
}
