/*
 * deep [DEPTH [ROUNDS [PAGES]]]: recurses DEPTH calls deep (default 50), and at the bottom asks for a
 * migration point and a barrier ROUNDS times (default 20); every frame then checks its own locals. Behind each
 * round the memory grows by PAGES pages (default 0), which must be zero, and where it has ended.
 */
#include <godwit.h>
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>

enum { PAGE = 65536 };

static int rounds, pages;
static size_t end;

__attribute__((noinline)) static void grow(void) {
  if (__builtin_wasm_memory_size(0) != end || __builtin_wasm_memory_grow(0, pages) != end) MPI_Abort(MPI_COMM_WORLD, 5);
  long *fresh = (long *)(end * PAGE);
  for (size_t i = 0; i < pages * (PAGE / sizeof(long)); i++) {
    if (fresh[i] != 0) MPI_Abort(MPI_COMM_WORLD, 6);
    fresh[i] = -1;
  }
  end += pages;
}

__attribute__((noinline)) static long descend(int depth, long seed) {
  volatile long kept = seed * 31 + depth;
  double real = (double)kept / 3.0;
  long below = 0;
  if (depth == 0) {
    for (int i = 0; i < rounds; i++) {
      godwit_migration_point();
      MPI_Barrier(MPI_COMM_WORLD);
      grow();
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
  pages = argc > 3 ? atoi(argv[3]) : 0;
  end = __builtin_wasm_memory_size(0);
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  long result = descend(depth, rank + 1);
  if (rank == 0) printf("deep %d: %ld\n", depth, result);
  MPI_Finalize();
  return 0;
}
