/* A guest whose functions the library calls back: argv[1] says how the callback ends. */
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *how;

static void combine(void *in, void *inout, int *len, MPI_Datatype *type) {
  int *a = in, *b = inout;
  (void)type;
  if (strcmp(how, "exit") == 0) exit(7);
  if (strcmp(how, "trap") == 0) __builtin_trap();
  if (strcmp(how, "abort") == 0) MPI_Abort(MPI_COMM_WORLD, 9);
  if (strcmp(how, "error") == 0) MPI_Send(a, 1, MPI_INT, 99, 0, MPI_COMM_SELF);
  for (int i = 0; i < *len; i++) b[i] = 10 * a[i] + b[i];
}

/* Declared without variable arguments, as many programs do. */
static void handler(MPI_Comm *comm, int *code) {
  printf("handler %d %d\n", *comm == MPI_COMM_SELF, *code);
  fflush(stdout);
}

/* nested reduces inside of a callback that a reduction has called. */
static void nested(void *in, void *inout, int *len, MPI_Datatype *type) {
  int one = 1, sum = 0, *a = in, *b = inout;
  (void)len;
  (void)type;
  MPI_Op op;
  MPI_Op_create(combine, 0, &op);
  MPI_Reduce_local(&one, &sum, 1, MPI_INT, op);
  MPI_Op_free(&op);
  *b = *a * *b + sum;
}

static void share(void) {
  int *mine, *first, unit;
  MPI_Aint size;
  MPI_Win win;
  MPI_Comm here;
  int rank, n;
  MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &here);
  MPI_Comm_rank(here, &rank);
  MPI_Comm_size(here, &n);
  MPI_Win_allocate_shared(sizeof(int), sizeof(int), MPI_INFO_NULL, here, &mine, &win);
  *mine = 100 + rank;
  MPI_Win_fence(0, win);
  int sum = 0;
  for (int r = 0; r < n; r++) {
    MPI_Win_shared_query(win, r, &size, &unit, &first);
    sum += *first;
  }
  printf("shared %d of %d\n", sum, n);
  fflush(stdout);
  MPI_Win_fence(0, win);
  MPI_Win_free(&win);
  MPI_Comm_free(&here);
}

int main(int argc, char **argv) {
  int one[2] = {1, 2}, two[2] = {3, 4};
  how = argc > 1 ? argv[1] : "";
  MPI_Init(&argc, &argv);
  if (strcmp(how, "share") == 0) {
    share();
  } else if (strcmp(how, "handler") == 0) {
    MPI_Errhandler h;
    MPI_Comm_create_errhandler((MPI_Comm_errhandler_function *)handler, &h);
    MPI_Comm_set_errhandler(MPI_COMM_SELF, h);
    printf("code %d\n", MPI_Send(one, 1, MPI_INT, 99, 0, MPI_COMM_SELF));
    fflush(stdout);
  } else {
    MPI_Op op;
    MPI_Op_create(strcmp(how, "nested") == 0 ? nested : combine, 0, &op);
    MPI_Reduce_local(one, two, strcmp(how, "nested") == 0 ? 1 : 2, MPI_INT, op);
    printf("sum %d %d\n", two[0], two[1]);
    fflush(stdout);
  }
  MPI_Finalize();
  return 0;
}
