int asmsrc;
