/*
 * spmv [N [ITERATIONS]]: x = A x, with a sparse N by N matrix (default 4096 20) in compressed rows, of 27 diagonals: three
 * bunches of nine, as a 27-point stencil has. The ranks own blocks of rows; every iteration the whole vector is gathered
 * by MPI_Allgatherv. Rows add up to 1, so x stays as large as it is. Rank 0 prints the floating-point operations in a
 * second and a weighted sum of x.
 */
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>

enum { BUNCHES = 3, WIDTH = 9, APART = 300, ENTRIES = BUNCHES * WIDTH };

struct matrix {
  int n, first, rows;
  int *start, *column; /* row i's entries are start[i] to start[i+1] */
  double *value;
};

static void *allocate(size_t count, size_t each) {
  void *p = calloc(count + 1, each);
  if (p == NULL) MPI_Abort(MPI_COMM_WORLD, 3);
  return p;
}

static struct matrix make_matrix(int n, int first, int rows) {
  struct matrix a = {n, first, rows, NULL, NULL, NULL};
  a.start = allocate((size_t)rows + 1, sizeof *a.start);
  a.column = allocate((size_t)rows * ENTRIES, sizeof *a.column);
  a.value = allocate((size_t)rows * ENTRIES, sizeof *a.value);
  int k = 0;
  for (int i = 0; i < rows; i++) {
    double sum = 0.0;
    for (int e = 0; e < ENTRIES; e++) {
      int j = first + i + (e / WIDTH - BUNCHES / 2) * APART + e % WIDTH - WIDTH / 2;
      if (j < 0 || j >= n) continue;
      a.column[k] = j;
      a.value[k] = 1 + ((first + i) * 13 + j * 7) % 11;
      sum += a.value[k++];
    }
    for (int e = a.start[i]; e < k; e++) a.value[e] /= sum;
    a.start[i + 1] = k;
  }
  return a;
}

static void multiply(const struct matrix *a, const double *restrict x, double *restrict y) {
  for (int i = 0; i < a->rows; i++) {
    double sum = 0.0;
    for (int k = a->start[i]; k < a->start[i + 1]; k++) sum += a->value[k] * x[a->column[k]];
    y[i] = sum;
  }
}

/* iterate returns the seconds of this rank. */
static double iterate(const struct matrix *a, double *x, double *y, const int *counts, const int *firsts, int iterations) {
  MPI_Barrier(MPI_COMM_WORLD);
  double start = MPI_Wtime();
  for (int i = 0; i < iterations; i++) {
    multiply(a, x, y);
    MPI_Allgatherv(y, a->rows, MPI_DOUBLE, x, counts, firsts, MPI_DOUBLE, MPI_COMM_WORLD);
  }
  return MPI_Wtime() - start;
}

int main(int argc, char **argv) {
  MPI_Init(&argc, &argv);
  int rank, size, n = argc > 1 ? atoi(argv[1]) : 4096, iterations = argc > 2 ? atoi(argv[2]) : 20;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  if (n < size || iterations < 1) MPI_Abort(MPI_COMM_WORLD, 3);
  int *counts = allocate((size_t)size, sizeof *counts), *firsts = allocate((size_t)size, sizeof *firsts);
  for (int r = 0; r < size; r++) {
    firsts[r] = (int)((long long)n * r / size);
    counts[r] = (int)((long long)n * (r + 1) / size) - firsts[r];
  }
  struct matrix a = make_matrix(n, firsts[rank], counts[rank]);
  double *x = allocate((size_t)n, sizeof *x), *y = allocate((size_t)a.rows, sizeof *y);
  for (int i = 0; i < n; i++) x[i] = 1.0 + i % 17 / 16.0;

  iterate(&a, x, y, counts, firsts, iterations / 10 + 1); /* connections, caches */
  double mine = iterate(&a, x, y, counts, firsts, iterations), seconds = 0.0, sum = 0.0;
  double entries = a.start[a.rows], all = 0.0;
  MPI_Reduce(&mine, &seconds, 1, MPI_DOUBLE, MPI_MAX, 0, MPI_COMM_WORLD);
  MPI_Reduce(&entries, &all, 1, MPI_DOUBLE, MPI_SUM, 0, MPI_COMM_WORLD);
  for (int i = 0; i < n; i++) sum += x[i] * (1 + i % 5);
  if (rank == 0) {
    printf("spmv %d %.4g Mflop/s\n", n, 2.0 * all * iterations / seconds / 1e6);
    printf("spmv %d %.15g checksum\n", n, sum);
  }
  free(counts);
  free(firsts);
  free(a.start);
  free(a.column);
  free(a.value);
  free(x);
  free(y);
  MPI_Finalize();
  return 0;
}
