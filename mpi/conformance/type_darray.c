/* type_darray: block-cyclic distributions, against a model that asks of each cell who owns it (MPI-5.0 section 5.1.4).
 */
#include "layout.h"

enum { MOST = 800, DIMS = 3 };

struct spread {
  int dims;
  int sizes[DIMS], distribs[DIMS], args[DIMS], grid[DIMS];
  int order;
};

/* owner returns the place in the grid, in one dimension, of the process that has index x. */
static int owner(const struct spread *s, int d, int x) {
  int n = s->sizes[d], p = s->grid[d], arg = s->args[d];
  switch (s->distribs[d]) {
    case MPI_DISTRIBUTE_BLOCK:
      if (arg == MPI_DISTRIBUTE_DFLT_DARG) arg = (n + p - 1) / p;
      return x / arg;
    case MPI_DISTRIBUTE_CYCLIC:
      if (arg == MPI_DISTRIBUTE_DFLT_DARG) arg = 1;
      return x / arg % p;
    default:
      return 0;
  }
}

/* Processes are numbered in C order over the grid, whatever the order of the array. */
static int owner_rank(const struct spread *s, const int *x) {
  int r = 0;
  for (int d = 0; d < s->dims; d++) r = r * s->grid[d] + owner(s, d, x[d]);
  return r;
}

static int model(const struct spread *s, int process, int *at) {
  int total = 1, n = 0, x[DIMS];
  for (int d = 0; d < s->dims; d++) total *= s->sizes[d];
  for (int cell = 0; cell < total; cell++) {
    int rest = cell;
    for (int k = 0; k < s->dims; k++) {
      int d = s->order == MPI_ORDER_C ? s->dims - 1 - k : k;
      x[d] = rest % s->sizes[d];
      rest /= s->sizes[d];
    }
    if (owner_rank(s, x) == process) at[n++] = cell;
  }
  return n;
}

static void check_spread(const struct spread *s) {
  int processes = 1, total = 1, seen = 0;
  for (int d = 0; d < s->dims; d++) {
    processes *= s->grid[d];
    total *= s->sizes[d];
  }
  for (int process = 0; process < processes; process++) {
    int at[MOST], n = model(s, process, at);
    seen += n;
    if (n == 0) continue;
    struct layout l = {MPI_DATATYPE_NULL, n, at, 0, total, at[0], at[n - 1] - at[0] + 1};
    MPI_Type_create_darray(processes, process, s->dims, s->sizes, s->distribs, s->args, s->grid, s->order, MPI_INT,
                           &l.type);
    MPI_Type_commit(&l.type);
    check_layout(&l);
    MPI_Type_free(&l.type);
  }
  CHECK_INT(seen, total); /* everything belongs to somebody */
}

static void both_orders(struct spread s) {
  s.order = MPI_ORDER_C;
  check_spread(&s);
  s.order = MPI_ORDER_FORTRAN;
  check_spread(&s);
}

enum {
  B = MPI_DISTRIBUTE_BLOCK,
  C = MPI_DISTRIBUTE_CYCLIC,
  NONE = MPI_DISTRIBUTE_NONE,
  DFLT = MPI_DISTRIBUTE_DFLT_DARG
};

TEST(type_darray_block, 1, "MPI-5.0 section 5.1.4", "MPI_Type_create_darray MPI_DISTRIBUTE_BLOCK") {
  both_orders((struct spread){1, {10}, {B}, {DFLT}, {4}, 0});
  both_orders((struct spread){1, {10}, {B}, {5}, {3}, 0});
  both_orders((struct spread){2, {7, 5}, {B, B}, {DFLT, DFLT}, {2, 2}, 0});
}

TEST(type_darray_cyclic, 1, "MPI-5.0 section 5.1.4", "MPI_Type_create_darray MPI_DISTRIBUTE_CYCLIC") {
  both_orders((struct spread){1, {11}, {C}, {DFLT}, {3}, 0});
  both_orders((struct spread){1, {23}, {C}, {4}, {2}, 0});
  both_orders((struct spread){2, {9, 8}, {C, C}, {2, 3}, {2, 2}, 0});
}

TEST(type_darray_mixed, 1, "MPI-5.0 section 5.1.4", "MPI_Type_create_darray MPI_DISTRIBUTE_NONE") {
  both_orders((struct spread){2, {6, 7}, {NONE, C}, {DFLT, 2}, {1, 3}, 0});
  both_orders((struct spread){3, {5, 4, 6}, {B, NONE, C}, {DFLT, DFLT, 2}, {2, 1, 2}, 0});
  both_orders((struct spread){3, {4, 5, 6}, {C, B, B}, {1, 3, DFLT}, {2, 2, 3}, 0});
}

/* The matrix is dealt out to all ranks and collected again: nothing is lost, doubled or moved. */
TEST(type_darray_collect, 1, "MPI-5.0 section 5.1.4", "MPI_Type_create_darray MPI_Isend MPI_Recv") {
  int dims[2] = {0, 0}, sizes[2] = {13, 11}, distribs[2] = {C, C}, args[2] = {2, 3}, total = 13 * 11;
  MPI_Dims_create(size, 2, dims);
  MPI_Datatype mine;
  int bytes, *all = new_ints(total, -1), *back = new_ints(total, -1);
  MPI_Type_create_darray(size, rank, 2, sizes, distribs, args, dims, MPI_ORDER_C, MPI_INT, &mine);
  MPI_Type_commit(&mine);
  MPI_Type_size(mine, &bytes);
  int n = bytes / (int)sizeof(int), *part = new_ints(n, -1);
  MPI_Request request;
  MPI_Irecv(part, n, MPI_INT, 0, 0, comm, &request);
  for (int p = 0; p < size && rank == 0; p++) {
    MPI_Datatype theirs;
    for (int i = 0; i < total; i++) all[i] = value(0, i);
    MPI_Type_create_darray(size, p, 2, sizes, distribs, args, dims, MPI_ORDER_C, MPI_INT, &theirs);
    MPI_Type_commit(&theirs);
    MPI_Send(all, 1, theirs, p, 0, comm);
    MPI_Type_free(&theirs);
  }
  MPI_Wait(&request, MPI_STATUS_IGNORE);
  for (int i = 0; i < total; i++) all[i] = 0;
  MPI_Sendrecv(part, n, MPI_INT, rank, 1, all, 1, mine, rank, 1, comm, MPI_STATUS_IGNORE);
  MPI_Allreduce(all, back, total, MPI_INT, MPI_SUM, comm);
  for (int i = 0; i < total; i++) CHECK_INT(back[i], value(0, i));
  MPI_Type_free(&mine);
  free(all);
  free(back);
  free(part);
}

CHAPTER(type_darray, &type_darray_block, &type_darray_cyclic, &type_darray_mixed, &type_darray_collect)
