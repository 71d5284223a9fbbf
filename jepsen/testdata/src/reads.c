/* Each rank that has a standard input reads it line by line, all of them in step; each says at its end how many lines it has read, and their sum. */
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv) {
  int rank, size, going = 1;
  long long lines = 0, sum = 0;
  char line[256];
  MPI_Init(&argc, &argv);
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  while (going) {
    int got = fgets(line, sizeof line, stdin) != NULL;
    if (got) lines++, sum += atoll(line);
    MPI_Allreduce(&got, &going, 1, MPI_INT, MPI_MAX, MPI_COMM_WORLD);
  }
  printf("%d read %lld lines of %lld\n", rank, lines, sum);
  MPI_Finalize();
  return 0;
}
