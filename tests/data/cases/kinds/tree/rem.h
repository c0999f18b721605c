static inline int thrice(int z) { return twice_(z) + z; }
