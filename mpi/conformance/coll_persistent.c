/* coll_persistent: collectives that are set up once and started many times (MPI-5.0 section 6.13). */
#include "conformance.h"

#if MPI_SINCE(4, 0)

enum { N = 150, ROUNDS = 4 };

static int sum_of_values(int ranks, int i) {
  int total = 0;
  for (int p = 0; p < ranks; p++) total += value(p, i);
  return total;
}

static void once(MPI_Request *request) {
  MPI_Start(request);
  MPI_Wait(request, MPI_STATUS_IGNORE);
  CHECK(*request != MPI_REQUEST_NULL);
}

TEST(coll_persistent_barrier_bcast, 1, "MPI-5.0 section 6.13",
     "MPI_Barrier_init MPI_Bcast_init MPI_Start MPI_Startall") {
  int data[N], root = size - 1;
  MPI_Request requests[2];
  MPI_Barrier_init(comm, MPI_INFO_NULL, &requests[0]);
  MPI_Bcast_init(data, N, MPI_INT, root, comm, MPI_INFO_NULL, &requests[1]);
  for (int round = 0; round < ROUNDS; round++) {
    for (int i = 0; i < N; i++) data[i] = rank == root ? value(round, i) : -1;
    MPI_Startall(2, requests);
    MPI_Waitall(2, requests, MPI_STATUSES_IGNORE);
    for (int i = 0; i < N; i++) CHECK_INT(data[i], value(round, i));
  }
  for (int k = 0; k < 2; k++) MPI_Request_free(&requests[k]);
}

TEST(coll_persistent_reduce, 1, "MPI-5.0 section 6.13",
     "MPI_Reduce_init MPI_Allreduce_init MPI_Scan_init MPI_Exscan_init") {
  int out[N], in[4][N], root = size / 2;
  MPI_Request requests[4];
  MPI_Reduce_init(out, in[0], N, MPI_INT, MPI_SUM, root, comm, MPI_INFO_NULL, &requests[0]);
  MPI_Allreduce_init(out, in[1], N, MPI_INT, MPI_SUM, comm, MPI_INFO_NULL, &requests[1]);
  MPI_Scan_init(out, in[2], N, MPI_INT, MPI_SUM, comm, MPI_INFO_NULL, &requests[2]);
  MPI_Exscan_init(out, in[3], N, MPI_INT, MPI_SUM, comm, MPI_INFO_NULL, &requests[3]);
  for (int round = 0; round < ROUNDS; round++) {
    memset(in, 0, sizeof in);
    for (int i = 0; i < N; i++) out[i] = value(rank, i + round);
    for (int k = 0; k < 4; k++) once(&requests[k]);
    for (int i = 0; i < N; i++) {
      if (rank == root) CHECK_INT(in[0][i], sum_of_values(size, i + round));
      CHECK_INT(in[1][i], sum_of_values(size, i + round));
      CHECK_INT(in[2][i], sum_of_values(rank + 1, i + round));
      if (rank > 0) CHECK_INT(in[3][i], sum_of_values(rank, i + round));
    }
  }
  for (int k = 0; k < 4; k++) MPI_Request_free(&requests[k]);
}

TEST(coll_persistent_reduce_scatter, 1, "MPI-5.0 section 6.13",
     "MPI_Reduce_scatter_init MPI_Reduce_scatter_block_init") {
  int *out = new_ints(N * size, 0), in[N], inv[N], *counts = new_ints(size, 0), total = 0, at = 0;
  MPI_Request requests[2];
  for (int p = 0; p < size; p++) {
    counts[p] = p * 7 % N;
    if (p == rank) at = total;
    total += counts[p];
  }
  MPI_Reduce_scatter_block_init(out, in, N, MPI_INT, MPI_SUM, comm, MPI_INFO_NULL, &requests[0]);
  MPI_Reduce_scatter_init(out, inv, counts, MPI_INT, MPI_SUM, comm, MPI_INFO_NULL, &requests[1]);
  for (int round = 0; round < ROUNDS; round++) {
    for (int i = 0; i < N * size; i++) out[i] = value(rank, i + round);
    once(&requests[0]);
    once(&requests[1]);
    for (int i = 0; i < N; i++) CHECK_INT(in[i], sum_of_values(size, rank * N + i + round));
    for (int i = 0; i < counts[rank]; i++) CHECK_INT(inv[i], sum_of_values(size, at + i + round));
  }
  for (int k = 0; k < 2; k++) MPI_Request_free(&requests[k]);
  free(out);
  free(counts);
}

