/* coll_nonblocking: collectives that are started and waited for (MPI-5.0 section 6.12). */
#include "conformance.h"

enum { N = 701 };

/* Each of these sets up data, starts a collective, waits and checks. Rank r contributes value(r, i). */

static int *mine(int n) {
  int *p = new_ints(n, 0);
  for (int i = 0; i < n; i++) p[i] = value(rank, i);
  return p;
}

static int sum_of_values(int ranks, int i) {
  int total = 0;
  for (int p = 0; p < ranks; p++) total += value(p, i);
  return total;
}

TEST(coll_nonblocking_barrier, 1, "MPI-5.0 section 6.12.1", "MPI_Ibarrier MPI_Test") {
  int go = 0, flag = 1, last = size - 1;
  MPI_Request request;
  if (rank == last && size > 1) {
    /* Nobody's barrier is done before this rank enters. */
    for (int p = 0; p < last; p++) MPI_Recv(&go, 1, MPI_INT, p, 0, comm, MPI_STATUS_IGNORE);
    MPI_Ibarrier(comm, &request);
  } else {
    MPI_Ibarrier(comm, &request);
    if (size > 1) {
      for (int i = 0; i < 10; i++) {
        MPI_Test(&request, &flag, MPI_STATUS_IGNORE);
        CHECK_INT(flag, 0);
      }
      MPI_Send(&go, 1, MPI_INT, last, 0, comm);
    }
  }
  MPI_Status status;
  MPI_Wait(&request, &status);
  CHECK(request == MPI_REQUEST_NULL);
}

TEST(coll_nonblocking_bcast, 1, "MPI-5.0 section 6.12.2", "MPI_Ibcast") {
  int *data = new_ints(N * size, -1);
  MPI_Request *requests = allocate((size_t)size * sizeof *requests);
  for (int i = 0; i < N; i++) data[rank * N + i] = value(rank, i);
  /* All at once, each with its own root; they are matched in the order of the calls. */
  for (int root = 0; root < size; root++) MPI_Ibcast(data + root * N, N, MPI_INT, root, comm, &requests[root]);
  for (int root = size - 1; root >= 0; root--) MPI_Wait(&requests[root], MPI_STATUS_IGNORE);
  for (int i = 0; i < N * size; i++) CHECK_INT(data[i], value(i / N, i % N));
  free(requests);
  free(data);
}

TEST(coll_nonblocking_gather, 1, "MPI-5.0 section 6.12.3", "MPI_Igather MPI_Igatherv MPI_Iscatter MPI_Iscatterv") {
  int *out = mine(N), *all = new_ints(N * size, -1), *allv = new_ints(N * size, -1), in[N], inv[N], root = size / 2;
  int *counts = new_ints(size, 0), *at = new_ints(size, 0), *source = new_ints(N * size, 0);
  MPI_Request requests[4];
  for (int p = 0; p < size; p++) {
    counts[p] = (p * 13 + 5) % N;
    at[p] = (size - 1 - p) * N;
    for (int i = 0; i < N; i++) source[p * N + i] = value(p + 3, i);
  }
  MPI_Igather(out, N, MPI_INT, all, N, MPI_INT, root, comm, &requests[0]);
  MPI_Igatherv(out, counts[rank], MPI_INT, allv, counts, at, MPI_INT, root, comm, &requests[1]);
  MPI_Iscatter(source, N, MPI_INT, in, N, MPI_INT, root, comm, &requests[2]);
  MPI_Iscatterv(source, counts, at, MPI_INT, inv, counts[rank], MPI_INT, root, comm, &requests[3]);
  MPI_Waitall(4, requests, MPI_STATUSES_IGNORE);
  for (int p = 0; p < size && rank == root; p++)
    for (int i = 0; i < N; i++) {
      CHECK_INT(all[p * N + i], value(p, i));
      CHECK_INT(allv[at[p] + i], i < counts[p] ? value(p, i) : -1);
    }
  for (int i = 0; i < N; i++) CHECK_INT(in[i], value(rank + 3, i));
  for (int i = 0; i < counts[rank]; i++) CHECK_INT(inv[i], value(size - 1 - rank + 3, i));
  free(out);
  free(all);
  free(allv);
  free(counts);
  free(at);
  free(source);
}

