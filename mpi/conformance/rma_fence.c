/* rma_fence: putting, getting and accumulating between fences (MPI-5.0 sections 12.3 and 12.5.1). */
#include "conformance.h"

enum { N = 500 };

/* window exposes n ints, all -1, on every rank. */
static MPI_Win window(int n, int **mine) {
  MPI_Win win;
  *mine = new_ints(n, -1);
  MPI_Win_create(*mine, (MPI_Aint)sizeof(int) * n, sizeof(int), MPI_INFO_NULL, comm, &win);
  return win;
}

static void close_window(MPI_Win win, int *mine) {
  MPI_Win_free(&win);
  CHECK(win == MPI_WIN_NULL);
  free(mine);
}

TEST(rma_fence_put, 1, "MPI-5.0 section 12.3.1", "MPI_Win_create MPI_Win_fence MPI_Put MPI_Win_free") {
  int *mine, right = (rank + 1) % size, left = (rank + size - 1) % size, out[N];
  MPI_Win win = window(N, &mine);
  for (int round = 0; round < 4; round++) {
    for (int i = 0; i < N; i++) out[i] = value(rank, i + round);
    MPI_Win_fence(round == 0 ? MPI_MODE_NOPRECEDE : 0, win);
    MPI_Put(out, N - 10, MPI_INT, right, 10, N - 10, MPI_INT, win);
    MPI_Win_fence(round == 3 ? MPI_MODE_NOSUCCEED : 0, win);
    for (int i = 0; i < N; i++) CHECK_INT(mine[i], i < 10 ? -1 : value(left, i - 10 + round));
  }
  close_window(win, mine);
}

TEST(rma_fence_not_shared, 2, "MPI-5.0 section 12.2.3", "MPI_Win_allocate MPI_Win_create MPI_Win_shared_query") {
  int own[4];
  for (int kind = 0; kind < 2; kind++) {
    MPI_Win win;
    void *memory, *base = own;
    MPI_Aint size = -1;
    int unit = -1;
    if (kind == 0) MPI_Win_allocate(sizeof own, 1, MPI_INFO_NULL, MPI_COMM_WORLD, &memory, &win);
    else MPI_Win_create(own, sizeof own, 1, MPI_INFO_NULL, MPI_COMM_WORLD, &win);
    MPI_Win_shared_query(win, 1, &size, &unit, &base);
    CHECK_INT(size, 0);
    CHECK(base == NULL);
    MPI_Win_free(&win);
  }
}

