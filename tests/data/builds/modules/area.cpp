module shapes;

int area(Square square)
{
    return square.side * square.side;
}
