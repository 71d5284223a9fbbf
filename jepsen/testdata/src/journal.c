/*
 * journal [STEPS [MS]]: every rank goes through STEPS steps (default 20) of MS milliseconds (default 50). In each it appends a line to a file of its own, which stays
 * open, writes its place in a file that all share, changes one that has no name any more, takes a lock, and passes what it finds in the files round the ring. At the end it
 * reads all of it, and prints what there is. The output is the same on any placement, and wherever the program was gone on from.
 */
#include <fcntl.h>
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static void fail(const char *what) {
  perror(what);
  MPI_Abort(MPI_COMM_WORLD, 3);
}

int main(int argc, char **argv) {
  MPI_Init(&argc, &argv);
  int rank, size;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  int steps = argc > 1 ? atoi(argv[1]) : 20, ms = argc > 2 ? atoi(argv[2]) : 50;
  struct timespec pause = {ms / 1000, (long)(ms % 1000) * 1000000};
  char name[32];
  snprintf(name, sizeof name, "journal%d", rank);
  FILE *own = fopen(name, "w+");
  if (!own) fail(name);
  int shared = open("shared", O_RDWR | O_CREAT, 0600);
  if (shared < 0) fail("shared");
  snprintf(name, sizeof name, "gone%d", rank);
  int gone = open(name, O_RDWR | O_CREAT | O_EXCL, 0600);
  if (gone < 0 || unlink(name)) fail(name);
  unsigned value = 2654435761u * (unsigned)(rank + 1);
  for (int step = 0; step < steps; step++) {
    nanosleep(&pause, NULL);
    fprintf(own, "step %d: %08x\n", step, value);
    if (fflush(own)) fail("flush");
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 4 * rank, .l_len = 4};
    if (fcntl(shared, F_SETLKW, &lock)) fail("lock");
    if (pwrite(shared, &value, 4, 4 * rank) != 4) fail("shared");
    unsigned kept = 0;
    if (step > 0 && pread(gone, &kept, 4, 0) != 4) fail("gone");
    kept = kept * 31u + value;
    if (pwrite(gone, &kept, 4, 0) != 4) fail("gone");
    MPI_Barrier(MPI_COMM_WORLD);
    unsigned other = 0, in = 0;
    if (pread(shared, &other, 4, 4 * ((rank + 1) % size)) != 4) fail("shared");
    lock.l_type = F_UNLCK;
    if (fcntl(shared, F_SETLK, &lock)) fail("unlock");
    MPI_Sendrecv(&value, 1, MPI_UNSIGNED, (rank + 1) % size, step, &in, 1, MPI_UNSIGNED, (rank + size - 1) % size, step, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    value = value * 1664525u + in + other + kept + (unsigned)step;
    printf("step %d: %08x\n", step, value);
    fflush(stdout);
  }
  rewind(own);
  unsigned sum = 0, lines = 0;
  char line[64];
  while (fgets(line, sizeof line, own)) {
    lines++;
    for (char *p = line; *p; p++) sum = sum * 31u + (unsigned char)*p;
  }
  printf("rank %d of %d ends with %08x, and %u lines of %08x\n", rank, size, value, lines, sum);
  MPI_Finalize();
  return 0;
}
