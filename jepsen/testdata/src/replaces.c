/*
 * replaces STEPS: rank 0 writes a file anew and renames it over the one that rank 1 has open, and computes; rank 1 waits, and opens the new one, as programs do that restart. What rank 1
 * reads of the file that was replaced is what was in it.
 */
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv) {
  int rank, steps = argc > 1 ? atoi(argv[1]) : 10;
  MPI_Init(&argc, &argv);
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  FILE *in = NULL;
  for (int step = 0; step < steps; step++) {
    if (rank == 0) {
      for (double end = MPI_Wtime() + 0.2; MPI_Wtime() < end;) continue;
      FILE *out = fopen("restart.tmp", "w");
      if (!out || fprintf(out, "step %d\n", step) < 0 || fclose(out) != 0 || rename("restart.tmp", "restart") != 0) return 1;
    }
    MPI_Barrier(MPI_COMM_WORLD);
    int old = -1, now = -1;
    if (rank == 1 && in) rewind(in), old = fscanf(in, "step %d", &old) == 1 ? old : -2;
    if (rank == 1 && in) fclose(in);
    if (rank == 1 && (!(in = fopen("restart", "r")) || fscanf(in, "step %d", &now) != 1)) return 1;
    if (rank == 1) printf("step %d: %d, before %d\n", step, now, old), fflush(stdout);
    MPI_Barrier(MPI_COMM_WORLD);
  }
  MPI_Finalize();
  return 0;
}
