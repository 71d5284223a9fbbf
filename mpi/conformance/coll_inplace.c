/* coll_inplace: MPI_IN_PLACE in every collective that takes it (MPI-5.0 sections 6.5 to 6.11). */
#include "conformance.h"

enum { N = 301 };

static int sum_of_values(int ranks, int i) {
  int total = 0;
  for (int p = 0; p < ranks; p++) total += value(p, i);
  return total;
}

TEST(coll_inplace_gather, 1, "MPI-5.0 section 6.5", "MPI_Gather MPI_Gatherv MPI_IN_PLACE") {
  int *counts = new_ints(size, N), *at = new_ints(size, 0), mine[N];
  for (int p = 0; p < size; p++) at[p] = p * N;
  for (int i = 0; i < N; i++) mine[i] = value(rank, i);
  for (int root = 0; root < size; root++)
    for (int v = 0; v < 2; v++) {
      int *all = new_ints(N * size, -1);
      memcpy(all + rank * N, mine, sizeof mine);
      const void *out = rank == root ? MPI_IN_PLACE : (void *)mine;
      if (v == 0) MPI_Gather(out, N, MPI_INT, all, N, MPI_INT, root, comm);
      if (v == 1) MPI_Gatherv(out, N, MPI_INT, all, counts, at, MPI_INT, root, comm);
      for (int i = 0; i < N * size && rank == root; i++) CHECK_INT(all[i], value(i / N, i % N));
      free(all);
    }
  free(counts);
  free(at);
}

TEST(coll_inplace_scatter, 1, "MPI-5.0 section 6.6", "MPI_Scatter MPI_Scatterv MPI_IN_PLACE") {
  int *counts = new_ints(size, N), *at = new_ints(size, 0), mine[N];
  for (int p = 0; p < size; p++) at[p] = p * N;
  for (int root = 0; root < size; root++)
    for (int v = 0; v < 2; v++) {
      int *all = new_ints(N * size, -1);
      for (int i = 0; i < N * size; i++) all[i] = value(i / N, i % N);
      memset(mine, 0, sizeof mine);
      void *in = rank == root ? MPI_IN_PLACE : (void *)mine;
      if (v == 0) MPI_Scatter(all, N, MPI_INT, in, N, MPI_INT, root, comm);
      if (v == 1) MPI_Scatterv(all, counts, at, MPI_INT, in, N, MPI_INT, root, comm);
      for (int i = 0; i < N; i++) CHECK_INT(rank == root ? all[rank * N + i] : mine[i], value(rank, i));
      free(all);
    }
  free(counts);
  free(at);
}

/* With MPI_IN_PLACE, the send count and type are ignored. */
TEST(coll_inplace_allgather, 1, "MPI-5.0 section 6.7", "MPI_Allgather MPI_Allgatherv MPI_IN_PLACE") {
  int *counts = new_ints(size, N), *at = new_ints(size, 0);
  for (int p = 0; p < size; p++) at[p] = p * N;
  for (int v = 0; v < 2; v++) {
    int *all = new_ints(N * size, -1);
    for (int i = 0; i < N; i++) all[rank * N + i] = value(rank, i);
    if (v == 0) MPI_Allgather(MPI_IN_PLACE, 0, MPI_DATATYPE_NULL, all, N, MPI_INT, comm);
    if (v == 1) MPI_Allgatherv(MPI_IN_PLACE, 0, MPI_DATATYPE_NULL, all, counts, at, MPI_INT, comm);
    for (int i = 0; i < N * size; i++) CHECK_INT(all[i], value(i / N, i % N));
    free(all);
  }
  free(counts);
  free(at);
}

TEST(coll_inplace_alltoall, 1, "MPI-5.0 section 6.8", "MPI_Alltoall MPI_Alltoallv MPI_Alltoallw MPI_IN_PLACE") {
  int *counts = new_ints(size, 0), *at = new_ints(size, 0), *bytes_at = new_ints(size, 0);
  MPI_Datatype *types = allocate((size_t)size * sizeof *types);
  for (int v = 0; v < 3; v++) {
    int *all = new_ints(N * size, -1);
    for (int p = 0; p < size; p++) {
      counts[p] = v == 0 ? N : (rank + p) % 5 * 11; /* the same both ways, as in-place wants */
      at[p] = p * N;
      bytes_at[p] = at[p] * (int)sizeof(int);
      types[p] = MPI_INT;
      for (int i = 0; i < counts[p]; i++) all[at[p] + i] = value(rank * size + p, i);
    }
    if (v == 0) MPI_Alltoall(MPI_IN_PLACE, 0, MPI_DATATYPE_NULL, all, N, MPI_INT, comm);
    if (v == 1) MPI_Alltoallv(MPI_IN_PLACE, NULL, NULL, MPI_DATATYPE_NULL, all, counts, at, MPI_INT, comm);
    if (v == 2) MPI_Alltoallw(MPI_IN_PLACE, NULL, NULL, NULL, all, counts, bytes_at, types, comm);
    for (int p = 0; p < size; p++)
      for (int i = 0; i < N; i++) CHECK_INT(all[p * N + i], i < counts[p] ? value(p * size + rank, i) : -1);
    free(all);
  }
  free(types);
  free(counts);
  free(at);
  free(bytes_at);
}

