int crlf;
int two(void)
{
  return __LINE__;
}