TEST(coll_persistent_gather, 1, "MPI-5.0 section 6.13", "MPI_Gather_init MPI_Gatherv_init") {
  int out[N], *all[2], *counts = new_ints(size, N), *at = new_ints(size, 0), root = size - 1;
  MPI_Request requests[2];
  for (int p = 0; p < size; p++) at[p] = (size - 1 - p) * N;
  for (int k = 0; k < 2; k++) all[k] = new_ints(N * size, 0);
  MPI_Gather_init(out, N, MPI_INT, all[0], N, MPI_INT, root, comm, MPI_INFO_NULL, &requests[0]);
  MPI_Gatherv_init(out, N, MPI_INT, all[1], counts, at, MPI_INT, root, comm, MPI_INFO_NULL, &requests[1]);
  for (int round = 0; round < ROUNDS; round++) {
    for (int i = 0; i < N; i++) out[i] = value(rank, i + round); /* the data of the start, not of the setup, counts */
    MPI_Startall(2, requests);
    MPI_Waitall(2, requests, MPI_STATUSES_IGNORE);
    for (int i = 0; i < N * size && rank == root; i++) {
      CHECK_INT(all[0][i], value(i / N, i % N + round));
      CHECK_INT(all[1][i], value(size - 1 - i / N, i % N + round));
    }
  }
  for (int k = 0; k < 2; k++) MPI_Request_free(&requests[k]);
  for (int k = 0; k < 2; k++) free(all[k]);
  free(counts);
  free(at);
}

TEST(coll_persistent_allgather, 1, "MPI-5.0 section 6.13", "MPI_Allgather_init MPI_Allgatherv_init") {
  int out[N], *all[2], *counts = new_ints(size, N), *at = new_ints(size, 0);
  MPI_Request requests[2];
  for (int p = 0; p < size; p++) at[p] = (size - 1 - p) * N;
  for (int k = 0; k < 2; k++) all[k] = new_ints(N * size, 0);
  MPI_Allgather_init(out, N, MPI_INT, all[0], N, MPI_INT, comm, MPI_INFO_NULL, &requests[0]);
  MPI_Allgatherv_init(out, N, MPI_INT, all[1], counts, at, MPI_INT, comm, MPI_INFO_NULL, &requests[1]);
  for (int round = 0; round < ROUNDS; round++) {
    for (int i = 0; i < N; i++) out[i] = value(rank, i + round);
    MPI_Startall(2, requests);
    MPI_Waitall(2, requests, MPI_STATUSES_IGNORE);
    for (int i = 0; i < N * size; i++) {
      CHECK_INT(all[0][i], value(i / N, i % N + round));
      CHECK_INT(all[1][i], value(size - 1 - i / N, i % N + round));
    }
  }
  for (int k = 0; k < 2; k++) MPI_Request_free(&requests[k]);
  for (int k = 0; k < 2; k++) free(all[k]);
  free(counts);
  free(at);
}

TEST(coll_persistent_scatter, 1, "MPI-5.0 section 6.13", "MPI_Scatter_init MPI_Scatterv_init") {
  int in[2][N], *parts = new_ints(N * size, 0), *counts = new_ints(size, N), *at = new_ints(size, 0), root = size - 1;
  MPI_Request requests[2];
  for (int p = 0; p < size; p++) at[p] = (size - 1 - p) * N;
  MPI_Scatter_init(parts, N, MPI_INT, in[0], N, MPI_INT, root, comm, MPI_INFO_NULL, &requests[0]);
  MPI_Scatterv_init(parts, counts, at, MPI_INT, in[1], N, MPI_INT, root, comm, MPI_INFO_NULL, &requests[1]);
  for (int round = 0; round < ROUNDS; round++) {
    for (int i = 0; i < N * size; i++) parts[i] = value(i / N, i % N + round);
    MPI_Startall(2, requests);
    MPI_Waitall(2, requests, MPI_STATUSES_IGNORE);
    for (int i = 0; i < N; i++) {
      CHECK_INT(in[0][i], value(rank, i + round));
      CHECK_INT(in[1][i], value(size - 1 - rank, i + round));
    }
  }
  for (int k = 0; k < 2; k++) MPI_Request_free(&requests[k]);
  free(parts);
  free(counts);
  free(at);
}

