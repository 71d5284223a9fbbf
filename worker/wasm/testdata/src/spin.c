/*
 * spin [MILLIONS [ROUNDS]]: rank 0 computes MILLIONS million steps (default 100) without any call to
 * the host, while the other ranks pair up, play ROUNDS rounds (default 1000) of ping-pong, and their
 * first prints. Then all meet.
 */
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>

static unsigned long long compute(long millions) {
  unsigned long long x = 88172645463325252ull;
  for (long m = 0; m < millions; m++) {
    for (int i = 0; i < 1000000; i++) {
      x ^= x << 13;
      x ^= x >> 7;
      x ^= x << 17;
    }
  }
  return x;
}

static void play(int rank, int size, int rounds) {
  int peer = ((rank - 1) ^ 1) + 1;
  if (peer >= size) return;
  for (int i = 0; i < rounds; i++) {
    int out = i, in = -1;
    MPI_Sendrecv(&out, 1, MPI_INT, peer, 0, &in, 1, MPI_INT, peer, 0, MPI_COMM_WORLD,
                 MPI_STATUS_IGNORE);
    if (in != i) MPI_Abort(MPI_COMM_WORLD, 4);
    if (rank == 1 && (i + 1) % (rounds >= 10 ? rounds / 10 : 1) == 0) {
      printf("rank 1: round %d\n", i + 1);
      fflush(stdout);
    }
  }
}

int main(int argc, char **argv) {
  MPI_Init(&argc, &argv);
  int rank, size;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  if (rank == 0) {
    printf("rank 0: %016llx\n", compute(argc > 1 ? atol(argv[1]) : 100));
    fflush(stdout);
  } else {
    play(rank, size, argc > 2 ? atoi(argv[2]) : 1000);
  }
  MPI_Barrier(MPI_COMM_WORLD);
  MPI_Finalize();
  return 0;
}
