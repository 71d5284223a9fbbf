/* large_count: the variants whose counts are MPI_Count (MPI-5.0 section 2.5.8), with counts that are small. */
#include "conformance.h"

#if MPI_SINCE(4, 0)

enum { N = 100 };

TEST(large_count_p2p, 1, "MPI-5.0 section 3.2",
     "MPI_Send_c MPI_Recv_c MPI_Isend_c MPI_Irecv_c MPI_Sendrecv_c MPI_Get_count_c MPI_Ssend_c") {
  int out[N], in[N], right = (rank + 1) % size, left = (rank + size - 1) % size;
  MPI_Count n = -1;
  MPI_Request requests[2];
  MPI_Status statuses[2], status;
  for (int i = 0; i < N; i++) out[i] = value(rank, i), in[i] = -1;
  MPI_Irecv_c(in, N, MPI_INT, left, 1, comm, &requests[0]);
  MPI_Isend_c(out, N - 1, MPI_INT, right, 1, comm, &requests[1]);
  MPI_Waitall(2, requests, statuses);
  MPI_Get_count_c(&statuses[0], MPI_INT, &n);
  CHECK_INT(n, N - 1);
  for (int i = 0; i < N - 1; i++) CHECK_INT(in[i], value(left, i));
  MPI_Sendrecv_c(out, 3, MPI_INT, right, 2, in, N, MPI_INT, left, 2, comm, &status);
  MPI_Get_elements_c(&status, MPI_INT, &n);
  CHECK_INT(n, 3);
  MPI_Sendrecv_replace_c(out, 5, MPI_INT, right, 3, left, 3, comm, &status);
  for (int i = 0; i < 5; i++) CHECK_INT(out[i], value(left, i));
  if (rank == 0 && size > 1) {
    MPI_Send_c(in, 3, MPI_INT, 1, 4, comm);
    MPI_Ssend_c(in, 3, MPI_INT, 1, 5, comm);
  } else if (rank == 1) {
    MPI_Recv_c(in, N, MPI_INT, 0, 4, comm, &status);
    CHECK_STATUS(&status, 0, 4, MPI_INT, 3);
    MPI_Recv_c(in, N, MPI_INT, 0, 5, comm, MPI_STATUS_IGNORE);
  }
}

TEST(large_count_collectives, 1, "MPI-5.0 chapter 6",
     "MPI_Bcast_c MPI_Allreduce_c MPI_Reduce_c MPI_Allgather_c MPI_Alltoall_c MPI_Gather_c MPI_Scatter_c MPI_Scan_c") {
  int x[2] = {rank, 2 * rank}, sum[2] = {-1, -1}, *all = new_ints(2 * size, -1), cast[2] = {7, 8};
  MPI_Allreduce_c(x, sum, 2, MPI_INT, MPI_SUM, comm);
  CHECK(sum[0] == size * (size - 1) / 2 && sum[1] == size * (size - 1));
  MPI_Reduce_c(x, sum, 2, MPI_INT, MPI_MAX, 0, comm);
  if (rank == 0) CHECK(sum[0] == size - 1 && sum[1] == 2 * size - 2);
  MPI_Scan_c(x, sum, 2, MPI_INT, MPI_SUM, comm);
  CHECK_INT(sum[0], rank * (rank + 1) / 2);
  if (rank != size - 1) cast[0] = cast[1] = 0;
  MPI_Bcast_c(cast, 2, MPI_INT, size - 1, comm);
  CHECK(cast[0] == 7 && cast[1] == 8);
  MPI_Allgather_c(x, 2, MPI_INT, all, 2, MPI_INT, comm);
  for (int p = 0; p < size; p++) CHECK(all[2 * p] == p && all[2 * p + 1] == 2 * p);
  int *out = new_ints(size, 0), *in = new_ints(size, -1);
  for (int p = 0; p < size; p++) out[p] = value(rank, p);
  MPI_Alltoall_c(out, 1, MPI_INT, in, 1, MPI_INT, comm);
  for (int p = 0; p < size; p++) CHECK_INT(in[p], value(p, rank));
  MPI_Gather_c(x, 1, MPI_INT, in, 1, MPI_INT, 0, comm);
  for (int p = 0; p < size && rank == 0; p++) CHECK_INT(in[p], p);
  MPI_Scatter_c(out, 1, MPI_INT, in, 1, MPI_INT, 0, comm);
  CHECK_INT(in[0], value(0, rank));
  free(all);
  free(out);
  free(in);
}

