/*
 * sweep MIB ROUNDS: fills MIB MiB with numbers that do not compress, and changes all of them in each of ROUNDS rounds, which the ranks begin together; then rank 0 prints a sum of them.
 */
#include <mpi.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv) {
  MPI_Init(&argc, &argv);
  int rank, rounds = argc > 2 ? atoi(argv[2]) : 100;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  size_t words = (size_t)(argc > 1 ? atoi(argv[1]) : 64) << 17;
  uint64_t *data = malloc(words * sizeof *data), x = 88172645463325252ull + (uint64_t)rank, sum = 0, all;
  if (data == NULL) MPI_Abort(MPI_COMM_WORLD, 1);
  for (size_t i = 0; i < words; i++) {
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    data[i] = x;
  }
  for (int r = 0; r < rounds; r++) {
    for (size_t i = 0; i < words; i++) data[i] = data[i] * 6364136223846793005ull + 1442695040888963407ull;
    sum += data[(size_t)r * 7919 % words];
    MPI_Allreduce(&sum, &all, 1, MPI_UINT64_T, MPI_SUM, MPI_COMM_WORLD);
  }
  if (rank == 0) printf("%llu\n", (unsigned long long)all);
  MPI_Finalize();
  return 0;
}
