/*
 * output [LINES]: every rank prints LINES numbered lines (default 100) on stdout, each in two pieces,
 * and every tenth on stderr too; then a last line without an end.
 */
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv) {
  MPI_Init(&argc, &argv);
  int rank, lines = argc > 1 ? atoi(argv[1]) : 100;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  setvbuf(stdout, NULL, _IONBF, 0);
  for (int line = 0; line < lines; line++) {
    printf("rank %d, ", rank);
    printf("line %d\n", line);
    if (line % 10 == 9) fprintf(stderr, "rank %d, error line %d\n", rank, line);
    MPI_Barrier(MPI_COMM_WORLD);
  }
  printf("rank %d, no end", rank);
  MPI_Finalize();
  return 0;
}
