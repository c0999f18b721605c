#ident "my ident"
int id;
