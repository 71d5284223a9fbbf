/*
 * alltoall [ITERATIONS [COUNT]]: ITERATIONS all-to-alls (default 100) of COUNT ints for each pair of
 * ranks (default 64). Every element is checked; rank 0 prints progress after each tenth, and a
 * checksum over what all ranks received.
 */
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>

/* element is what `from` sends to `to` at place i of an iteration. */
static unsigned element(int from, int to, int i, int iteration) {
  unsigned x = (unsigned)from * 2654435761u ^ (unsigned)to * 2246822519u;
  x ^= (unsigned)i * 3266489917u ^ (unsigned)iteration * 668265263u;
  x ^= x >> 15;
  return x * 2654435761u;
}

int main(int argc, char **argv) {
  MPI_Init(&argc, &argv);
  int rank, size;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  int iterations = argc > 1 ? atoi(argv[1]) : 100;
  int count = argc > 2 ? atoi(argv[2]) : 64;
  int every = iterations >= 10 ? iterations / 10 : 1;

  unsigned *out = malloc((size_t)size * (size_t)count * sizeof *out + 1);
  unsigned *in = malloc((size_t)size * (size_t)count * sizeof *in + 1);
  unsigned long long sum = 0, total = 0;
  for (int iteration = 1; iteration <= iterations; iteration++) {
    for (int to = 0; to < size; to++) {
      for (int i = 0; i < count; i++) out[to * count + i] = element(rank, to, i, iteration);
    }
    MPI_Alltoall(out, count, MPI_UNSIGNED, in, count, MPI_UNSIGNED, MPI_COMM_WORLD);
    for (int from = 0; from < size; from++) {
      for (int i = 0; i < count; i++) {
        unsigned got = in[from * count + i];
        if (got != element(from, rank, i, iteration)) {
          fprintf(stderr, "alltoall: rank %d, iteration %d: wrong element %d from rank %d\n", rank,
                  iteration, i, from);
          MPI_Abort(MPI_COMM_WORLD, 4);
        }
        sum = sum * 31 + got;
      }
    }
    if (rank == 0 && iteration % every == 0) {
      printf("iteration %d: rank 0 has %016llx\n", iteration, sum);
      fflush(stdout);
    }
  }
  MPI_Reduce(&sum, &total, 1, MPI_UNSIGNED_LONG_LONG, MPI_SUM, 0, MPI_COMM_WORLD);
  if (rank == 0) {
    printf("alltoall of %d ranks, %d iterations of %d: checksum %016llx\n", size, iterations, count,
           total);
  }
  free(out);
  free(in);
  MPI_Finalize();
  return 0;
}