TEST(rma_fence_nobody, 1, "MPI-5.0 section 12.3", "MPI_Put MPI_Get MPI_Accumulate MPI_Get_accumulate MPI_Fetch_and_op MPI_Compare_and_swap MPI_PROC_NULL") {
  const int nobody = MPI_PROC_NULL;
  MPI_Win win;
  MPI_Request request;
  int own[4] = {1, 2, 3, 4};
  MPI_Win_create(own, sizeof own, 1, MPI_INFO_NULL, MPI_COMM_WORLD, &win);
  MPI_Win_fence(0, win);
  MPI_Put(NULL, 1, MPI_INT, nobody, -5, 1, MPI_INT, win);
  MPI_Get(NULL, 1, MPI_INT, nobody, 0, 1, MPI_INT, win);
  MPI_Accumulate(NULL, 1, MPI_BYTE, nobody, 0, 1, MPI_INT, MPI_SUM, win);
  MPI_Get_accumulate(NULL, 1, MPI_INT, NULL, 1, MPI_INT, nobody, 0, 1, MPI_INT, MPI_SUM, win);
  MPI_Fetch_and_op(NULL, NULL, MPI_BYTE, nobody, 0, MPI_SUM, win);
  MPI_Compare_and_swap(NULL, NULL, NULL, MPI_DOUBLE, nobody, 0, win);
  MPI_Win_fence(0, win);
  MPI_Win_lock_all(0, win);
  MPI_Rput(NULL, 1, MPI_INT, nobody, 0, 1, MPI_INT, win, &request);
  MPI_Wait(&request, MPI_STATUS_IGNORE);
  MPI_Win_unlock_all(win);
  MPI_Win_free(&win);
  CHECK_INT(own[0], 1);
  MPI_Send(NULL, 1, MPI_INT, nobody, 0, MPI_COMM_WORLD);
  MPI_Recv(NULL, 1, MPI_INT, nobody, 0, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
  MPI_Sendrecv(NULL, 1, MPI_INT, nobody, 0, NULL, 1, MPI_INT, nobody, 0, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
}

TEST(rma_fence_get, 1, "MPI-5.0 section 12.3.2", "MPI_Get MPI_Win_fence") {
  int *mine, in[N];
  MPI_Win win = window(N, &mine);
  for (int i = 0; i < N; i++) mine[i] = value(rank, i);
  for (int d = 0; d < size; d++) {
    int from = (rank + d) % size;
    memset(in, 0, sizeof in);
    MPI_Win_fence(0, win);
    MPI_Get(in, N, MPI_INT, from, 0, N, MPI_INT, win);
    MPI_Win_fence(0, win);
    for (int i = 0; i < N; i++) CHECK_INT(in[i], value(from, i));
  }
  close_window(win, mine);
}

/* Everyone adds to everyone, at the same places and at the same time. */
TEST(rma_fence_accumulate, 1, "MPI-5.0 section 12.3.4", "MPI_Accumulate MPI_SUM MPI_MAX MPI_REPLACE") {
  int *mine, out[N];
  MPI_Win win = window(N, &mine);
  for (int i = 0; i < N; i++) mine[i] = 5, out[i] = rank * i;
  MPI_Win_fence(0, win);
  for (int p = 0; p < size; p++) MPI_Accumulate(out, N, MPI_INT, p, 0, N, MPI_INT, MPI_SUM, win);
  MPI_Win_fence(0, win);
  for (int i = 0; i < N; i++) CHECK_INT(mine[i], 5 + i * size * (size - 1) / 2);
  MPI_Win_fence(0, win);
  for (int p = 0; p < size; p++) MPI_Accumulate(out, 10, MPI_INT, p, 0, 10, MPI_INT, MPI_MAX, win);
  if (rank == 0) MPI_Accumulate(out, 5, MPI_INT, size - 1, 100, 5, MPI_INT, MPI_REPLACE, win);
  MPI_Win_fence(0, win);
  for (int i = 0; i < 10; i++) CHECK(mine[i] >= (size - 1) * i && mine[i] >= 5);
  for (int i = 0; i < 5 && rank == size - 1; i++) CHECK_INT(mine[100 + i], 0);
  close_window(win, mine);
}

/* Each rank has a window of its own size and unit; displacements count in the target's unit. */
TEST(rma_fence_units, 1, "MPI-5.0 section 12.2.1", "MPI_Win_create MPI_Put MPI_Get MPI_WIN_DISP_UNIT") {
  int unit = rank % 2 ? 1 : (int)sizeof(int), n = 10 + rank, *mine = new_ints(n, -1), *got = NULL, flag = 0;
  MPI_Win win;
  MPI_Win_create(mine, (MPI_Aint)sizeof(int) * n, unit, MPI_INFO_NULL, comm, &win);
  MPI_Win_get_attr(win, MPI_WIN_DISP_UNIT, &got, &flag);
  CHECK(flag && *got == unit);
  int right = (rank + 1) % size, left = (rank + size - 1) % size, x = value(rank, 0), in = -1;
  MPI_Aint at = right % 2 ? (MPI_Aint)sizeof(int) * (9 + right) : 9 + right;
  MPI_Win_fence(0, win);
  MPI_Put(&x, 1, MPI_INT, right, at, 1, MPI_INT, win); /* the last int of the window */
  MPI_Win_fence(0, win);
  for (int i = 0; i < n; i++) CHECK_INT(mine[i], i == n - 1 ? value(left, 0) : -1);
  MPI_Get(&in, 1, MPI_INT, right, at, 1, MPI_INT, win);
  MPI_Win_fence(0, win);
  CHECK_INT(in, x);
  MPI_Win_free(&win);
  free(mine);
}

/* Some ranks may have nothing to show. */
TEST(rma_fence_empty_windows, 2, "MPI-5.0 section 12.2.1", "MPI_Win_create MPI_Accumulate") {
  int *total = rank == 1 ? new_ints(1, 0) : NULL, x = rank + 1;
  MPI_Win win;
  MPI_Win_create(total, rank == 1 ? sizeof *total : 0, rank == 1 ? sizeof *total : 1, MPI_INFO_NULL, comm, &win);
  MPI_Win_fence(0, win);
  MPI_Accumulate(&x, 1, MPI_INT, 1, 0, 1, MPI_INT, MPI_SUM, win);
  MPI_Win_fence(0, win);
  if (rank == 1) CHECK_INT(*total, size * (size + 1) / 2);
  MPI_Win_free(&win);
  free(total);
}

TEST(rma_fence_proc_null, 1, "MPI-5.0 section 12.3", "MPI_Put MPI_Get MPI_Accumulate MPI_PROC_NULL") {
  int *mine, x = 3;
  MPI_Win win = window(4, &mine);
  MPI_Win_fence(0, win);
  MPI_Put(&x, 1, MPI_INT, MPI_PROC_NULL, 0, 1, MPI_INT, win);
  MPI_Get(&x, 1, MPI_INT, MPI_PROC_NULL, 99, 1, MPI_INT, win);
  MPI_Accumulate(&x, 1, MPI_INT, MPI_PROC_NULL, 0, 1, MPI_INT, MPI_SUM, win);
  MPI_Win_fence(0, win);
  CHECK_INT(x, 3);
  for (int i = 0; i < 4; i++) CHECK_INT(mine[i], -1);
  close_window(win, mine);
}

/* Megabytes in one call, both ways. */
TEST(rma_fence_large, 1, "MPI-5.0 section 12.3", "MPI_Put MPI_Get") {
  enum { BIG = 300000 };
  int *mine, right = (rank + 1) % size, left = (rank + size - 1) % size, *out = new_ints(BIG, 0),
             *in = new_ints(BIG, -1);
  MPI_Win win = window(2 * BIG, &mine);
  for (int i = 0; i < BIG; i++) {
    out[i] = value(rank, i);
    mine[BIG + i] = value(rank, i + 1);
  }
  MPI_Win_fence(0, win);
  MPI_Put(out, BIG, MPI_INT, right, 0, BIG, MPI_INT, win);
  MPI_Get(in, BIG, MPI_INT, left, BIG, BIG, MPI_INT, win);
  MPI_Win_fence(0, win);
  for (int i = 0; i < BIG; i++) {
    CHECK_INT(mine[i], value(left, i));
    CHECK_INT(in[i], value(left, i + 1));
  }
  close_window(win, mine);
  free(out);
  free(in);
}

/* Types on both sides: a row here is a column there. */
TEST(rma_fence_types, 1, "MPI-5.0 section 12.3", "MPI_Put MPI_Get MPI_Accumulate MPI_Type_vector MPI_Type_indexed") {
  enum { SIDE = 8 };
  int *mine, right = (rank + 1) % size, left = (rank + size - 1) % size, row[SIDE], in[2 * SIDE];
  MPI_Win win = window(SIDE * SIDE, &mine);
  MPI_Datatype column, gaps;
  MPI_Type_vector(SIDE, 1, SIDE, MPI_INT, &column);
  MPI_Type_vector(SIDE, 1, 2, MPI_INT, &gaps);
  MPI_Type_commit(&column);
  MPI_Type_commit(&gaps);
  for (int i = 0; i < SIDE; i++) row[i] = value(rank, i);
  for (int i = 0; i < 2 * SIDE; i++) in[i] = -1;
  MPI_Win_fence(0, win);
  MPI_Put(row, SIDE, MPI_INT, right, 3, 1, column, win);
  MPI_Win_fence(0, win);
  for (int i = 0; i < SIDE * SIDE; i++) CHECK_INT(mine[i], i % SIDE == 3 ? value(left, i / SIDE) : -1);
  MPI_Get(in, 1, gaps, right, 3, 1, column, win);
  MPI_Win_fence(0, win);
  for (int i = 0; i < 2 * SIDE; i++) CHECK_INT(in[i], i % 2 ? -1 : value(rank, i / 2));
  MPI_Accumulate(row, SIDE, MPI_INT, right, 3, 1, column, MPI_SUM, win);
  MPI_Win_fence(0, win);
  for (int i = 0; i < SIDE * SIDE; i++) CHECK_INT(mine[i], i % SIDE == 3 ? 2 * value(left, i / SIDE) : -1);
  MPI_Type_free(&column);
  MPI_Type_free(&gaps);
  close_window(win, mine);
}

TEST(rma_fence_attributes, 1, "MPI-5.0 section 12.2.6",
     "MPI_WIN_BASE MPI_WIN_SIZE MPI_WIN_CREATE_FLAVOR MPI_WIN_MODEL MPI_Win_get_group") {
  int *mine, flag = 0, *number = NULL, result = -1;
  void *base = NULL;
  MPI_Aint *bytes = NULL;
  MPI_Win win = window(N, &mine);
  MPI_Win_get_attr(win, MPI_WIN_BASE, &base, &flag);
  CHECK(flag && base == mine);
  MPI_Win_get_attr(win, MPI_WIN_SIZE, &bytes, &flag);
  CHECK(flag && *bytes == (MPI_Aint)(N * sizeof(int)));
  MPI_Win_get_attr(win, MPI_WIN_CREATE_FLAVOR, &number, &flag);
  CHECK(flag && *number == MPI_WIN_FLAVOR_CREATE);
  MPI_Win_get_attr(win, MPI_WIN_MODEL, &number, &flag);
  CHECK(flag && (*number == MPI_WIN_UNIFIED || *number == MPI_WIN_SEPARATE));
  MPI_Group of, all;
  MPI_Win_get_group(win, &of);
  MPI_Comm_group(comm, &all);
  MPI_Group_compare(of, all, &result);
  CHECK_INT(result, MPI_IDENT);
  MPI_Group_free(&of);
  MPI_Group_free(&all);
  close_window(win, mine);
}

TEST(rma_fence_allocate, 1, "MPI-5.0 section 12.2.2", "MPI_Win_allocate MPI_WIN_FLAVOR_ALLOCATE") {
  int *mine = NULL, *flavor = NULL, flag = 0, right = (rank + 1) % size, left = (rank + size - 1) % size;
  MPI_Win win;
  MPI_Win_allocate(N * sizeof(int), sizeof(int), MPI_INFO_NULL, comm, &mine, &win);
  CHECK(mine != NULL);
  MPI_Win_get_attr(win, MPI_WIN_CREATE_FLAVOR, &flavor, &flag);
  CHECK(flag && *flavor == MPI_WIN_FLAVOR_ALLOCATE);
  int out[N];
  for (int i = 0; i < N; i++) out[i] = value(rank, i);
  MPI_Win_fence(0, win);
  MPI_Put(out, N, MPI_INT, right, 0, N, MPI_INT, win);
  MPI_Win_fence(0, win);
  for (int i = 0; i < N; i++) CHECK_INT(mine[i], value(left, i));
  MPI_Win_free(&win);
}

/* Hints are taken, and told; what is not known is ignored. */
TEST(rma_fence_info, 1, "MPI-5.0 section 12.2.7", "MPI_Win_set_info MPI_Win_get_info") {
  int *mine;
  MPI_Win win = window(1, &mine);
  MPI_Info hints, got = MPI_INFO_NULL;
  MPI_Info_create(&hints);
  MPI_Info_set(hints, "no_locks", "true");
  MPI_Info_set(hints, "a_hint_nobody_knows", "1");
  MPI_Win_set_info(win, hints);
  MPI_Win_get_info(win, &got);
  CHECK(got != MPI_INFO_NULL);
  MPI_Info_free(&got);
  MPI_Info_free(&hints);
  close_window(win, mine);
}

TEST(rma_fence_errors, 1, "MPI-5.0 section 9.4",
     "MPI_Put MPI_Accumulate MPI_ERR_RANK MPI_ERR_COUNT MPI_ERR_TYPE MPI_ERR_OP MPI_ERR_WIN") {
  errors_return_everywhere();
  int *mine, x = 0;
  MPI_Win win = window(4, &mine);
  MPI_Win_set_errhandler(win, MPI_ERRORS_RETURN);
  MPI_Win_fence(0, win);
  CHECK_CLASS(MPI_Put(&x, 1, MPI_INT, size, 0, 1, MPI_INT, win), MPI_ERR_RANK);
  CHECK_CLASS(MPI_Get(&x, -1, MPI_INT, 0, 0, 1, MPI_INT, win), MPI_ERR_COUNT);
  CHECK_CLASS(MPI_Put(&x, 1, MPI_DATATYPE_NULL, 0, 0, 1, MPI_INT, win), MPI_ERR_TYPE);
  CHECK_CLASS(MPI_Accumulate(&x, 1, MPI_INT, 0, 0, 1, MPI_INT, MPI_OP_NULL, win), MPI_ERR_OP);
  CHECK_CLASS(MPI_Win_fence(0, MPI_WIN_NULL), MPI_ERR_WIN);
  MPI_Win_fence(0, win);
  close_window(win, mine);
}

CHAPTER(rma_fence, &rma_fence_put, &rma_fence_not_shared, &rma_fence_nobody, &rma_fence_get, &rma_fence_accumulate, &rma_fence_units, &rma_fence_empty_windows,
        &rma_fence_proc_null, &rma_fence_large, &rma_fence_types, &rma_fence_attributes, &rma_fence_allocate,
        &rma_fence_info, &rma_fence_errors)
