/*
 * deep [DEPTH [ROUNDS]]: recurses DEPTH calls deep (default 50), and at the bottom asks for a
 * migration point and a barrier ROUNDS times (default 20); every frame then checks its own locals.
 */
#include <godwit.h>
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>

static int rounds;

__attribute__((noinline)) static long descend(int depth, long seed) {
  volatile long kept = seed * 31 + depth;
  double real = (double)kept / 3.0;
  long below = 0;
  if (depth == 0) {
    for (int i = 0; i < rounds; i++) {
      godwit_migration_point();
      MPI_Barrier(MPI_COMM_WORLD);
    }
  } else {
    below = descend(depth - 1, kept % 1000003);
  }
  if (kept != seed * 31 + depth || real != (double)kept / 3.0) MPI_Abort(MPI_COMM_WORLD, 4);
  return below * 7 % 1000003 + kept % 1009;
}

int main(int argc, char **argv) {
  MPI_Init(&argc, &argv);
  int rank, depth = argc > 1 ? atoi(argv[1]) : 50;
  rounds = argc > 2 ? atoi(argv[2]) : 20;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  long result = descend(depth, rank + 1);
  if (rank == 0) printf("deep %d: %ld\n", depth, result);
  MPI_Finalize();
  return 0;
}
