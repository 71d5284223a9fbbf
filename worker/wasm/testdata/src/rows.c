// Rows that are scaled by a number of their own, which compilers turn into vectors: exit code 0 if the results are right, else the number of
// the first that is not. The functions are not inlined, so that nothing is reckoned at compile time.
#define KEPT __attribute__((noinline))

KEPT static void subtract_ints(int *d, int n) { int first = d[0]; for (int i = 0; i < n; i++) d[i] -= first; }
KEPT static void subtract_bytes(signed char *d) { signed char first = d[0]; for (int i = 0; i < 32; i++) d[i] = (signed char)(d[i] - first); }
KEPT static void subtract_floats(float *d) { float first = d[0]; for (int i = 0; i < 8; i++) d[i] -= first; }
KEPT static void divide_by_pivot(double *d) { double pivot = d[1]; for (int i = 0; i < 4; i++) d[i] /= pivot; }
KEPT static void scale_by_old(double *a, double *restrict b, int n) {
  double old = a[0];
  a[0] = 7;
  for (int i = 0; i < n; i++) b[i] *= old;
}

int main(void) {
  int n[40];
  signed char c[32];
  float f[8];
  double d[8], e[8];
  for (int i = 0; i < 40; i++) n[i] = 1000 + i;
  for (int i = 0; i < 32; i++) c[i] = (signed char)(40 + i);
  for (int i = 0; i < 8; i++) f[i] = 100 + i, d[i] = 2 + 2 * i, e[i] = i;
  subtract_ints(n, 40);
  subtract_bytes(c);
  subtract_floats(f);
  divide_by_pivot(d);
  for (int i = 0; i < 40; i++) if (n[i] != i) return 1;
  for (int i = 0; i < 32; i++) if (c[i] != i) return 2;
  for (int i = 0; i < 8; i++) if (f[i] != i) return 3;
  for (int i = 0; i < 4; i++) if (d[i] != (2 + 2 * i) / 4.0) return 4;
  d[0] = 3;
  scale_by_old(d, e, 8);
  for (int i = 0; i < 8; i++) if (e[i] != 3 * i) return 5;
  return d[0] == 7 ? 0 : 6;
}
