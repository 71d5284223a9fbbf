/*
 * leaves [STEPS [MS]]: rank 0 prints ten lines and ends; the others pass their numbers round a ring of their own, STEPS times (default 20), every MS milliseconds (default
 * 50), and print each. The output is the same on any placement.
 */
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

int main(int argc, char **argv) {
  MPI_Init(&argc, &argv);
  int rank, size;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  int steps = argc > 1 ? atoi(argv[1]) : 20, ms = argc > 2 ? atoi(argv[2]) : 50;
  struct timespec pause = {ms / 1000, (long)(ms % 1000) * 1000000};
  MPI_Comm others;
  MPI_Comm_split(MPI_COMM_WORLD, rank == 0, rank, &others);
  if (rank == 0) {
    for (int i = 0; i < 10; i++) printf("line %d\n", i);
    MPI_Finalize();
    return 0;
  }
  int me, n;
  MPI_Comm_rank(others, &me);
  MPI_Comm_size(others, &n);
  unsigned value = 2654435761u * (unsigned)(rank + 1);
  for (int step = 0; step < steps; step++) {
    nanosleep(&pause, NULL);
    unsigned in = 0;
    MPI_Sendrecv(&value, 1, MPI_UNSIGNED, (me + 1) % n, step, &in, 1, MPI_UNSIGNED, (me + n - 1) % n, step, others, MPI_STATUS_IGNORE);
    value = value * 1664525u + in + (unsigned)step;
    printf("step %d: %08x\n", step, value);
    fflush(stdout);
  }
  MPI_Finalize();
  return 0;
}