TEST(large_count_vectors, 1, "MPI-5.0 chapter 6", "MPI_Allgatherv_c MPI_Alltoallv_c MPI_Gatherv_c MPI_Scatterv_c") {
  MPI_Count *counts = allocate((size_t)size * sizeof *counts);
  MPI_Aint *at = allocate((size_t)size * sizeof *at);
  int *in = new_ints(3 * size, -1), *out = new_ints(3 * size, 0);
  for (int p = 0; p < size; p++) {
    counts[p] = p % 3;
    at[p] = 3 * (size - 1 - p);
    for (int i = 0; i < 3; i++) out[3 * p + i] = value(rank, i);
  }
  MPI_Allgatherv_c(out, rank % 3, MPI_INT, in, counts, at, MPI_INT, comm);
  for (int p = 0; p < size; p++)
    for (int i = 0; i < 3; i++) CHECK_INT(in[at[p] + i], i < p % 3 ? value(p, i) : -1);
  for (int i = 0; i < 3 * size; i++) in[i] = -1;
  MPI_Gatherv_c(out, rank % 3, MPI_INT, in, counts, at, MPI_INT, 0, comm);
  for (int p = 0; p < size && rank == 0; p++)
    for (int i = 0; i < p % 3; i++) CHECK_INT(in[at[p] + i], value(p, i));
  MPI_Scatterv_c(out, counts, at, MPI_INT, in, rank % 3, MPI_INT, 0, comm);
  for (int i = 0; i < rank % 3; i++) CHECK_INT(in[i], value(0, i));
  for (int p = 0; p < size; p++) counts[p] = (p + rank) % 3;
  for (int i = 0; i < 3 * size; i++) in[i] = -1;
  MPI_Alltoallv_c(out, counts, at, MPI_INT, in, counts, at, MPI_INT, comm);
  for (int p = 0; p < size; p++)
    for (int i = 0; i < 3; i++) CHECK_INT(in[at[p] + i], i < counts[p] ? value(p, i) : -1);
  free(counts);
  free(at);
  free(in);
  free(out);
}

/* Sizes beyond what an int holds can be told, if not sent. */
TEST(large_count_types, 1, "MPI-5.0 section 5.1.11",
     "MPI_Type_contiguous_c MPI_Type_vector_c MPI_Type_size_c MPI_Type_get_extent_c MPI_Type_create_struct_c") {
  MPI_Datatype big, t;
  MPI_Count bytes = -1, lb = -1, extent = -1;
  int narrow = 0;
  MPI_Type_contiguous_c((MPI_Count)3 << 30, MPI_BYTE, &big);
  MPI_Type_size_c(big, &bytes);
  CHECK_INT(bytes, (MPI_Count)3 << 30);
  MPI_Type_size(big, &narrow);
  CHECK_INT(narrow, MPI_UNDEFINED);
  MPI_Type_free(&big);
  MPI_Type_vector_c(3, 1, 2, MPI_INT, &t);
  MPI_Type_commit(&t);
  MPI_Type_get_extent_c(t, &lb, &extent);
  CHECK(lb == 0 && extent == (MPI_Count)(5 * sizeof(int)));
  MPI_Type_get_true_extent_c(t, &lb, &extent);
  CHECK_INT(extent, 5 * sizeof(int));
  int out[5] = {1, 2, 3, 4, 5}, in[5] = {0};
  MPI_Sendrecv_c(out, 1, t, rank, 0, in, 1, t, rank, 0, comm, MPI_STATUS_IGNORE);
  CHECK(in[0] == 1 && in[1] == 0 && in[2] == 3 && in[4] == 5);
  MPI_Type_free(&t);
  const MPI_Count lengths[2] = {1, 2}, at[2] = {0, 2 * sizeof(int)};
  const MPI_Datatype types[2] = {MPI_INT, MPI_INT};
  MPI_Type_create_struct_c(2, lengths, at, types, &t);
  MPI_Type_size_c(t, &bytes);
  CHECK_INT(bytes, 3 * sizeof(int));
  MPI_Type_free(&t);
}

