/* rma_request: one-sided calls that give a request (MPI-5.0 section 12.3.5). */
#include "conformance.h"

enum { N = 200 };

static MPI_Win window(int **mine) {
  MPI_Win win;
  MPI_Win_allocate((MPI_Aint)sizeof(int) * N, sizeof(int), MPI_INFO_NULL, comm, mine, &win);
  for (int i = 0; i < N; i++) (*mine)[i] = value(rank, i);
  MPI_Barrier(comm);
  return win;
}

/* A get is complete, with its data, when its request is; no flush is needed. */
TEST(rma_request_rget, 1, "MPI-5.0 section 12.3.5", "MPI_Rget MPI_Waitall MPI_Waitany") {
  int *mine, *in = new_ints(N * size, -1);
  MPI_Request *requests = allocate((size_t)size * sizeof *requests);
  MPI_Win win = window(&mine);
  MPI_Win_lock_all(0, win);
  for (int p = 0; p < size; p++) MPI_Rget(in + p * N, N, MPI_INT, p, 0, N, MPI_INT, win, &requests[p]);
  for (int k = 0; k < size; k++) {
    int p = -1;
    MPI_Waitany(size, requests, &p, MPI_STATUS_IGNORE);
    for (int i = 0; i < N; i++) CHECK_INT(in[p * N + i], value(p, i));
  }
  MPI_Win_unlock_all(win);
  MPI_Win_free(&win);
  free(requests);
  free(in);
}

/* A put's request frees its buffer; the flush makes it visible. */
TEST(rma_request_rput, 1, "MPI-5.0 section 12.3.5", "MPI_Rput MPI_Raccumulate MPI_Rget_accumulate MPI_Wait MPI_Test") {
  int *mine, out[N], old[N], right = (rank + 1) % size, left = (rank + size - 1) % size, flag = 0;
  MPI_Request request;
  MPI_Win win = window(&mine);
  MPI_Win_lock_all(0, win);
  for (int i = 0; i < N; i++) out[i] = 1000 + i;
  MPI_Rput(out, N, MPI_INT, right, 0, N, MPI_INT, win, &request);
  MPI_Wait(&request, MPI_STATUS_IGNORE);
  CHECK(request == MPI_REQUEST_NULL);
  memset(out, 0, sizeof out);
  MPI_Win_flush(right, win);
  for (int i = 0; i < N; i++) out[i] = rank;
  MPI_Raccumulate(out, N, MPI_INT, right, 0, N, MPI_INT, MPI_SUM, win, &request);
  while (!flag) MPI_Test(&request, &flag, MPI_STATUS_IGNORE);
  MPI_Win_flush(right, win);
  MPI_Rget_accumulate(out, N, MPI_INT, old, N, MPI_INT, right, 0, N, MPI_INT, MPI_SUM, win, &request);
  MPI_Wait(&request, MPI_STATUS_IGNORE);
  for (int i = 0; i < N; i++) CHECK_INT(old[i], 1000 + i + rank);
  MPI_Win_unlock_all(win);
  MPI_Barrier(comm);
  MPI_Win_lock(MPI_LOCK_SHARED, rank, 0, win);
  for (int i = 0; i < N; i++) CHECK_INT(mine[i], 1000 + i + 2 * left);
  MPI_Win_unlock(rank, win);
  MPI_Win_free(&win);
}

TEST(rma_request_proc_null, 1, "MPI-5.0 section 12.3.5", "MPI_Rput MPI_Rget MPI_PROC_NULL") {
  int *mine, x = 8;
  MPI_Request requests[2];
  MPI_Win win = window(&mine);
  MPI_Win_lock_all(0, win);
  MPI_Rput(&x, 1, MPI_INT, MPI_PROC_NULL, 0, 1, MPI_INT, win, &requests[0]);
  MPI_Rget(&x, 1, MPI_INT, MPI_PROC_NULL, 0, 1, MPI_INT, win, &requests[1]);
  MPI_Waitall(2, requests, MPI_STATUSES_IGNORE);
  CHECK_INT(x, 8);
  MPI_Win_unlock_all(win);
  MPI_Win_free(&win);
}

CHAPTER(rma_request, &rma_request_rget, &rma_request_rput, &rma_request_proc_null)
