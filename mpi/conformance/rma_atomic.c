/* rma_atomic: operations that read and write at once (MPI-5.0 sections 12.3.4 and 12.7.1). */
#include "conformance.h"

/* More than any test needs: MPICH 4.0 mixes up the parts of ranks that are very short. */
enum { ROOM = 64 };

static MPI_Win window(int n, int **mine) {
  MPI_Win win;
  MPI_Win_allocate((MPI_Aint)sizeof(int) * (n + ROOM), sizeof(int), MPI_INFO_NULL, comm, mine, &win);
  for (int i = 0; i < n; i++) (*mine)[i] = 0;
  MPI_Barrier(comm);
  return win;
}

static int fetch(MPI_Win win, int target, int at) {
  int x = -1;
  MPI_Fetch_and_op(NULL, &x, MPI_INT, target, at, MPI_NO_OP, win);
  MPI_Win_flush(target, win);
  return x;
}

/* Tickets: each number is drawn exactly once. */
TEST(rma_atomic_tickets, 1, "MPI-5.0 section 12.3.4", "MPI_Fetch_and_op MPI_SUM MPI_NO_OP") {
  enum { EACH = 30 };
  int *mine, one = 1, root = size / 2, *drawn = new_ints(EACH * size, 0), *all = new_ints(EACH * size, 0);
  MPI_Win win = window(1, &mine);
  MPI_Win_lock_all(0, win);
  for (int i = 0, last = -1; i < EACH; i++) {
    int ticket = -1;
    MPI_Fetch_and_op(&one, &ticket, MPI_INT, root, 0, MPI_SUM, win);
    MPI_Win_flush(root, win);
    CHECK(ticket > last && ticket < EACH * size);
    drawn[ticket]++;
    last = ticket;
  }
  MPI_Barrier(comm);
  CHECK_INT(fetch(win, root, 0), EACH * size);
  MPI_Win_unlock_all(win);
  MPI_Allreduce(drawn, all, EACH * size, MPI_INT, MPI_SUM, comm);
  for (int i = 0; i < EACH * size; i++) CHECK_INT(all[i], 1);
  MPI_Win_free(&win);
  free(drawn);
  free(all);
}

/* A spin lock made of compare-and-swap, around a counter that is read and written in two steps. */
TEST(rma_atomic_spin_lock, 1, "MPI-5.0 section 12.3.4", "MPI_Compare_and_swap MPI_Accumulate MPI_REPLACE") {
  enum { EACH = 5 };
  int *mine, free_ = 0, owner = rank + 1, old = -1, x = -1;
  MPI_Win win = window(2, &mine);
  MPI_Win_lock_all(0, win);
  for (int i = 0; i < EACH; i++) {
    do {
      MPI_Compare_and_swap(&owner, &free_, &old, MPI_INT, 0, 0, win);
      MPI_Win_flush(0, win);
    } while (old != 0);
    MPI_Get(&x, 1, MPI_INT, 0, 1, 1, MPI_INT, win);
    MPI_Win_flush(0, win);
    x++;
    MPI_Put(&x, 1, MPI_INT, 0, 1, 1, MPI_INT, win);
    MPI_Win_flush(0, win);
    MPI_Compare_and_swap(&free_, &owner, &old, MPI_INT, 0, 0, win);
    MPI_Win_flush(0, win);
    CHECK_INT(old, owner);
  }
  MPI_Barrier(comm);
  CHECK_INT(fetch(win, 0, 1), EACH * size);
  MPI_Win_unlock_all(win);
  MPI_Win_free(&win);
}

