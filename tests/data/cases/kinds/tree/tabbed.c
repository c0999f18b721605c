#include "x.h"
static int twice(int z)
{
	return 2 * z;
}
int sum(const int *p, int n)
{
	int s = 0;
	for (int i = 0; i < n; i++)
		s += twice(p[i]);
	return s + MAC;
}
	void fill(float *a, const float *b, int n) {
	for (int i = 0; i < n; i++) a[i] = b[i] *	2;
}
