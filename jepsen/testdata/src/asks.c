/* Rank 0 asks for numbers, on a line that has not ended and without fflush, and says what they are together, until it hears 0. */
#include <mpi.h>
#include <stdio.h>

int main(int argc, char **argv) {
  int rank, n, sum = 0;
  MPI_Init(&argc, &argv);
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  do {
    if (rank == 0) {
      printf("number? ");
      if (scanf("%d", &n) != 1) n = 0;
      printf("so far %d\n", sum += n);
    }
    MPI_Bcast(&n, 1, MPI_INT, 0, MPI_COMM_WORLD);
  } while (n != 0);
  MPI_Finalize();
  return 0;
}
