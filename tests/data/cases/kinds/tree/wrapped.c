int wr=WRAPPED;
