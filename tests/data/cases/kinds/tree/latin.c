const char*s="été";
/* ÿ */