TEST(coll_nonblocking_allgather, 1, "MPI-5.0 section 6.12.5", "MPI_Iallgather MPI_Iallgatherv") {
  int *out = mine(N), *all = new_ints(N * size, -1), *allv = new_ints(N * size, -1);
  int *counts = new_ints(size, 0), *at = new_ints(size, 0);
  MPI_Request requests[2];
  for (int p = 0; p < size; p++) {
    counts[p] = p % 3 == 0 ? 0 : p * 7 % N;
    at[p] = (size - 1 - p) * N;
  }
  MPI_Iallgather(out, N, MPI_INT, all, N, MPI_INT, comm, &requests[0]);
  MPI_Iallgatherv(out, counts[rank], MPI_INT, allv, counts, at, MPI_INT, comm, &requests[1]);
  MPI_Waitall(2, requests, MPI_STATUSES_IGNORE);
  for (int p = 0; p < size; p++)
    for (int i = 0; i < N; i++) {
      CHECK_INT(all[p * N + i], value(p, i));
      CHECK_INT(allv[at[p] + i], i < counts[p] ? value(p, i) : -1);
    }
  free(out);
  free(all);
  free(allv);
  free(counts);
  free(at);
}

TEST(coll_nonblocking_alltoall, 1, "MPI-5.0 section 6.12.6", "MPI_Ialltoall MPI_Ialltoallv MPI_Ialltoallw") {
  enum { M = 50 };
  int *out = new_ints(M * size, 0), *in[3], *counts = new_ints(size, 0), *at = new_ints(size, 0),
      *bytes = new_ints(size, 0);
  MPI_Datatype *types = allocate((size_t)size * sizeof *types);
  MPI_Request requests[3];
  for (int k = 0; k < 3; k++) in[k] = new_ints(M * size, -1);
  for (int p = 0; p < size; p++) {
    counts[p] = (rank + p) % 4 * 12;
    at[p] = p * M;
    bytes[p] = p * M * (int)sizeof(int);
    types[p] = MPI_INT;
    for (int i = 0; i < M; i++) out[p * M + i] = value(rank * size + p, i);
  }
  MPI_Ialltoall(out, M, MPI_INT, in[0], M, MPI_INT, comm, &requests[0]);
  MPI_Ialltoallv(out, counts, at, MPI_INT, in[1], counts, at, MPI_INT, comm, &requests[1]);
  MPI_Ialltoallw(out, counts, bytes, types, in[2], counts, bytes, types, comm, &requests[2]);
  MPI_Waitall(3, requests, MPI_STATUSES_IGNORE);
  for (int p = 0; p < size; p++)
    for (int i = 0; i < M; i++) {
      int want = value(p * size + rank, i);
      CHECK_INT(in[0][p * M + i], want);
      CHECK_INT(in[1][p * M + i], i < counts[p] ? want : -1);
      CHECK_INT(in[2][p * M + i], i < counts[p] ? want : -1);
    }
  for (int k = 0; k < 3; k++) free(in[k]);
  free(types);
  free(out);
  free(counts);
  free(at);
  free(bytes);
}

TEST(coll_nonblocking_reduce, 1, "MPI-5.0 section 6.12.8", "MPI_Ireduce MPI_Iallreduce MPI_Iscan MPI_Iexscan") {
  int *out = mine(N), *in[4], root = size - 1;
  MPI_Request requests[4];
  for (int k = 0; k < 4; k++) in[k] = new_ints(N, -1);
  MPI_Ireduce(out, in[0], N, MPI_INT, MPI_SUM, root, comm, &requests[0]);
  MPI_Iallreduce(out, in[1], N, MPI_INT, MPI_SUM, comm, &requests[1]);
  MPI_Iscan(out, in[2], N, MPI_INT, MPI_SUM, comm, &requests[2]);
  MPI_Iexscan(out, in[3], N, MPI_INT, MPI_SUM, comm, &requests[3]);
  MPI_Waitall(4, requests, MPI_STATUSES_IGNORE);
  for (int i = 0; i < N; i++) {
    if (rank == root) CHECK_INT(in[0][i], sum_of_values(size, i));
    CHECK_INT(in[1][i], sum_of_values(size, i));
    CHECK_INT(in[2][i], sum_of_values(rank + 1, i));
    if (rank > 0) CHECK_INT(in[3][i], sum_of_values(rank, i));
  }
  for (int k = 0; k < 4; k++) free(in[k]);
  free(out);
}

