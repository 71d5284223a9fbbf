/* exit [CODE [RANK]]: rank RANK (default 0) exits with CODE (default 1) after MPI_Finalize, others with 0. */
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv) {
  MPI_Init(&argc, &argv);
  int rank;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  int code = argc > 1 ? atoi(argv[1]) : 1, who = argc > 2 ? atoi(argv[2]) : 0;
  MPI_Barrier(MPI_COMM_WORLD);
  MPI_Finalize();
  if (rank != who) return 0;
  printf("rank %d exits with %d\n", rank, code);
  exit(code);
}
