import shapes;

int plain(int number);

int main()
{
    return plain(area(Square{3}) == 9 ? 0 : 1);
}
