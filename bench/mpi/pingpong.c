/*
 * pingpong [MILLISECONDS]: ranks 0 and 1 send a message to and fro. Rank 0 prints what one message takes, and for the
 * large sizes the bandwidth. Rounds are doubled until two runs in succession take MILLISECONDS (default 20).
 */
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* exchange sends the buffer to and fro, and returns the seconds of one message. */
static double exchange(int rank, char *buf, int bytes, int rounds) {
  MPI_Barrier(MPI_COMM_WORLD);
  double start = MPI_Wtime();
  for (int i = 0; i < rounds; i++) {
    if (rank == 0) {
      MPI_Send(buf, bytes, MPI_BYTE, 1, 0, MPI_COMM_WORLD);
      MPI_Recv(buf, bytes, MPI_BYTE, 1, 0, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    } else if (rank == 1) {
      MPI_Recv(buf, bytes, MPI_BYTE, 0, 0, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
      MPI_Send(buf, bytes, MPI_BYTE, 0, 0, MPI_COMM_WORLD);
    }
  }
  return (MPI_Wtime() - start) / (2.0 * rounds);
}

/* measure returns the seconds of one message, at rank 0. */
static double measure(int rank, char *buf, int bytes, double shortest) {
  for (int rounds = 4, enough = 0;; rounds *= 2) {
    double seconds = exchange(rank, buf, bytes, rounds);
    enough = 2.0 * rounds * seconds < shortest ? 0 : enough + 1;
    MPI_Bcast(&enough, 1, MPI_INT, 0, MPI_COMM_WORLD);
    if (enough == 2) return seconds;
  }
}

int main(int argc, char **argv) {
  static const int sizes[] = {8, 4 << 10, 256 << 10, 4 << 20};
  enum { SIZES = sizeof sizes / sizeof *sizes, LARGE = 64 << 10 };
  MPI_Init(&argc, &argv);
  int rank;
  double shortest = argc > 1 ? atoi(argv[1]) / 1e3 : 0.02;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  char *buf = malloc((size_t)sizes[SIZES - 1]);
  if (buf == NULL) MPI_Abort(MPI_COMM_WORLD, 3);
  memset(buf, rank, (size_t)sizes[SIZES - 1]);

  for (int i = 0; i < SIZES; i++) {
    double seconds = measure(rank, buf, sizes[i], shortest);
    if (rank != 0) continue;
    if (sizes[i] < LARGE) printf("pingpong %d %.4g us\n", sizes[i], seconds * 1e6);
    if (sizes[i] >= LARGE) printf("pingpong %d %.4g GB/s\n", sizes[i], sizes[i] / seconds / 1e9);
  }
  free(buf);
  MPI_Finalize();
  return 0;
}
