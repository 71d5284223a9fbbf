/*
 * coupled ROUNDS: one of several programs of an app. The ranks of each MPI_APPNUM sum among themselves, and the first of each exchange the sums
 * with the others'. It is built twice: as coupled2 with other code, and another constant.
 */
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>

#ifndef SECOND
#define PROGRAM "first"
static long mix(long x, int round) { return x * 31 + round; }
#else
#define PROGRAM "second"
static long table[4096];
static long mix(long x, int round) {
  table[round % 4096] += x;
  return (x ^ table[(round * 7) % 4096]) + 3;
}
#endif

static const char *known(const char *key) {
  static char value[4][MPI_MAX_INFO_VAL];
  static int n;
  int flag = 0;
  char *into = value[n++ % 4];
  MPI_Info_get(MPI_INFO_ENV, key, MPI_MAX_INFO_VAL - 1, into, &flag);
  return flag ? into : "-";
}

int main(int argc, char **argv) {
  MPI_Init(&argc, &argv);
  int rank, size, local, *appnum, flag;
  MPI_Comm part, firsts;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  MPI_Comm_get_attr(MPI_COMM_WORLD, MPI_APPNUM, &appnum, &flag);
  MPI_Comm_split(MPI_COMM_WORLD, flag ? *appnum : MPI_UNDEFINED, rank, &part);
  MPI_Comm_rank(part, &local);
  MPI_Comm_split(MPI_COMM_WORLD, local == 0 ? 0 : MPI_UNDEFINED, rank, &firsts);
  long x = rank + 1, sum = 0;
  for (int round = 0; round < (argc > 1 ? atoi(argv[1]) : 10); round++) {
    x = mix(x, round) % 1000003;
    MPI_Allreduce(&x, &sum, 1, MPI_LONG, MPI_SUM, part);
    long all = sum;
    if (firsts != MPI_COMM_NULL) MPI_Allreduce(&sum, &all, 1, MPI_LONG, MPI_SUM, firsts);
    MPI_Bcast(&all, 1, MPI_LONG, 0, part);
    x = (x + all) % 1000003;
  }
  const char *var = getenv("VAR");
  printf("rank %d of %d: %s as %s, appnum %d, %d arguments, last %s, VAR=%s, command %s, argv %s, maxprocs %s, result %ld\n", rank, size, PROGRAM, argv[0],
         flag ? *appnum : -1, argc - 1, argv[argc - 1], var ? var : "-", known("command"), known("argv"), known("maxprocs"), x);
  MPI_Finalize();
  return 0;
}