TEST(large_count_pack, 1, "MPI-5.0 section 5.2", "MPI_Pack_c MPI_Unpack_c MPI_Pack_size_c") {
  int out[3] = {1, rank, 3}, in[3] = {0};
  char buffer[200];
  MPI_Count bytes = -1, position = 0;
  MPI_Pack_size_c(3, MPI_INT, comm, &bytes);
  CHECK(bytes >= (MPI_Count)sizeof out);
  MPI_Pack_c(out, 3, MPI_INT, buffer, sizeof buffer, &position, comm);
  bytes = position;
  position = 0;
  MPI_Unpack_c(buffer, bytes, &position, in, 3, MPI_INT, comm);
  CHECK_INT(position, bytes);
  CHECK(in[0] == 1 && in[1] == rank && in[2] == 3);
}

static void add(void *in, void *inout, MPI_Count *n, MPI_Datatype *type) {
  (void)type;
  for (MPI_Count i = 0; i < *n; i++) ((int *)inout)[i] += ((const int *)in)[i];
}

TEST(large_count_op, 1, "MPI-5.0 section 6.9.5", "MPI_Op_create_c MPI_Allreduce MPI_Reduce_local_c") {
  MPI_Op op;
  int x[3] = {rank, 1, 2}, sum[3];
  MPI_Op_create_c(add, 1, &op);
  MPI_Allreduce(x, sum, 3, MPI_INT, op, comm);
  CHECK(sum[0] == size * (size - 1) / 2 && sum[1] == size && sum[2] == 2 * size);
  MPI_Reduce_local_c(x, sum, 3, MPI_INT, op);
  CHECK_INT(sum[1], size + 1);
  MPI_Op_free(&op);
}

TEST(large_count_rma, 1, "MPI-5.0 section 12.3", "MPI_Win_create_c MPI_Put_c MPI_Get_c MPI_Accumulate_c") {
  int *mine = new_ints(N, 0), out[N], in[N], right = (rank + 1) % size, left = (rank + size - 1) % size;
  MPI_Win win;
  for (int i = 0; i < N; i++) out[i] = value(rank, i);
  MPI_Win_create_c(mine, N * sizeof *mine, sizeof *mine, MPI_INFO_NULL, comm, &win);
  MPI_Win_fence(0, win);
  MPI_Put_c(out, N, MPI_INT, right, 0, N, MPI_INT, win);
  MPI_Win_fence(0, win);
  MPI_Accumulate_c(out, N, MPI_INT, right, 0, N, MPI_INT, MPI_SUM, win);
  MPI_Win_fence(0, win);
  MPI_Get_c(in, N, MPI_INT, right, 0, N, MPI_INT, win);
  MPI_Win_fence(0, win);
  for (int i = 0; i < N; i++) {
    CHECK_INT(mine[i], 2 * value(left, i));
    CHECK_INT(in[i], 2 * value(rank, i));
  }
  MPI_Win_free(&win);
  free(mine);
}

CHAPTER(large_count, &large_count_p2p, &large_count_collectives, &large_count_vectors, &large_count_types,
        &large_count_pack, &large_count_op, &large_count_rma)
#else
NO_CHAPTER(large_count)
#endif
