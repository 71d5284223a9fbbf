/*
 * pingpong [MILLISECONDS [BYTES...]]: each rank of the first half and one of the second send a message to and fro, all
 * pairs at once as in osu_multi_lat. Rank 0 prints what one message takes, the mean of all pairs, and for the large
 * sizes the bandwidth of one pair. Rounds are doubled until two runs in succession take MILLISECONDS (default 20).
 */
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LARGE = 64 << 10 };

/* exchange sends the buffer to and fro, and returns the seconds of one message, the mean of all pairs, at rank 0. */
static double exchange(int rank, int pairs, char *buf, int bytes, int rounds) {
  MPI_Barrier(MPI_COMM_WORLD);
  double start = MPI_Wtime();
  for (int i = 0; i < rounds; i++) {
    if (rank < pairs) {
      MPI_Send(buf, bytes, MPI_BYTE, rank + pairs, 0, MPI_COMM_WORLD);
      MPI_Recv(buf, bytes, MPI_BYTE, rank + pairs, 0, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    } else if (rank < 2 * pairs) {
      MPI_Recv(buf, bytes, MPI_BYTE, rank - pairs, 0, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
      MPI_Send(buf, bytes, MPI_BYTE, rank - pairs, 0, MPI_COMM_WORLD);
    }
  }
  double mine = rank < pairs ? (MPI_Wtime() - start) / (2.0 * rounds) : 0.0, all = 0.0;
  MPI_Reduce(&mine, &all, 1, MPI_DOUBLE, MPI_SUM, 0, MPI_COMM_WORLD);
  return all / pairs;
}

/* measure returns the seconds of one message, at rank 0. */
static double measure(int rank, int pairs, char *buf, int bytes, double shortest) {
  for (int rounds = 4, enough = 0;; rounds *= 2) {
    double seconds = exchange(rank, pairs, buf, bytes, rounds);
    enough = 2.0 * rounds * seconds < shortest ? 0 : enough + 1;
    MPI_Bcast(&enough, 1, MPI_INT, 0, MPI_COMM_WORLD);
    if (enough == 2) return seconds;
  }
}

int main(int argc, char **argv) {
  static char *usual[] = {"8", "4096", "262144", "4194304"};
  MPI_Init(&argc, &argv);
  char **sizes = argc > 2 ? argv + 2 : usual;
  int rank, size, count = argc > 2 ? argc - 2 : (int)(sizeof usual / sizeof *usual);
  double shortest = argc > 1 ? atoi(argv[1]) / 1e3 : 0.02;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  if (size < 2) MPI_Abort(MPI_COMM_WORLD, 3);

  for (int i = 0; i < count; i++) {
    int bytes = atoi(sizes[i]);
    char *buf = malloc((size_t)bytes);
    if (buf == NULL) MPI_Abort(MPI_COMM_WORLD, 3);
    memset(buf, rank, (size_t)bytes);
    double seconds = measure(rank, size / 2, buf, bytes, shortest);
    free(buf);
    if (rank != 0) continue;
    if (bytes < LARGE) printf("pingpong %d %.4g us\n", bytes, seconds * 1e6);
    if (bytes >= LARGE) printf("pingpong %d %.4g GB/s\n", bytes, bytes / seconds / 1e9);
    fflush(stdout);
  }
  MPI_Finalize();
  return 0;
}
