/* pingpong [ROUNDS]: ranks 0 and 1 send 8 bytes to and fro ROUNDS times (default 10000); rank 0 prints the time a message took. */
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv) {
  MPI_Init(&argc, &argv);
  int rank, rounds = argc > 1 ? atoi(argv[1]) : 10000;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  double payload = 0.5;
  MPI_Barrier(MPI_COMM_WORLD);
  double start = MPI_Wtime();
  for (int i = 0; i < rounds && rank < 2; i++) {
    if (rank == 0) {
      MPI_Send(&payload, 1, MPI_DOUBLE, 1, 0, MPI_COMM_WORLD);
      MPI_Recv(&payload, 1, MPI_DOUBLE, 1, 0, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    } else {
      MPI_Recv(&payload, 1, MPI_DOUBLE, 0, 0, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
      MPI_Send(&payload, 1, MPI_DOUBLE, 0, 0, MPI_COMM_WORLD);
    }
  }
  if (rank == 0) printf("%.3f us a message\n", (MPI_Wtime() - start) / (2.0 * rounds) * 1e6);
  MPI_Finalize();
  return 0;
}
