/*
 * msgrate [MILLISECONDS]: the first half of the ranks send 8-byte messages to the second half, in windows of 64
 * nonblocking sends that the receiver answers with one empty message. Rank 0 prints how many messages all pairs
 * together pass in a second. Windows are doubled until two runs in succession take MILLISECONDS (default 20).
 */
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>

enum { WINDOW = 64, DATA = 1, ANSWER = 2 };

static void send_windows(int peer, int windows) {
  double payload[WINDOW];
  MPI_Request requests[WINDOW];
  for (int w = 0; w < windows; w++) {
    for (int i = 0; i < WINDOW; i++) {
      payload[i] = w + i;
      MPI_Isend(&payload[i], 1, MPI_DOUBLE, peer, DATA, MPI_COMM_WORLD, &requests[i]);
    }
    MPI_Waitall(WINDOW, requests, MPI_STATUSES_IGNORE);
    MPI_Recv(NULL, 0, MPI_BYTE, peer, ANSWER, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
  }
}

static void receive_windows(int peer, int windows) {
  double payload[WINDOW];
  MPI_Request requests[WINDOW];
  for (int w = 0; w < windows; w++) {
    for (int i = 0; i < WINDOW; i++) {
      MPI_Irecv(&payload[i], 1, MPI_DOUBLE, peer, DATA, MPI_COMM_WORLD, &requests[i]);
    }
    MPI_Waitall(WINDOW, requests, MPI_STATUSES_IGNORE);
    for (int i = 0; i < WINDOW; i++) {
      if (payload[i] != w + i) MPI_Abort(MPI_COMM_WORLD, 4);
    }
    MPI_Send(NULL, 0, MPI_BYTE, peer, ANSWER, MPI_COMM_WORLD);
  }
}

/* pass takes the windows from the senders to the receivers, and returns the seconds until the last is done, at rank 0. */
static double pass(int rank, int pairs, int windows) {
  MPI_Barrier(MPI_COMM_WORLD);
  double start = MPI_Wtime();
  if (rank < pairs) send_windows(rank + pairs, windows);
  else if (rank < 2 * pairs) receive_windows(rank - pairs, windows);
  double mine = MPI_Wtime() - start, longest = 0.0;
  MPI_Reduce(&mine, &longest, 1, MPI_DOUBLE, MPI_MAX, 0, MPI_COMM_WORLD);
  return longest;
}

/* measure returns the messages a second, at rank 0. */
static double measure(int rank, int pairs, double shortest) {
  for (int windows = 4, enough = 0;; windows *= 2) {
    double seconds = pass(rank, pairs, windows);
    enough = seconds < shortest ? 0 : enough + 1;
    MPI_Bcast(&enough, 1, MPI_INT, 0, MPI_COMM_WORLD);
    if (enough == 2) return (double)pairs * windows * WINDOW / seconds;
  }
}

int main(int argc, char **argv) {
  MPI_Init(&argc, &argv);
  int rank, size;
  double shortest = argc > 1 ? atoi(argv[1]) / 1e3 : 0.02;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  if (size < 2) MPI_Abort(MPI_COMM_WORLD, 3);
  double rate = measure(rank, size / 2, shortest);
  if (rank == 0) printf("msgrate 8 %.4g Mmsg/s\n", rate / 1e6);
  MPI_Finalize();
  return 0;
}
