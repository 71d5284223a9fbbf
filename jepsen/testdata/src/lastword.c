/*
 * lastword [MS [BYTES]]: even ranks wait MS milliseconds (default 0), and then their last act is three messages of BYTES
 * bytes (default 4) to the next rank, buffered, so that they do not wait for it. Odd ranks receive them and print what
 * they got.
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
  int ms = argc > 1 ? atoi(argv[1]) : 0, bytes = argc > 2 ? atoi(argv[2]) : 4;
  int *data = calloc(1, (size_t)bytes + sizeof(int));
  struct timespec pause = {ms / 1000, (long)(ms % 1000) * 1000000};
  if (rank % 2 == 0 && rank + 1 < size) {
    int room = 3 * (bytes + MPI_BSEND_OVERHEAD);
    MPI_Buffer_attach(malloc((size_t)room), room);
    printf("rank %d waits\n", rank);
    fflush(stdout);
    if (ms > 0) nanosleep(&pause, NULL);
    for (data[0] = 1; data[0] <= 3; data[0]++) MPI_Bsend(data, bytes, MPI_BYTE, rank + 1, 1, MPI_COMM_WORLD);
    printf("rank %d has sent\n", rank);
    fflush(stdout);
  } else if (rank % 2 == 1) {
    for (int i = 0; i < 3; i++) {
      MPI_Recv(data, bytes, MPI_BYTE, rank - 1, 1, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
      printf("rank %d got %d\n", rank, data[0]);
      fflush(stdout);
    }
  }
  MPI_Finalize();
  return 0;
}
