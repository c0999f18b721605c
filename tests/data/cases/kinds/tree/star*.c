const char*f=__FILE__;
