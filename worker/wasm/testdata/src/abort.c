/* abort [CODE [RANK]]: rank RANK (default 0) calls MPI_Abort with CODE (default 5), the others wait for ever. */
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv) {
  MPI_Init(&argc, &argv);
  int rank;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  printf("rank %d is up\n", rank);
  fflush(stdout);
  if (rank == (argc > 2 ? atoi(argv[2]) : 0)) MPI_Abort(MPI_COMM_WORLD, argc > 1 ? atoi(argv[1]) : 5);
  MPI_Barrier(MPI_COMM_WORLD);
  MPI_Barrier(MPI_COMM_WORLD);
  MPI_Finalize();
  return 0;
}
