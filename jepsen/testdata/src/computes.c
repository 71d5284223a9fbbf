/*
 * computes MILLIONS: every rank says that it begins, computes for so many millions of steps without a call of MPI, and prints what it has
 * come to. Built with --preemptible: it moves all the same.
 */
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv) {
  MPI_Init(&argc, &argv);
  int rank, size;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  printf("rank %d begins\n", rank);
  fflush(stdout);
  unsigned long long x = 88172645463325252ull + (unsigned)rank, sum = 0, all = 0;
  long millions = argc > 1 ? atol(argv[1]) : 1;
  for (long k = 0; k < millions; k++) {
    for (int i = 0; i < 1000000; i++) {
      x ^= x << 13;
      x ^= x >> 7;
      x ^= x << 17;
      sum += x;
    }
  }
  MPI_Reduce(&sum, &all, 1, MPI_UNSIGNED_LONG_LONG, MPI_BXOR, 0, MPI_COMM_WORLD);
  if (rank == 0) printf("%d ranks come to %llx\n", size, all);
  MPI_Finalize();
  return 0;
}
