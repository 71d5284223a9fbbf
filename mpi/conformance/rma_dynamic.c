/* rma_dynamic: windows that memory is attached to later (MPI-5.0 section 12.2.5), and shared ones (12.2.3). */
#include "conformance.h"

/* The displacement in a dynamic window is the address at the target, which the target must tell. */
TEST(rma_dynamic_attach, 1, "MPI-5.0 section 12.2.5",
     "MPI_Win_create_dynamic MPI_Win_attach MPI_Win_detach MPI_Get_address") {
  enum { N = 50 };
  int *first = new_ints(N, -1), *second = new_ints(N, -1), *flavor = NULL, flag = 0, out[N];
  int right = (rank + 1) % size, left = (rank + size - 1) % size;
  MPI_Aint at[2], theirs[2];
  MPI_Win win;
  MPI_Win_create_dynamic(MPI_INFO_NULL, comm, &win);
  MPI_Win_get_attr(win, MPI_WIN_CREATE_FLAVOR, &flavor, &flag);
  CHECK(flag && *flavor == MPI_WIN_FLAVOR_DYNAMIC);
  MPI_Win_attach(win, first, N * sizeof *first);
  MPI_Win_attach(win, second, N * sizeof *second);
  MPI_Get_address(first, &at[0]);
  MPI_Get_address(second, &at[1]);
  MPI_Sendrecv(at, 2, MPI_AINT, left, 0, theirs, 2, MPI_AINT, right, 0, comm, MPI_STATUS_IGNORE);
  for (int i = 0; i < N; i++) out[i] = value(rank, i);
  MPI_Win_fence(0, win);
  MPI_Put(out, N - 5, MPI_INT, right, MPI_Aint_add(theirs[0], 5 * sizeof(int)), N - 5, MPI_INT, win);
  MPI_Put(out, 5, MPI_INT, right, theirs[1], 5, MPI_INT, win);
  MPI_Win_fence(0, win);
  for (int i = 0; i < N; i++) {
    CHECK_INT(first[i], i < 5 ? -1 : value(left, i - 5));
    CHECK_INT(second[i], i < 5 ? value(left, i) : -1);
  }
  MPI_Win_detach(win, first);
  MPI_Win_fence(0, win);
  MPI_Accumulate(out, 5, MPI_INT, right, theirs[1], 5, MPI_INT, MPI_SUM, win); /* the other still works */
  MPI_Win_fence(0, win);
  for (int i = 0; i < 5; i++) CHECK_INT(second[i], 2 * value(left, i));
  MPI_Win_detach(win, second);
  MPI_Win_free(&win);
  free(first);
  free(second);
}

/* Memory comes and goes, many times. */
TEST(rma_dynamic_again, 1, "MPI-5.0 section 12.2.5", "MPI_Win_attach MPI_Win_detach MPI_Win_lock MPI_Get") {
  MPI_Win win;
  int right = (rank + 1) % size, left = (rank + size - 1) % size;
  MPI_Win_create_dynamic(MPI_INFO_NULL, comm, &win);
  for (int round = 0; round < 10; round++) {
    int n = 1 + round * 37, *data = new_ints(n, 0), in = -1;
    MPI_Aint at, theirs;
    for (int i = 0; i < n; i++) data[i] = value(rank, i + round);
    MPI_Win_attach(win, data, (MPI_Aint)sizeof(int) * n);
    MPI_Get_address(&data[n - 1], &at);
    MPI_Sendrecv(&at, 1, MPI_AINT, left, 0, &theirs, 1, MPI_AINT, right, 0, comm, MPI_STATUS_IGNORE);
    MPI_Win_lock(MPI_LOCK_SHARED, right, 0, win);
    MPI_Get(&in, 1, MPI_INT, right, theirs, 1, MPI_INT, win);
    MPI_Win_unlock(right, win);
    CHECK_INT(in, value(right, n - 1 + round));
    MPI_Barrier(comm);
    MPI_Win_detach(win, data);
    free(data);
  }
  MPI_Win_free(&win);
}

/*
 * Shared memory may be missing, even where MPI_COMM_TYPE_SHARED puts several ranks together: then MPI_ERR_RMA_SHARED is
 * the answer, on all ranks.
 */
TEST(rma_dynamic_shared, 1, "MPI-5.0 section 12.2.3",
     "MPI_Win_allocate_shared MPI_Win_shared_query MPI_ERR_RMA_SHARED") {
  MPI_Comm node;
  MPI_Win win;
  int *mine = NULL, n, me, class = MPI_SUCCESS;
  errors_return_everywhere();
  MPI_Comm_split_type(comm, MPI_COMM_TYPE_SHARED, rank, MPI_INFO_NULL, &node);
  errors_return(node);
  MPI_Comm_size(node, &n);
  MPI_Comm_rank(node, &me);
  MPI_Error_class(MPI_Win_allocate_shared(4 * sizeof(int), sizeof(int), MPI_INFO_NULL, node, &mine, &win), &class);
  CHECK(class == MPI_SUCCESS || class == MPI_ERR_RMA_SHARED);
  if (class == MPI_SUCCESS) {
    MPI_Win_fence(0, win);
    for (int i = 0; i < 4; i++) mine[i] = value(rank, i);
    MPI_Win_fence(0, win);
    int *theirs = NULL, unit = 0, from = (me + 1) % n, other = -1;
    MPI_Aint bytes = 0;
    MPI_Win_shared_query(win, from, &bytes, &unit, &theirs);
    CHECK(bytes == (MPI_Aint)(4 * sizeof(int)) && unit == (int)sizeof(int) && theirs != NULL);
    MPI_Sendrecv(&rank, 1, MPI_INT, (me + n - 1) % n, 0, &other, 1, MPI_INT, from, 0, node, MPI_STATUS_IGNORE);
    for (int i = 0; i < 4; i++) CHECK_INT(theirs[i], value(other, i));
    MPI_Win_fence(0, win);
    MPI_Win_free(&win);
  }
  MPI_Comm_free(&node);
}

CHAPTER(rma_dynamic, &rma_dynamic_attach, &rma_dynamic_again, &rma_dynamic_shared)
