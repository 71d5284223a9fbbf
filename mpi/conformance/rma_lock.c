/* rma_lock: passive targets: locks and flushes (MPI-5.0 sections 12.5.3 and 12.5.4). */
#include "conformance.h"

/* MPICH 4.0 mixes up the parts of ranks that are shorter than this; rma_lock_tiny has such. */
enum { ROOM = 64 };

static MPI_Win window(int n, int **mine) {
  MPI_Win win;
  MPI_Win_allocate((MPI_Aint)sizeof(int) * (n + ROOM), sizeof(int), MPI_INFO_NULL, comm, mine, &win);
  for (int i = 0; i < n; i++) (*mine)[i] = 0;
  MPI_Barrier(comm);
  return win;
}

/* read_own reads this rank's window in the way that every memory model allows. */
static int read_own(MPI_Win win, int at) {
  int x = -1;
  MPI_Win_lock(MPI_LOCK_SHARED, rank, 0, win);
  MPI_Get(&x, 1, MPI_INT, rank, at, 1, MPI_INT, win);
  MPI_Win_unlock(rank, win);
  return x;
}

/* Reading, adding and writing under an exclusive lock loses nothing: the target makes no call meanwhile. */
TEST(rma_lock_exclusive, 1, "MPI-5.0 section 12.5.3",
     "MPI_Win_lock MPI_Win_unlock MPI_LOCK_EXCLUSIVE MPI_Get MPI_Put") {
  enum { TIMES = 20 };
  int *mine, root = size - 1;
  MPI_Win win = window(2, &mine);
  for (int i = 0; i < TIMES; i++) {
    int x[2] = {-1, -1};
    MPI_Win_lock(MPI_LOCK_EXCLUSIVE, root, 0, win);
    MPI_Get(x, 2, MPI_INT, root, 0, 2, MPI_INT, win);
    MPI_Win_flush(root, win);
    CHECK_INT(x[0], -x[1]); /* nobody sees half of another's work */
    x[0] += rank + 1;
    MPI_Put(&x[0], 1, MPI_INT, root, 0, 1, MPI_INT, win);
    MPI_Win_flush(root, win);
    x[1] = -x[0];
    MPI_Put(&x[1], 1, MPI_INT, root, 1, 1, MPI_INT, win);
    MPI_Win_unlock(root, win);
  }
  MPI_Barrier(comm);
  if (rank == root) CHECK_INT(read_own(win, 0), TIMES * size * (size + 1) / 2);
  MPI_Win_free(&win);
}

/* Many readers at once. */
TEST(rma_lock_shared, 1, "MPI-5.0 section 12.5.3", "MPI_Win_lock MPI_LOCK_SHARED MPI_Get") {
  int *mine, in[4];
  MPI_Win win = window(4, &mine);
  MPI_Win_lock(MPI_LOCK_EXCLUSIVE, rank, 0, win);
  for (int i = 0; i < 4; i++) mine[i] = value(rank, i);
  MPI_Win_unlock(rank, win);
  MPI_Barrier(comm);
  for (int d = 0; d < size; d++) {
    int from = (rank + d) % size;
    MPI_Win_lock(MPI_LOCK_SHARED, from, 0, win);
    MPI_Get(in, 4, MPI_INT, from, 0, 4, MPI_INT, win);
    MPI_Win_unlock(from, win);
    for (int i = 0; i < 4; i++) CHECK_INT(in[i], value(from, i));
  }
  MPI_Win_free(&win);
}

TEST(rma_lock_all, 1, "MPI-5.0 section 12.5.3",
     "MPI_Win_lock_all MPI_Win_unlock_all MPI_Win_flush MPI_Win_flush_all MPI_Put") {
  int *mine, *in = new_ints(size, -1), x = value(rank, 2), *sum = new_ints(size, 0);
  MPI_Win win = window(size, &mine);
  MPI_Win_lock_all(0, win);
  for (int p = 0; p < size; p++) MPI_Put(&x, 1, MPI_INT, p, rank, 1, MPI_INT, win);
  MPI_Win_flush_all(win);
  MPI_Barrier(comm); /* all flushes are done: all puts are there */
  for (int p = 0; p < size; p++) MPI_Get(&in[p], 1, MPI_INT, (rank + 1) % size, p, 1, MPI_INT, win);
  MPI_Win_flush((rank + 1) % size, win);
  for (int p = 0; p < size; p++) CHECK_INT(in[p], value(p, 2));
  MPI_Win_unlock_all(win);
  MPI_Barrier(comm);
  for (int p = 0; p < size; p++) CHECK_INT(read_own(win, p), value(p, 2));
  MPI_Win_free(&win);
  free(in);
  free(sum);
}

