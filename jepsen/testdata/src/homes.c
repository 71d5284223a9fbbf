/*
 * Goes on with its files for as long as lines come on its standard input: what is open, what has no name any more, what is renamed, appended to and made
 * anew is each time as POSIX says, wherever the files are. It ends with the number of the line that was not. Its argument is how many MiB lie beside that.
 */
#include <errno.h>
#include <fcntl.h>
#include <godwit.h>
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int rank, size;
static int other, again; /* the file without a name of the next rank, and this rank's once more, write-only */

#define CHECK(what)                                                                              \
  do {                                                                                           \
    errno = 0;                                                                                   \
    if (!(what)) {                                                                               \
      fprintf(stderr, "%s:%d: %s: errno %d (%s)\n", __FILE__, __LINE__, #what, errno, strerror(errno)); \
      MPI_Abort(MPI_COMM_WORLD, 1);                                                              \
    }                                                                                            \
  } while (0)

static void turn(int round, int own, int gone, ino_t ino, ino_t nameless, const char *from, const char *to) {
  struct stat st, st2;
  char text[32];
  FILE *f;
  int fd;
  CHECK(pwrite(own, &round, sizeof round, sizeof round * (off_t)round) == sizeof round);
  CHECK(fstat(own, &st) == 0 && st.st_ino == ino && st.st_size == (off_t)sizeof round * (round + 1));
  CHECK(rename(from, to) == 0 && stat(to, &st2) == 0 && st2.st_ino == ino && st2.st_size == st.st_size);
  CHECK(pwrite(gone, &round, sizeof round, sizeof round * (off_t)round) == sizeof round);
  CHECK(fstat(gone, &st) == 0 && st.st_ino == nameless && st.st_nlink == 0 && st.st_size == (1 << 20) + (round > 0 ? (off_t)sizeof round : 0));
  CHECK(pwrite(again, &round, sizeof round, 1 << 20) == sizeof round);
  for (int i = round < 8 ? 0 : round - 8, v; i <= round; i++) {
    CHECK(pread(own, &v, sizeof v, sizeof v * (off_t)i) == sizeof v && v == i);
    CHECK(pread(gone, &v, sizeof v, sizeof v * (off_t)i) == sizeof v && v == i);
  }
  CHECK((fd = open("log", O_WRONLY | O_CREAT | O_APPEND, 0644)) >= 0);
  snprintf(text, sizeof text, "%03d:%06d\n", rank, round);
  CHECK(write(fd, text, 11) == 11 && close(fd) == 0);
  snprintf(text, sizeof text, "d/%d-%d", rank, round);
  CHECK((fd = open(text, O_WRONLY | O_CREAT | O_EXCL, 0644)) >= 0 && write(fd, "x", 1) == 1 && close(fd) == 0);
  snprintf(text, sizeof text, "d/%d-%d", rank, round - 1);
  CHECK(round == 0 || unlink(text) == 0);
  godwit_migration_point();
  MPI_Barrier(MPI_COMM_WORLD);
  int v;
  CHECK(pread(other, &v, sizeof v, sizeof v * (off_t)round) == sizeof v && v == round);
  CHECK(pread(other, &v, sizeof v, 1 << 20) == sizeof v && v == round);
  if (rank == round % size) CHECK(stat("log", &st) == 0 && st.st_size == 11L * size * (round + 1));
  MPI_Barrier(MPI_COMM_WORLD);
  snprintf(text, sizeof text, "t%d", rank);
  CHECK((f = fopen(text, "w")) != NULL && fprintf(f, "%d", round) > 0 && fclose(f) == 0);
}

int main(int argc, char **argv) {
  char a[32], b[32], line[64];
  int own, gone, rounds = 0;
  struct stat st, nameless;
  MPI_Init(&argc, &argv);
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  snprintf(a, sizeof a, "a%d", rank);
  snprintf(b, sizeof b, "b%d", rank);
  CHECK((own = open(a, O_RDWR | O_CREAT | O_EXCL, 0644)) >= 0 && fstat(own, &st) == 0);
  snprintf(line, sizeof line, "/tmp/gone%d", rank);
  CHECK((gone = open(line, O_RDWR | O_CREAT | O_EXCL, 0644)) >= 0 && ftruncate(gone, 1 << 20) == 0 && (again = open(line, O_WRONLY)) >= 0);
  MPI_Barrier(MPI_COMM_WORLD);
  snprintf(line, sizeof line, "/tmp/gone%d", (rank + 1) % size);
  CHECK((other = open(line, O_RDONLY)) >= 0);
  MPI_Barrier(MPI_COMM_WORLD);
  snprintf(line, sizeof line, "/tmp/gone%d", rank);
  CHECK(unlink(line) == 0 && fstat(gone, &nameless) == 0);
  if (rank == 0) {
    static unsigned block[1 << 18];
    unsigned x = 1;
    int fd;
    CHECK(mkdir("d", 0755) == 0 && (fd = open("ballast", O_WRONLY | O_CREAT, 0644)) >= 0);
    for (int i = 0, n = argc > 1 ? atoi(argv[1]) : 0; i < n; i++) {
      for (unsigned k = 0; k < sizeof block / sizeof *block; k++) block[k] = x = x * 1664525u + 1013904223u;
      CHECK(write(fd, block, sizeof block) == sizeof block);
    }
    CHECK(close(fd) == 0);
  }
  MPI_Barrier(MPI_COMM_WORLD);
  for (;; rounds++) {
    int more = rank == 0 && fgets(line, sizeof line, stdin) != NULL;
    if (rank == 0 && more) CHECK(atoi(line) == rounds);
    MPI_Bcast(&more, 1, MPI_INT, 0, MPI_COMM_WORLD);
    if (!more) break;
    turn(rounds, own, gone, st.st_ino, nameless.st_ino, rounds % 2 ? b : a, rounds % 2 ? a : b);
  }
  FILE *f = fopen("log", "r");
  int next = 0, r, i;
  CHECK(f != NULL);
  while (fgets(line, sizeof line, f) != NULL) {
    CHECK(sscanf(line, "%d:%d", &r, &i) == 2);
    if (r == rank) CHECK(i == next++);
  }
  CHECK(next == rounds && fclose(f) == 0 && close(own) == 0 && close(gone) == 0 && close(other) == 0 && close(again) == 0);
  if (rank == 0) printf("%d rounds\n", rounds);
  MPI_Finalize();
  return 0;
}
