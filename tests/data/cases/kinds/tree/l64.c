_Static_assert(sizeof(long)==8,"64");int l64;
