/* type_subarray: a block of an array, in both orders (MPI-5.0 section 5.1.3). */
#include "layout.h"

enum { DIMS = 4, MOST = 400 };

/* model lists the places of a block by walking through all cells of the array in the order of memory. */
static int model(int dims, const int *sizes, const int *parts, const int *starts, int order, int *at) {
  int total = 1, n = 0;
  for (int d = 0; d < dims; d++) total *= sizes[d];
  for (int cell = 0; cell < total; cell++) {
    int rest = cell, inside = 1;
    for (int k = 0; k < dims; k++) {
      int d = order == MPI_ORDER_C ? dims - 1 - k : k; /* the dimension that varies fastest first */
      int x = rest % sizes[d];
      rest /= sizes[d];
      inside = inside && x >= starts[d] && x < starts[d] + parts[d];
    }
    if (inside) at[n++] = cell;
  }
  return n;
}

static void check_block(int dims, const int *sizes, const int *parts, const int *starts, int order) {
  int at[MOST], total = 1, n = model(dims, sizes, parts, starts, order, at);
  for (int d = 0; d < dims; d++) total *= sizes[d];
  struct layout l = {MPI_DATATYPE_NULL, n, at, 0, total, at[0], at[n - 1] - at[0] + 1};
  MPI_Type_create_subarray(dims, sizes, parts, starts, order, MPI_INT, &l.type);
  MPI_Type_commit(&l.type);
  check_layout(&l);
  MPI_Type_free(&l.type);
}

static void check_order(int order) {
  const int sizes[DIMS] = {5, 4, 3, 6}, parts[DIMS] = {2, 3, 1, 4}, starts[DIMS] = {1, 1, 2, 0};
  for (int dims = 1; dims <= DIMS; dims++) check_block(dims, sizes, parts, starts, order);
}

TEST(type_subarray_c, 1, "MPI-5.0 section 5.1.3", "MPI_Type_create_subarray MPI_ORDER_C") { check_order(MPI_ORDER_C); }

TEST(type_subarray_fortran, 1, "MPI-5.0 section 5.1.3", "MPI_Type_create_subarray MPI_ORDER_FORTRAN") {
  check_order(MPI_ORDER_FORTRAN);
}

TEST(type_subarray_whole, 1, "MPI-5.0 section 5.1.3", "MPI_Type_create_subarray") {
  const int sizes[] = {3, 7}, corner[] = {0, 0}, ones[] = {1, 1}, last[] = {2, 6};
  check_block(2, sizes, sizes, corner, MPI_ORDER_C);
  check_block(2, sizes, ones, corner, MPI_ORDER_C);
  check_block(2, sizes, ones, last, MPI_ORDER_C);
  check_block(2, sizes, ones, last, MPI_ORDER_FORTRAN);
}

/* Halo exchange of a 2D field by faces, as programs do: columns from the right neighbour and rows from below. */
TEST(type_subarray_halo, 1, "MPI-5.0 section 5.1.3", "MPI_Type_create_subarray MPI_Sendrecv") {
  enum { N = 6, W = N + 2 };
  int field[W][W], right = (rank + 1) % size, left = (rank + size - 1) % size;
  for (int i = 0; i < W; i++)
    for (int j = 0; j < W; j++) field[i][j] = i > 0 && i <= N && j > 0 && j <= N ? value(rank, i * W + j) : -1;
  const int sizes[] = {W, W}, parts[] = {N, 1}, inner[] = {1, 1}, ghost[] = {1, N + 1};
  MPI_Datatype first, halo;
  MPI_Type_create_subarray(2, sizes, parts, inner, MPI_ORDER_C, MPI_INT, &first);
  MPI_Type_create_subarray(2, sizes, parts, ghost, MPI_ORDER_C, MPI_INT, &halo);
  MPI_Type_commit(&first);
  MPI_Type_commit(&halo);
  MPI_Sendrecv(field, 1, first, left, 0, field, 1, halo, right, 0, comm, MPI_STATUS_IGNORE);
  for (int i = 1; i <= N; i++) CHECK_INT(field[i][N + 1], value(right, i * W + 1));
  CHECK(field[0][N + 1] == -1 && field[N + 1][N + 1] == -1 && field[3][0] == -1);
  MPI_Type_free(&first);
  MPI_Type_free(&halo);
}

TEST(type_subarray_errors, 1, "MPI-5.0 section 9.4", "MPI_Type_create_subarray MPI_ERR_ARG") {
  errors_return_everywhere();
  const int sizes[] = {4, 4}, parts[] = {2, 5}, starts[] = {0, 0}, good[] = {2, 2}, late[] = {3, 0};
  MPI_Datatype t;
  CHECK_CLASS(MPI_Type_create_subarray(2, sizes, parts, starts, MPI_ORDER_C, MPI_INT, &t), MPI_ERR_ARG);
  CHECK_CLASS(MPI_Type_create_subarray(2, sizes, good, late, MPI_ORDER_C, MPI_INT, &t), MPI_ERR_ARG);
  CHECK_CLASS(MPI_Type_create_subarray(2, sizes, good, starts, 12345, MPI_INT, &t), MPI_ERR_ARG);
}

CHAPTER(type_subarray, &type_subarray_c, &type_subarray_fortran, &type_subarray_whole, &type_subarray_halo,
        &type_subarray_errors)