TEST(coll_persistent_alltoall, 1, "MPI-5.0 section 6.13", "MPI_Alltoall_init MPI_Alltoallv_init MPI_Alltoallw_init") {
  int *out = new_ints(N * size, 0), *in[3], *counts = new_ints(size, N), *at = new_ints(size, 0),
      *bytes = new_ints(size, 0);
  MPI_Datatype *types = allocate((size_t)size * sizeof *types);
  MPI_Request requests[3];
  for (int p = 0; p < size; p++) {
    at[p] = p * N;
    bytes[p] = p * N * (int)sizeof(int);
    types[p] = MPI_INT;
  }
  for (int k = 0; k < 3; k++) in[k] = new_ints(N * size, 0);
  MPI_Alltoall_init(out, N, MPI_INT, in[0], N, MPI_INT, comm, MPI_INFO_NULL, &requests[0]);
  MPI_Alltoallv_init(out, counts, at, MPI_INT, in[1], counts, at, MPI_INT, comm, MPI_INFO_NULL, &requests[1]);
  MPI_Alltoallw_init(out, counts, bytes, types, in[2], counts, bytes, types, comm, MPI_INFO_NULL, &requests[2]);
  for (int round = 0; round < ROUNDS; round++) {
    for (int i = 0; i < N * size; i++) out[i] = value(rank * size + i / N, i % N + round);
    MPI_Startall(3, requests);
    MPI_Waitall(3, requests, MPI_STATUSES_IGNORE);
    for (int k = 0; k < 3; k++)
      for (int i = 0; i < N * size; i++) CHECK_INT(in[k][i], value(i / N * size + rank, i % N + round));
  }
  for (int k = 0; k < 3; k++) MPI_Request_free(&requests[k]);
  for (int k = 0; k < 3; k++) free(in[k]);
  free(types);
  free(out);
  free(counts);
  free(at);
  free(bytes);
}

TEST(coll_persistent_neighbor, 1, "MPI-5.0 section 8.8", "MPI_Neighbor_allgather_init MPI_Neighbor_alltoall_init") {
  int left = (rank + size - 1) % size, right = (rank + 1) % size, sources[2] = {left, right}, out[2], in[2], all[2];
  MPI_Comm ring;
  MPI_Request requests[2];
  MPI_Dist_graph_create_adjacent(comm, 1, &left, MPI_UNWEIGHTED, 1, &right, MPI_UNWEIGHTED, MPI_INFO_NULL, 0, &ring);
  MPI_Neighbor_alltoall_init(out, 1, MPI_INT, in, 1, MPI_INT, ring, MPI_INFO_NULL, &requests[0]);
  MPI_Neighbor_allgather_init(out, 2, MPI_INT, all, 2, MPI_INT, ring, MPI_INFO_NULL, &requests[1]);
  for (int round = 0; round < ROUNDS; round++) {
    out[0] = value(rank, round);
    out[1] = -rank;
    MPI_Startall(2, requests);
    MPI_Waitall(2, requests, MPI_STATUSES_IGNORE);
    CHECK_INT(in[0], value(sources[0], round));
    CHECK(all[0] == value(left, round) && all[1] == -left);
  }
  for (int k = 0; k < 2; k++) MPI_Request_free(&requests[k]);
  MPI_Comm_free(&ring);
}

CHAPTER(coll_persistent, &coll_persistent_barrier_bcast, &coll_persistent_reduce, &coll_persistent_reduce_scatter,
        &coll_persistent_gather, &coll_persistent_allgather, &coll_persistent_scatter, &coll_persistent_alltoall,
        &coll_persistent_neighbor)
#else
NO_CHAPTER(coll_persistent)
#endif
