/*
 * life HOW: what happens once in a program's life, and how the program tells it. A constructor and an atexit handler print; so does
 * every step between, with calls of MPI that allocate in the guest's heap. errno is set before the first barrier and printed after it.
 * The end is HOW: return (the default), exit, exit0, _exit, abort, mpiabort, mpierr, trap; the last line before it has no end.
 */
#include <errno.h>
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int constructed;

__attribute__((constructor)) static void construct(void) { printf("constructed %d\n", ++constructed); }

static void bye(void) { printf("bye %d\n", constructed--); }

int main(int argc, char **argv) {
  const char *how = argc > 1 ? argv[1] : "return";
  int size;
  void *memory;
  MPI_Win win;
  atexit(bye);
  MPI_Init(&argc, &argv);
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  errno = 0;
  strtol("99999999999999999999", NULL, 10);
  for (int i = 0; i < 3; i++) {
    MPI_Alloc_mem(64, MPI_INFO_NULL, &memory);
    MPI_Win_allocate(512, 8, MPI_INFO_NULL, MPI_COMM_WORLD, &memory, &win);
    MPI_Win_free(&win);
    MPI_Barrier(MPI_COMM_WORLD);
    printf("step %d, errno %s\n", i, errno == ERANGE ? "ERANGE" : "lost");
  }
  fprintf(stderr, "%s\n", how);
  printf("without an end");
  if (!strcmp(how, "exit")) exit(7);
  if (!strcmp(how, "exit0")) exit(0);
  if (!strcmp(how, "_exit")) _exit(7);
  if (!strcmp(how, "abort")) abort();
  if (!strcmp(how, "mpiabort")) MPI_Abort(MPI_COMM_WORLD, 42);
  if (!strcmp(how, "mpierr")) MPI_Send(&size, 1, MPI_INT, size + 5, 0, MPI_COMM_WORLD);
  if (!strcmp(how, "trap")) {
    volatile int zero = 0;
    zero = 1000 / zero;
  }
  MPI_Finalize();
  return 0;
}
