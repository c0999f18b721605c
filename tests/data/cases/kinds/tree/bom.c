int bom;
