/*
 * pi [INTERVALS [ROUNDS]]: the integral of 4/(1+x*x) over 0..1 by the midpoint rule with INTERVALS
 * steps (default 1000000), dealt out to the ranks round robin, ROUNDS times (default 1). The sum is
 * taken in rank order, so that it has the same bits on every placement.
 */
#include <math.h>
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static double partial(long intervals, int rank, int size) {
  double h = 1.0 / (double)intervals, sum = 0.0;
  for (long i = rank; i < intervals; i += size) {
    double x = h * ((double)i + 0.5);
    sum += 4.0 / (1.0 + x * x);
  }
  return h * sum;
}

int main(int argc, char **argv) {
  MPI_Init(&argc, &argv);
  int rank, size;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  long intervals = argc > 1 ? strtol(argv[1], NULL, 10) : 1000000;
  long rounds = argc > 2 ? strtol(argv[2], NULL, 10) : 1;

  double *parts = calloc((size_t)size, sizeof *parts);
  for (long round = 1; round <= rounds; round++) {
    MPI_Bcast(&intervals, 1, MPI_LONG, 0, MPI_COMM_WORLD);
    double mine = partial(intervals, rank, size);
    MPI_Gather(&mine, 1, MPI_DOUBLE, parts, 1, MPI_DOUBLE, 0, MPI_COMM_WORLD);
    if (rank == 0) {
      double pi = 0.0;
      for (int i = 0; i < size; i++) pi += parts[i];
      unsigned long long bits;
      memcpy(&bits, &pi, sizeof bits);
      printf("round %ld: pi is about %.15f (bits %016llx), error %.1e\n", round, pi, bits,
             fabs(pi - M_PI));
      fflush(stdout);
    }
  }
  free(parts);
  MPI_Finalize();
  return 0;
}
