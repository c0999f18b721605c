int plain(int number)
{
    return number;
}
