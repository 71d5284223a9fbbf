/*
 * transpose [N [ITERATIONS]]: the transpose of an N by N matrix of doubles (default 256 20) that is laid over the ranks
 * by rows, to and fro. One MPI_Alltoall does it all: the send type takes the block of a rank out of the rows, and the
 * receive type lays it down in columns. N is rounded up to a multiple of the ranks. Rank 0 prints the bytes of the
 * matrix transposed in a second and a weighted sum of the result, which is exact.
 */
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>

static int element(int i, int j) { return (i * 31 + j * 17) % 1009; }

/* make_types makes the block of one rank, of b rows and columns in rows of n: by rows, and by columns. */
static void make_types(int n, int b, MPI_Datatype *rows, MPI_Datatype *columns) {
  MPI_Datatype block, column, next, all;
  MPI_Aint wide = (MPI_Aint)sizeof(double);
  MPI_Type_vector(b, b, n, MPI_DOUBLE, &block);
  MPI_Type_create_resized(block, 0, b * wide, rows);
  MPI_Type_vector(b, 1, n, MPI_DOUBLE, &column);
  MPI_Type_create_resized(column, 0, wide, &next);
  MPI_Type_contiguous(b, next, &all);
  MPI_Type_create_resized(all, 0, b * wide, columns);
  MPI_Type_commit(rows);
  MPI_Type_commit(columns);
  MPI_Type_free(&block);
  MPI_Type_free(&column);
  MPI_Type_free(&next);
  MPI_Type_free(&all);
}

int main(int argc, char **argv) {
  MPI_Init(&argc, &argv);
  int rank, size, n = argc > 1 ? atoi(argv[1]) : 256, iterations = argc > 2 ? atoi(argv[2]) : 20;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  if (n < 1 || iterations < 1) MPI_Abort(MPI_COMM_WORLD, 3);
  int b = (n + size - 1) / size, first = rank * b;
  n = b * size;
  double *from = malloc((size_t)b * (size_t)n * sizeof *from), *to = malloc((size_t)b * (size_t)n * sizeof *to);
  if (from == NULL || to == NULL) MPI_Abort(MPI_COMM_WORLD, 3);
  for (int i = 0; i < b; i++) {
    for (int j = 0; j < n; j++) from[i * n + j] = element(first + i, j);
  }
  MPI_Datatype rows, columns;
  make_types(n, b, &rows, &columns);

  iterations |= 1; /* the last leaves it transposed */
  MPI_Alltoall(from, 1, rows, to, 1, columns, MPI_COMM_WORLD); /* connections, caches */
  MPI_Barrier(MPI_COMM_WORLD);
  double start = MPI_Wtime();
  for (int i = 0; i < iterations; i++) {
    MPI_Alltoall(i % 2 ? to : from, 1, rows, i % 2 ? from : to, 1, columns, MPI_COMM_WORLD);
  }
  double mine = MPI_Wtime() - start, seconds = 0.0, sum = 0.0, total = 0.0;
  for (int i = 0; i < b; i++) {
    for (int j = 0; j < n; j++) {
      double v = to[i * n + j];
      if (v != element(j, first + i)) MPI_Abort(MPI_COMM_WORLD, 4);
      sum += v * ((first + i + 7 * j) % 101);
    }
  }
  MPI_Reduce(&mine, &seconds, 1, MPI_DOUBLE, MPI_MAX, 0, MPI_COMM_WORLD);
  MPI_Reduce(&sum, &total, 1, MPI_DOUBLE, MPI_SUM, 0, MPI_COMM_WORLD);
  if (rank == 0) {
    printf("transpose %d %.4g GB/s\n", n, (double)n * n * sizeof(double) * iterations / seconds / 1e9);
    printf("transpose %d %.15g checksum\n", n, total);
  }
  MPI_Type_free(&rows);
  MPI_Type_free(&columns);
  free(from);
  free(to);
  MPI_Finalize();
  return 0;
}
