struct s{unsigned a:3;};int f(s x){return x.a;}
