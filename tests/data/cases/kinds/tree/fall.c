int t(int a){switch(a){case 1:a++;case 2:a++;}return a;}