TEST(coll_inplace_reduce, 1, "MPI-5.0 section 6.9.1", "MPI_Reduce MPI_Allreduce MPI_IN_PLACE") {
  for (int root = 0; root < size; root++) {
    int data[N];
    for (int i = 0; i < N; i++) data[i] = value(rank, i);
    if (rank == root) MPI_Reduce(MPI_IN_PLACE, data, N, MPI_INT, MPI_SUM, root, comm);
    if (rank != root) MPI_Reduce(data, NULL, N, MPI_INT, MPI_SUM, root, comm);
    for (int i = 0; i < N; i++) CHECK_INT(data[i], rank == root ? sum_of_values(size, i) : value(rank, i));
  }
  int data[N];
  for (int i = 0; i < N; i++) data[i] = value(rank, i);
  MPI_Allreduce(MPI_IN_PLACE, data, N, MPI_INT, MPI_SUM, comm);
  for (int i = 0; i < N; i++) CHECK_INT(data[i], sum_of_values(size, i));
}

TEST(coll_inplace_reduce_scatter, 1, "MPI-5.0 section 6.10",
     "MPI_Reduce_scatter MPI_Reduce_scatter_block MPI_IN_PLACE") {
  int *counts = new_ints(size, 0), *data = new_ints(N * size, 0), total = 0, mine = 0;
  for (int i = 0; i < N * size; i++) data[i] = value(rank, i);
  MPI_Reduce_scatter_block(MPI_IN_PLACE, data, N, MPI_INT, MPI_SUM, comm);
  for (int i = 0; i < N; i++) CHECK_INT(data[i], sum_of_values(size, rank * N + i));
  for (int p = 0; p < size; p++) {
    counts[p] = p * 3 % 5;
    if (p == rank) mine = total;
    total += counts[p];
  }
  for (int i = 0; i < N * size; i++) data[i] = value(rank, i);
  MPI_Reduce_scatter(MPI_IN_PLACE, data, counts, MPI_INT, MPI_SUM, comm);
  for (int i = 0; i < counts[rank]; i++) CHECK_INT(data[i], sum_of_values(size, mine + i));
  free(counts);
  free(data);
}

TEST(coll_inplace_scan, 1, "MPI-5.0 section 6.11", "MPI_Scan MPI_Exscan MPI_IN_PLACE") {
  int data[N];
  for (int i = 0; i < N; i++) data[i] = value(rank, i);
  MPI_Scan(MPI_IN_PLACE, data, N, MPI_INT, MPI_SUM, comm);
  for (int i = 0; i < N; i++) CHECK_INT(data[i], sum_of_values(rank + 1, i));
  for (int i = 0; i < N; i++) data[i] = value(rank, i);
  MPI_Exscan(MPI_IN_PLACE, data, N, MPI_INT, MPI_SUM, comm);
  for (int i = 0; i < N && rank > 0; i++) CHECK_INT(data[i], sum_of_values(rank, i));
}

/* The nonblocking ones take it as well. */
TEST(coll_inplace_nonblocking, 1, "MPI-5.0 section 6.12", "MPI_Iallreduce MPI_Iallgather MPI_Ialltoall MPI_IN_PLACE") {
  int *all = new_ints(N * size, -1), *pairs = new_ints(N * size, 0), data[N];
  MPI_Request requests[3];
  for (int i = 0; i < N; i++) data[i] = all[rank * N + i] = value(rank, i);
  for (int i = 0; i < N * size; i++) pairs[i] = value(rank * size + i / N, i % N);
  MPI_Iallreduce(MPI_IN_PLACE, data, N, MPI_INT, MPI_SUM, comm, &requests[0]);
  MPI_Iallgather(MPI_IN_PLACE, 0, MPI_DATATYPE_NULL, all, N, MPI_INT, comm, &requests[1]);
  MPI_Ialltoall(MPI_IN_PLACE, 0, MPI_DATATYPE_NULL, pairs, N, MPI_INT, comm, &requests[2]);
  MPI_Waitall(3, requests, MPI_STATUSES_IGNORE);
  for (int i = 0; i < N; i++) CHECK_INT(data[i], sum_of_values(size, i));
  for (int i = 0; i < N * size; i++) CHECK_INT(all[i], value(i / N, i % N));
  for (int i = 0; i < N * size; i++) CHECK_INT(pairs[i], value(i / N * size + rank, i % N));
  free(all);
  free(pairs);
}

CHAPTER(coll_inplace, &coll_inplace_gather, &coll_inplace_scatter, &coll_inplace_allgather, &coll_inplace_alltoall,
        &coll_inplace_reduce, &coll_inplace_reduce_scatter, &coll_inplace_scan, &coll_inplace_nonblocking)
