/* Loops that programs spend their time in, one rank and no messages: and a checksum of what they have done. Each round calls a function that the
   compiler does not see through, as a program calls MPI. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef __wasm__
#include <godwit.h>
#define ROUND() godwit_migration_point()
#else
#define ROUND() __asm__ volatile("" ::: "memory")
#endif

static double *numbers(size_t n, int seed) {
  double *x = malloc(n * sizeof *x);
  for (size_t i = 0; i < n; i++) x[i] = (double)((i * 7919 + (size_t)seed * 104729) % 1009) / 1009.0;
  return x;
}

static double sum(const double *x, size_t n) {
  double s = 0;
  for (size_t i = 0; i < n; i++) s += x[i] * (double)(1 + i % 7);
  return s;
}

/* A five-point stencil: the mean of each point and its neighbours. */
static double stencil(int rounds) {
  enum { N = 512 };
  double *from = numbers(N * N, 1), *to = numbers(N * N, 1);
  for (int r = 0; r < rounds; r++) {
    for (int i = 1; i < N - 1; i++)
      for (int j = 1; j < N - 1; j++) {
        const double *p = from + i * N + j;
        to[i * N + j] = 0.2 * (p[0] + p[-1] + p[1] + p[-N] + p[N]);
      }
    double *last = from;
    from = to;
    to = last;
    ROUND();
  }
  double s = sum(from, N * N);
  free(from);
  free(to);
  return s;
}

/* A matrix, turned. */
static double transpose(int rounds) {
  enum { N = 512 };
  double *from = numbers(N * N, 2), *to = malloc(N * N * sizeof *to);
  for (int r = 0; r < rounds; r++) {
    for (int i = 0; i < N; i++)
      for (int j = 0; j < N; j++) to[j * N + i] = from[i * N + j];
    double *last = from;
    from = to;
    to = last;
    ROUND();
  }
  double s = sum(from, N * N);
  free(from);
  free(to);
  return s;
}

/* A sparse matrix of 27 entries a row times a vector. */
static double spmv(int rounds) {
  enum { N = 20000, PER_ROW = 27 };
  int *column = malloc(N * PER_ROW * sizeof *column);
  double *value = numbers(N * PER_ROW, 3), *x = numbers(N, 4), *y = malloc(N * sizeof *y);
  for (int i = 0; i < N; i++)
    for (int k = 0; k < PER_ROW; k++) column[i * PER_ROW + k] = (i + (k / 9 - 1) * 140 + k % 9 + N) % N;
  for (int r = 0; r < rounds; r++) {
    for (int i = 0; i < N; i++) {
      double s = 0;
      for (int k = i * PER_ROW; k < (i + 1) * PER_ROW; k++) s += value[k] * x[column[k]];
      y[i] = s / 14.0;
    }
    double *last = x;
    x = y;
    y = last;
    ROUND();
  }
  double s = sum(x, N);
  free(column);
  free(value);
  free(x);
  free(y);
  return s;
}

/* A dense product, in blocks. */
static double dgemm(int rounds) {
  enum { N = 256, BLOCK = 64 };
  double *a = numbers(N * N, 5), *b = numbers(N * N, 6), *c = calloc(N * N, sizeof *c);
  for (int r = 0; r < rounds; r++) {
    for (int kk = 0; kk < N; kk += BLOCK)
      for (int i = 0; i < N; i++)
        for (int k = kk; k < kk + BLOCK; k++) {
          double v = a[i * N + k];
          for (int j = 0; j < N; j++) c[i * N + j] += v * b[k * N + j];
        }
    ROUND();
  }
  double s = sum(c, N * N);
  free(a);
  free(b);
  free(c);
  return s;
}

/* What an element of a hydrodynamics code does: gather by an index, arithmetic, scatter. */
static double elements(int rounds) {
  enum { N = 30, NODES = (N + 1) * (N + 1) * (N + 1) };
  double *x = numbers(NODES, 7), *v = numbers(NODES, 8), *f = calloc(NODES, sizeof *f);
  static const int corner[8] = {0, 1, N + 1, N + 2, (N + 1) * (N + 1), (N + 1) * (N + 1) + 1, (N + 1) * (N + 2), (N + 1) * (N + 2) + 1};
  for (int r = 0; r < rounds; r++) {
    for (int e = 0; e < N * N * N; e++) {
      int at = e / (N * N) * (N + 1) * (N + 1) + e / N % N * (N + 1) + e % N;
      double a[8], mean = 0, spread = 0;
      for (int k = 0; k < 8; k++) mean += a[k] = x[at + corner[k]];
      mean /= 8;
      for (int k = 0; k < 8; k++) spread += (a[k] - mean) * (a[k] - mean);
      double q = spread / (1.0 + mean * mean);
      for (int k = 0; k < 8; k++) f[at + corner[k]] += q * (a[k] - mean);
    }
    for (int i = 0; i < NODES; i++) {
      v[i] = 0.99 * v[i] - 0.001 * f[i];
      x[i] += 0.01 * v[i];
      f[i] = 0;
    }
    ROUND();
  }
  double s = sum(x, NODES);
  free(x);
  free(v);
  free(f);
  return s;
}

/* A symmetric Gauss-Seidel sweep over the neighbours of a grid in three dimensions: each point waits for the one before. */
static double sweep(int rounds) {
  enum { N = 32, AREA = N * N };
  double *x = numbers(N * AREA, 9), *b = numbers(N * AREA, 10);
  for (int r = 0; r < rounds; r++) {
    for (int d = 0; d < 2; d++)
      for (int n = AREA + N + 1; n < (N - 1) * AREA - N - 1; n++) {
        int i = d ? N * AREA - n : n;
        x[i] = (b[i] + x[i - 1] + x[i + 1] + x[i - N] + x[i + N] + x[i - AREA] + x[i + AREA]) / 6.5;
      }
    ROUND();
  }
  double s = sum(x, N * AREA);
  free(x);
  free(b);
  return s;
}

/* Integers and branches: a sieve, and a hash of what it finds. */
static double sieve(int rounds) {
  enum { N = 1 << 19 };
  unsigned char *composite = malloc(N);
  unsigned hash = 0;
  for (int r = 0; r < rounds; r++) {
    memset(composite, 0, N);
    for (int i = 2; i * i < N; i++)
      if (!composite[i])
        for (int k = i * i; k < N; k += i) composite[k] = 1;
    for (int i = 2; i < N; i++)
      if (!composite[i]) hash = (hash ^ (unsigned)i) * 16777619u;
    ROUND();
  }
  free(composite);
  return hash;
}

static const struct kernel {
  const char *name;
  double (*run)(int rounds);
  int rounds;
} kernels[] = {{"stencil", stencil, 1500}, {"transpose", transpose, 200}, {"spmv", spmv, 600}, {"dgemm", dgemm, 100}, {"elements", elements, 600}, {"sweep", sweep, 500}, {"sieve", sieve, 150}};

/* kernels NAME PART: runs one of them, PART of its rounds, and prints the checksum. */
int main(int argc, char **argv) {
  for (size_t i = 0; i < sizeof kernels / sizeof *kernels; i++)
    if (argc == 3 && !strcmp(argv[1], kernels[i].name)) return printf("%.12g\n", kernels[i].run((int)(kernels[i].rounds * atof(argv[2])) + 1)) < 0;
  return 2;
}
