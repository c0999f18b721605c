//! What CMake projects include to compile through the launcher.
