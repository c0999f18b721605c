export module shapes;
export import :square;

export int area(Square square);
