/*
 * locks ROUNDS [waits]: each rank adds 1 to a number in a file ROUNDS times, under a lock of each kind in turn; rank 0 says what came of it. A lock goes with the close of its file, and with its rank's end.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <unistd.h>

static int locked(int fd, int kind, int on) {
  struct flock l = {.l_type = on ? F_WRLCK : F_UNLCK, .l_whence = SEEK_SET, .l_len = 4};
  if (kind == 0) return fcntl(fd, F_SETLKW, &l);
  return kind == 1 ? flock(fd, on ? LOCK_EX : LOCK_UN) : fcntl(fd, F_OFD_SETLKW, &l);
}

/* Each rank has a byte, and waits for the next one's: one of them is told, and lets go. */
static int crossed(int fd, int rank, int size) {
  int told, all;
  struct flock own = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 100 + rank, .l_len = 1}, next = own;
  next.l_start = 100 + (rank + 1) % size;
  int errors = fcntl(fd, F_SETLK, &own) != 0;
  MPI_Barrier(MPI_COMM_WORLD);
  told = fcntl(fd, F_SETLKW, &next) != 0;
  errors += told && errno != EDEADLK;
  own.l_type = next.l_type = F_UNLCK;
  errors += fcntl(fd, F_SETLK, &own) != 0 || fcntl(fd, F_SETLK, &next) != 0;
  MPI_Allreduce(&told, &all, 1, MPI_INT, MPI_SUM, MPI_COMM_WORLD);
  return errors + (all != 1);
}

/* Rank 0 has a lock of "mapped", and rank 1 tells whether that keeps it out. */
static int keeps(int rank, int out) {
  struct flock l = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 10};
  int errors = 0, fd;
  MPI_Barrier(MPI_COMM_WORLD);
  if (rank == 1) {
    fd = open("mapped", O_RDWR);
    errors = (fcntl(fd, F_SETLK, &l) != 0) != out;
    close(fd);
  }
  MPI_Barrier(MPI_COMM_WORLD);
  return errors;
}

/* A lock of records goes when the program closes the file, though that is mapped; it stays when a mapping goes, whose file was closed before, and when truncate opens and closes it. */
static int mapped(int rank) {
  struct flock l = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 10};
  int errors = 0, fd = open("mapped", O_RDWR | O_CREAT, 0644);
  char *m = NULL;
  if (rank == 0) {
    errors += ftruncate(fd, 4096) != 0 || (m = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)) == MAP_FAILED;
    errors += close(fd) != 0 || (fd = open("mapped", O_RDWR)) < 0 || fcntl(fd, F_SETLK, &l) != 0;
  }
  errors += keeps(rank, 1);
  if (rank == 0) m[1] = 1, errors += munmap(m, 4096) != 0;
  errors += keeps(rank, 1);
  errors += rank == 0 && truncate("mapped", 8192) != 0;
  errors += keeps(rank, 1);
  if (rank == 0) errors += (m = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)) == MAP_FAILED || close(fd) != 0;
  errors += keeps(rank, 0);
  return errors + (rank == 0 ? munmap(m, 4096) != 0 : close(fd) != 0);
}

/* Rank 0 has locks until its standard input ends; the others wait for one each. */
static int waiting(int fd, int rank) {
  if (rank == 0 && (locked(fd, 0, 1) != 0 || locked(fd, 1, 1) != 0)) return 1;
  MPI_Barrier(MPI_COMM_WORLD);
  if (rank == 0) {
    puts("held"), fflush(stdout);
    while (getchar() != EOF) continue;
    locked(fd, 0, 0), close(fd);
  } else if (locked(fd, rank % 2, 1) != 0 || locked(fd, rank % 2, 0) != 0) return 1;
  printf("%d\n", rank);
  MPI_Barrier(MPI_COMM_WORLD); /* so nobody has it by another's end */
  MPI_Finalize();
  return 0;
}

int main(int argc, char **argv) {
  int rank, size, number, errors = 0, all = 0, rounds = argc > 1 ? atoi(argv[1]) : 10;
  MPI_Init(&argc, &argv);
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  int fd = open("number", O_RDWR | O_CREAT, 0644);
  if (argc > 2) return waiting(fd, rank);
  for (int kind = 0; kind < 3; kind++) {
    for (int i = 0; i < rounds; i++) {
      number = 0;
      errors += locked(fd, kind, 1) != 0;
      errors += pread(fd, &number, sizeof number, 0) < 0;
      number++;
      errors += pwrite(fd, &number, sizeof number, 0) != sizeof number;
      errors += locked(fd, kind, 0) != 0;
    }
    MPI_Barrier(MPI_COMM_WORLD); /* locks of different kinds do not meet */
  }
  errors += flock(fd, LOCK_SH) != 0;
  MPI_Barrier(MPI_COMM_WORLD);
  errors += flock(fd, LOCK_EX) != 0 || flock(fd, LOCK_UN) != 0; /* each of them, one after the other */
  struct flock l = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
  if (rank == 0) errors += fcntl(fd, F_SETLK, &l) != 0;
  MPI_Barrier(MPI_COMM_WORLD);
  if (rank != 0) errors += fcntl(fd, F_SETLK, &l) == 0;
  MPI_Barrier(MPI_COMM_WORLD);
  if (rank == 0) {
    errors += close(fd) != 0 || (fd = open("number", O_RDWR)) < 0; /* that lets go of it */
  }
  MPI_Barrier(MPI_COMM_WORLD);
  errors += crossed(fd, rank, size) + mapped(rank);
  MPI_Barrier(MPI_COMM_WORLD);
  if (rank == size - 1) errors += fcntl(fd, F_SETLK, &l) != 0;
  MPI_Reduce(&errors, &all, 1, MPI_INT, MPI_SUM, 0, MPI_COMM_WORLD);
  if (rank == 0 && fcntl(fd, F_SETLKW, &l) == 0 && pread(fd, &number, sizeof number, 0) == sizeof number) /* when the last rank has ended */
    printf("%d of %d, %d errors\n", number, 3 * rounds * size, all);
  MPI_Finalize();
  return 0;
}