/* A swap that does not match tells what is there, and changes nothing. */
TEST(rma_atomic_swap_types, 1, "MPI-5.0 section 12.3.4", "MPI_Compare_and_swap MPI_INT64_T MPI_UNSIGNED_CHAR") {
  struct {
    int64_t wide;
    unsigned char narrow;
  } * mine;
  MPI_Win win;
  MPI_Win_allocate(sizeof *mine, 1, MPI_INFO_NULL, comm, &mine, &win);
  mine->wide = (int64_t)rank << 40;
  mine->narrow = (unsigned char)rank;
  MPI_Barrier(comm);
  int right = (rank + 1) % size;
  int64_t wide = -5, expect = ((int64_t)right << 40) + 1, old = -1;
  unsigned char narrow = 200, is = (unsigned char)right, was = 99;
  MPI_Win_lock(MPI_LOCK_EXCLUSIVE, right, 0, win);
  MPI_Compare_and_swap(&wide, &expect, &old, MPI_INT64_T, right, 0, win);
  MPI_Win_flush(right, win);
  CHECK(old == (int64_t)right << 40);
  expect = old;
  MPI_Compare_and_swap(&wide, &expect, &old, MPI_INT64_T, right, 0, win);
  MPI_Win_flush(right, win);
  CHECK(old == (int64_t)right << 40);
  MPI_Compare_and_swap(&wide, &expect, &old, MPI_INT64_T, right, 0, win);
  MPI_Win_flush(right, win);
  CHECK(old == -5);
  MPI_Compare_and_swap(&narrow, &is, &was, MPI_UNSIGNED_CHAR, right, sizeof(int64_t), win);
  MPI_Win_unlock(right, win);
  CHECK_INT(was, right);
  MPI_Barrier(comm);
  MPI_Win_lock(MPI_LOCK_SHARED, rank, 0, win);
  CHECK(mine->wide == -5 && mine->narrow == 200);
  MPI_Win_unlock(rank, win);
  MPI_Win_free(&win);
}

/* Get_accumulate gives what was there before, element by element. */
TEST(rma_atomic_get_accumulate, 1, "MPI-5.0 section 12.3.4", "MPI_Get_accumulate MPI_SUM MPI_NO_OP MPI_REPLACE") {
  enum { N = 100 };
  int *mine, out[N], old[N], right = (rank + 1) % size, left = (rank + size - 1) % size;
  MPI_Win win = window(N, &mine);
  for (int i = 0; i < N; i++) out[i] = value(rank, i), old[i] = -1;
  MPI_Win_lock(MPI_LOCK_EXCLUSIVE, right, 0, win);
  MPI_Get_accumulate(out, N, MPI_INT, old, N, MPI_INT, right, 0, N, MPI_INT, MPI_REPLACE, win);
  MPI_Win_flush(right, win);
  for (int i = 0; i < N; i++) CHECK_INT(old[i], 0);
  MPI_Get_accumulate(out, N, MPI_INT, old, N, MPI_INT, right, 0, N, MPI_INT, MPI_SUM, win);
  MPI_Win_flush(right, win);
  for (int i = 0; i < N; i++) CHECK_INT(old[i], value(rank, i));
  MPI_Get_accumulate(NULL, 0, MPI_DATATYPE_NULL, old, N, MPI_INT, right, 0, N, MPI_INT, MPI_NO_OP, win);
  MPI_Win_unlock(right, win);
  for (int i = 0; i < N; i++) CHECK_INT(old[i], 2 * value(rank, i));
  MPI_Barrier(comm);
  MPI_Win_lock(MPI_LOCK_SHARED, rank, 0, win);
  for (int i = 0; i < N; i++) CHECK_INT(mine[i], 2 * value(left, i));
  MPI_Win_unlock(rank, win);
  MPI_Win_free(&win);
}

