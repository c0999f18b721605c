const char*t=__TIMESTAMP__;
