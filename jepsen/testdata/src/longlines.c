/*
 * longlines N LEN [BLOB]: every rank writes N lines of LEN bytes, and then BLOB bytes (default 0) without an end of line.
 */
#include <mpi.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void put(const char *p, size_t n) {
  while (n > 0) {
    ssize_t k = write(1, p, n);
    if (k < 0) abort();
    p += k;
    n -= (size_t)k;
  }
}

int main(int argc, char **argv) {
  MPI_Init(&argc, &argv);
  if (argc < 3) MPI_Abort(MPI_COMM_WORLD, 2);
  size_t len = (size_t)atoi(argv[2]), blob = argc > 3 ? (size_t)atoi(argv[3]) : 0;
  char *text = malloc(len + blob + 1);
  memset(text, 'x', len + blob + 1);
  text[len] = '\n';
  for (int i = atoi(argv[1]); i > 0; i--) put(text, len + 1);
  put(text + len + 1, blob);
  MPI_Finalize();
  return 0;
}
