/* Each rank writes a file of so many MiB, which is no other rank's, and one that is small; with a second argument it removes both. */
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv) {
  int rank, mib = argc > 1 ? atoi(argv[1]) : 1;
  static unsigned block[1 << 18];
  unsigned x;
  char name[32];
  MPI_Init(&argc, &argv);
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  x = rank + 1;
  snprintf(name, sizeof name, "large%d", rank);
  FILE *f = fopen(name, "w");
  for (int i = 0; i < mib; i++) {
    for (unsigned k = 0; k < sizeof block / sizeof *block; k++) block[k] = x = x * 1664525u + 1013904223u;
    if (fwrite(block, 1, sizeof block, f) != sizeof block) {
      perror(name);
      return 3;
    }
  }
  fclose(f);
  snprintf(name, sizeof name, "small%d", rank);
  f = fopen(name, "w");
  fprintf(f, "rank %d\n", rank);
  fclose(f);
  if (argc > 2) {
    remove(name);
    snprintf(name, sizeof name, "large%d", rank);
    remove(name);
  }
  MPI_Finalize();
  return 0;
}
