/*
 * hungry MIB [STEPS]: every rank takes MIB MiB of memory, piece by piece, and writes to all of it. It prints how much it has got when there is no more,
 * or MIB, and then goes through STEPS steps (default 0) of 50 ms.
 */
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

int main(int argc, char **argv) {
  MPI_Init(&argc, &argv);
  int rank, want = argc > 1 ? atoi(argv[1]) : 1, steps = argc > 2 ? atoi(argv[2]) : 0, got = 0;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  for (char *volatile piece; got < want && (piece = malloc(1 << 20)) != NULL; got++) memset(piece, rank + 1, 1 << 20); /* volatile: it is not left out */
  printf("rank %d has %d MiB%s\n", rank, got, got < want ? ", and there is no more" : "");
  fflush(stdout);
  struct timespec pause = {0, 50000000};
  for (int step = 0; step < steps; step++) {
    nanosleep(&pause, NULL);
    MPI_Barrier(MPI_COMM_WORLD);
  }
  MPI_Finalize();
  return 0;
}