/* Accumulates of one origin at one place are applied in the order of the calls (MPI-5.0 section 12.7.2). */
TEST(rma_atomic_order, 1, "MPI-5.0 section 12.7.2", "MPI_Accumulate MPI_REPLACE MPI_SUM MPI_PROD") {
  int *mine, right = (rank + 1) % size;
  MPI_Win win = window(1, &mine);
  for (int round = 0; round < 10; round++) {
    int ops[5] = {round + 1, 10, 3, -4, 7};
    MPI_Win_lock(MPI_LOCK_SHARED, right, 0, win);
    MPI_Accumulate(&ops[0], 1, MPI_INT, right, 0, 1, MPI_INT, MPI_REPLACE, win);
    MPI_Accumulate(&ops[1], 1, MPI_INT, right, 0, 1, MPI_INT, MPI_SUM, win);
    MPI_Accumulate(&ops[1], 1, MPI_INT, right, 0, 1, MPI_INT, MPI_SUM, win);
    MPI_Win_unlock(right, win);
    MPI_Win_lock(MPI_LOCK_SHARED, right, 0, win);
    MPI_Accumulate(&ops[2], 1, MPI_INT, right, 0, 1, MPI_INT, MPI_REPLACE, win);
    MPI_Accumulate(&ops[0], 1, MPI_INT, right, 0, 1, MPI_INT, MPI_REPLACE, win);
    MPI_Win_unlock(right, win);
    MPI_Barrier(comm);
    int x = -1;
    MPI_Win_lock(MPI_LOCK_SHARED, rank, 0, win);
    MPI_Get(&x, 1, MPI_INT, rank, 0, 1, MPI_INT, win);
    MPI_Win_unlock(rank, win);
    CHECK_INT(x, round + 1);
    MPI_Barrier(comm);
  }
  MPI_Win_free(&win);
}

/* Every operation that may accumulate, on a type or two. */
TEST(rma_atomic_ops, 1, "MPI-5.0 section 12.3.4",
     "MPI_Accumulate MPI_PROD MPI_BAND MPI_BXOR MPI_MIN MPI_DOUBLE MPI_2INT MPI_MAXLOC") {
  struct all {
    int prod, band, bor, bxor, min;
    double sum;
    struct {
      int v, i;
    } most;
  } * mine;
  MPI_Win win;
  MPI_Win_allocate(sizeof *mine, 1, MPI_INFO_NULL, comm, &mine, &win);
  *mine = (struct all){2, 0xff, 0, 0x0f, 100, 0.5, {-1, -1}};
  int two = 2, mask = 0xf0 | rank, bit = 1 << rank, low = 50 - rank;
  double half = 0.25;
  struct {
    int v, i;
  } pair = {rank % 3, rank};
  MPI_Win_fence(0, win);
#define ADD(x, type, op, member) \
  MPI_Accumulate(&x, 1, type, 0, (MPI_Aint)offsetof(struct all, member), 1, type, op, win)
  ADD(two, MPI_INT, MPI_PROD, prod);
  ADD(mask, MPI_INT, MPI_BAND, band);
  ADD(bit, MPI_INT, MPI_BOR, bor);
  ADD(bit, MPI_INT, MPI_BXOR, bxor);
  ADD(low, MPI_INT, MPI_MIN, min);
  ADD(half, MPI_DOUBLE, MPI_SUM, sum);
  ADD(pair, MPI_2INT, MPI_MAXLOC, most);
#undef ADD
  MPI_Win_fence(0, win);
  if (rank == 0) {
    int all = 0xff, most = size > 2 ? 2 : size - 1;
    for (int r = 0; r < size; r++) all &= 0xf0 | r;
    CHECK_INT(mine->prod, 2 << size);
    CHECK_INT(mine->band, all);
    CHECK_INT(mine->bor, (1 << size) - 1);
    CHECK_INT(mine->bxor, 0x0f ^ ((1 << size) - 1));
    CHECK_INT(mine->min, 50 - (size - 1));
    CHECK(mine->sum == 0.5 + 0.25 * size);
    CHECK_INT(mine->most.v, most);
    CHECK_INT(mine->most.i, most);
  }
  MPI_Win_free(&win);
}

CHAPTER(rma_atomic, &rma_atomic_tickets, &rma_atomic_spin_lock, &rma_atomic_swap_types, &rma_atomic_get_accumulate,
        &rma_atomic_order, &rma_atomic_ops)
