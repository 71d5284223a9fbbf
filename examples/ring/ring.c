/*
 * ring [LAPS]: a token goes round all ranks LAPS times (default 10); each rank adds its number + 1.
 * Rank 0 prints the token after each tenth of the way, and checks its final value.
 */
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv) {
  MPI_Init(&argc, &argv);
  int rank, size;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  long laps = argc > 1 ? strtol(argv[1], NULL, 10) : 10;
  long every = laps >= 10 ? laps / 10 : 1;
  int next = (rank + 1) % size, previous = (rank + size - 1) % size;

  long long token = 0;
  for (long lap = 1; lap <= laps; lap++) {
    if (rank == 0) {
      token += 1;
      MPI_Request sent;
      MPI_Isend(&token, 1, MPI_LONG_LONG, next, 1, MPI_COMM_WORLD, &sent);
      long long back;
      MPI_Recv(&back, 1, MPI_LONG_LONG, previous, 1, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
      MPI_Wait(&sent, MPI_STATUS_IGNORE);
      token = back;
      if (lap % every == 0) {
        printf("lap %ld: token %lld\n", lap, token);
        fflush(stdout);
      }
    } else {
      MPI_Recv(&token, 1, MPI_LONG_LONG, previous, 1, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
      token += rank + 1;
      MPI_Send(&token, 1, MPI_LONG_LONG, next, 1, MPI_COMM_WORLD);
    }
  }

  int failed = 0;
  if (rank == 0) {
    long long want = (long long)laps * size * (size + 1) / 2;
    failed = token != want;
    printf("ring of %d: token %lld, %s\n", size, token, failed ? "WRONG" : "correct");
  }
  MPI_Finalize();
  return failed;
}