/* After a local flush the buffer may be used again, and the data still arrives. */
TEST(rma_lock_flush_local, 1, "MPI-5.0 section 12.5.4", "MPI_Win_flush_local MPI_Win_flush_local_all MPI_Win_sync") {
  enum { N = 1000 };
  int *mine, out[N], right = (rank + 1) % size, left = (rank + size - 1) % size;
  MPI_Win win = window(2 * N, &mine);
  MPI_Win_lock_all(MPI_MODE_NOCHECK, win);
  for (int i = 0; i < N; i++) out[i] = value(rank, i);
  MPI_Put(out, N, MPI_INT, right, 0, N, MPI_INT, win);
  MPI_Win_flush_local(right, win);
  for (int i = 0; i < N; i++) out[i] = -value(rank, i);
  MPI_Put(out, N, MPI_INT, right, N, N, MPI_INT, win);
  MPI_Win_flush_local_all(win);
  memset(out, 0, sizeof out);
  MPI_Win_unlock_all(win);
  MPI_Barrier(comm);
  MPI_Win_lock(MPI_LOCK_SHARED, rank, 0, win);
  MPI_Win_sync(win);
  for (int i = 0; i < N; i++) {
    CHECK_INT(mine[i], value(left, i));
    CHECK_INT(mine[N + i], -value(left, i));
  }
  MPI_Win_unlock(rank, win);
  MPI_Win_free(&win);
}

/* Locks on several targets may be held at once, and given back in any order. */
TEST(rma_lock_several, 2, "MPI-5.0 section 12.5.3", "MPI_Win_lock MPI_Win_unlock MPI_Accumulate") {
  int *mine, one = 1, a = rank, b = (rank + 1) % size;
  MPI_Win win = window(1, &mine);
  MPI_Win_lock(MPI_LOCK_SHARED, a, 0, win);
  MPI_Win_lock(MPI_LOCK_SHARED, b, 0, win);
  MPI_Accumulate(&one, 1, MPI_INT, a, 0, 1, MPI_INT, MPI_SUM, win);
  MPI_Accumulate(&one, 1, MPI_INT, b, 0, 1, MPI_INT, MPI_SUM, win);
  MPI_Win_unlock(a, win);
  MPI_Win_unlock(b, win);
  MPI_Barrier(comm);
  CHECK_INT(read_own(win, 0), 2);
  MPI_Win_free(&win);
}

/* A window of one int a rank, which is each rank's own. */
TEST(rma_lock_tiny, 1, "MPI-5.0 section 12.2.2", "MPI_Win_allocate MPI_Accumulate") {
  int *mine, x = rank + 1, right = (rank + 1) % size, left = (rank + size - 1) % size;
  MPI_Win win;
  MPI_Win_allocate(sizeof(int), sizeof(int), MPI_INFO_NULL, comm, &mine, &win);
  *mine = 0;
  MPI_Barrier(comm);
  MPI_Win_lock(MPI_LOCK_SHARED, right, 0, win);
  MPI_Accumulate(&x, 1, MPI_INT, right, 0, 1, MPI_INT, MPI_SUM, win);
  MPI_Win_unlock(right, win);
  MPI_Barrier(comm);
  CHECK_INT(read_own(win, 0), left + 1);
  MPI_Win_free(&win);
}

/* The target is in a receive all the while. */
TEST(rma_lock_target_busy, 2, "MPI-5.0 section 12.7.3", "MPI_Win_lock MPI_Put MPI_Recv") {
  int *mine, in = 0;
  MPI_Win win = window(1, &mine);
  if (rank == 0) {
    MPI_Recv(&in, 1, MPI_INT, 1, 0, comm, MPI_STATUS_IGNORE);
    CHECK_INT(read_own(win, 0), in);
  } else if (rank == 1) {
    int x = 4711;
    MPI_Win_lock(MPI_LOCK_EXCLUSIVE, 0, 0, win);
    MPI_Put(&x, 1, MPI_INT, 0, 0, 1, MPI_INT, win);
    MPI_Win_unlock(0, win);
    MPI_Send(&x, 1, MPI_INT, 0, 0, comm);
  }
  MPI_Win_free(&win);
}

CHAPTER(rma_lock, &rma_lock_exclusive, &rma_lock_shared, &rma_lock_all, &rma_lock_flush_local, &rma_lock_several,
        &rma_lock_tiny, &rma_lock_target_busy)
