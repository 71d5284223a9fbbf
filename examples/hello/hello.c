/* hello: every rank sends a greeting to rank 0, which prints them in rank order. */
#include <mpi.h>
#include <stdio.h>
#include <string.h>

enum { LINE = 64 };

int main(int argc, char **argv) {
  MPI_Init(&argc, &argv);
  int rank, size;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &size);

  char line[LINE];
  snprintf(line, sizeof line, "hello from rank %d of %d", rank, size);
  if (rank != 0) {
    MPI_Send(line, (int)strlen(line) + 1, MPI_CHAR, 0, 0, MPI_COMM_WORLD);
  } else {
    puts(line);
    for (int source = 1; source < size; source++) {
      MPI_Recv(line, sizeof line, MPI_CHAR, source, 0, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
      puts(line);
    }
  }
  MPI_Finalize();
  return 0;
}
