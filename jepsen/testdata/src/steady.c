/*
 * steady [STEPS [MS]]: every rank goes through STEPS steps (default 20): it sleeps MS milliseconds (default 50),
 * passes its number round the ring, mixes a checksum of all, and prints it. Long in time and light on the
 * processor, with the same output on any placement: what a test needs while it breaks things around it.
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
  unsigned value = 2654435761u * (unsigned)(rank + 1);
  for (int step = 0; step < steps; step++) {
    nanosleep(&pause, NULL);
    unsigned in = 0, sum = 0;
    MPI_Sendrecv(&value, 1, MPI_UNSIGNED, (rank + 1) % size, step, &in, 1, MPI_UNSIGNED,
                 (rank + size - 1) % size, step, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    value = value * 1664525u + in + (unsigned)step;
    MPI_Allreduce(&value, &sum, 1, MPI_UNSIGNED, MPI_SUM, MPI_COMM_WORLD);
    printf("step %d: %08x of %08x\n", step, value, sum);
    fflush(stdout);
  }
  printf("rank %d of %d ends with %08x\n", rank, size, value);
  MPI_Finalize();
  return 0;
}