TEST(coll_nonblocking_reduce_scatter, 1, "MPI-5.0 section 6.12.10", "MPI_Ireduce_scatter MPI_Ireduce_scatter_block") {
  int *out = mine(N * size), in[N], inv[N], *counts = new_ints(size, 0), total = 0, at = 0;
  MPI_Request requests[2];
  for (int p = 0; p < size; p++) {
    counts[p] = p * 37 % N;
    if (p == rank) at = total;
    total += counts[p];
  }
  MPI_Ireduce_scatter_block(out, in, N, MPI_INT, MPI_SUM, comm, &requests[0]);
  MPI_Ireduce_scatter(out, inv, counts, MPI_INT, MPI_SUM, comm, &requests[1]);
  MPI_Waitall(2, requests, MPI_STATUSES_IGNORE);
  for (int i = 0; i < N; i++) CHECK_INT(in[i], sum_of_values(size, rank * N + i));
  for (int i = 0; i < counts[rank]; i++) CHECK_INT(inv[i], sum_of_values(size, at + i));
  free(out);
  free(counts);
}

/* Point-to-point messages and blocking collectives go on while one is under way. */
TEST(coll_nonblocking_overlap, 1, "MPI-5.0 section 6.13", "MPI_Iallreduce MPI_Sendrecv MPI_Bcast MPI_Waitany") {
  int out = value(rank, 1), sum = 0, in = -1, x = rank == 0 ? 99 : 0, flag = 0;
  int right = (rank + 1) % size, left = (rank + size - 1) % size;
  MPI_Request requests[2];
  MPI_Iallreduce(&out, &sum, 1, MPI_INT, MPI_SUM, comm, &requests[0]);
  MPI_Irecv(&in, 1, MPI_INT, left, 3, comm, &requests[1]);
  MPI_Bcast(&x, 1, MPI_INT, 0, comm);
  CHECK_INT(x, 99);
  MPI_Send(&out, 1, MPI_INT, right, 3, comm);
  while (!flag) MPI_Testall(2, requests, &flag, MPI_STATUSES_IGNORE);
  CHECK_INT(sum, sum_of_values(size, 1));
  CHECK_INT(in, value(left, 1));
}

/* Many at once, on two communicators, completed in another order than started. */
TEST(coll_nonblocking_many, 1, "MPI-5.0 section 6.13", "MPI_Iallreduce MPI_Comm_dup MPI_Waitany") {
  enum { MANY = 30 };
  int out[MANY], in[MANY], done[MANY] = {0};
  MPI_Request requests[MANY];
  MPI_Comm other;
  MPI_Comm_dup(comm, &other);
  for (int i = 0; i < MANY; i++) {
    out[i] = value(rank, i);
    MPI_Iallreduce(&out[i], &in[i], 1, MPI_INT, i % 3 == 1 ? MPI_MAX : MPI_SUM, i % 2 ? comm : other, &requests[i]);
  }
  for (int i = 0; i < MANY; i++) {
    int index = -1;
    MPI_Waitany(MANY, requests, &index, MPI_STATUS_IGNORE);
    CHECK(index >= 0 && index < MANY && !done[index]);
    done[index] = 1;
    CHECK_INT(in[index], index % 3 == 1 ? value(size - 1, index) : sum_of_values(size, index));
  }
  MPI_Comm_free(&other);
}

/* The datatype may be freed while it is in use. */
TEST(coll_nonblocking_freed_type, 1, "MPI-5.0 section 6.12", "MPI_Ibcast MPI_Type_free") {
  int data[40], root = size - 1;
  MPI_Datatype every_other;
  MPI_Request request;
  for (int i = 0; i < 40; i++) data[i] = value(rank, i);
  MPI_Type_vector(20, 1, 2, MPI_INT, &every_other);
  MPI_Type_commit(&every_other);
  MPI_Ibcast(data, 1, every_other, root, comm, &request);
  MPI_Type_free(&every_other);
  MPI_Wait(&request, MPI_STATUS_IGNORE);
  for (int i = 0; i < 40; i++) CHECK_INT(data[i], value(i % 2 ? rank : root, i));
}

CHAPTER(coll_nonblocking, &coll_nonblocking_barrier, &coll_nonblocking_bcast, &coll_nonblocking_gather,
        &coll_nonblocking_allgather, &coll_nonblocking_alltoall, &coll_nonblocking_reduce,
        &coll_nonblocking_reduce_scatter, &coll_nonblocking_overlap, &coll_nonblocking_many,
        &coll_nonblocking_freed_type)
