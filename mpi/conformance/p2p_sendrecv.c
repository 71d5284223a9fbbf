/* p2p_sendrecv: sending and receiving in one call (MPI-5.0 section 3.11). */
#include "conformance.h"

TEST(p2p_sendrecv_ring, 1, "MPI-5.0 section 3.11", "MPI_Sendrecv") {
  enum { N = 5000 };
  int *out = new_ints(N, 0), *in = new_ints(N, -1), right = (rank + 1) % size, left = (rank + size - 1) % size;
  for (int i = 0; i < N; i++) out[i] = value(rank, i);
  for (int hop = 1; hop <= size; hop++) {
    MPI_Status status;
    spoil(&status);
    MPI_Sendrecv(out, N, MPI_INT, right, rank, in, N, MPI_INT, left, left, comm, &status);
    CHECK_STATUS(&status, left, left, MPI_INT, N);
    int from = (rank - hop + size) % size;
    for (int i = 0; i < N; i++) CHECK_INT(in[i], value(from, i));
    memcpy(out, in, N * sizeof *in);
  }
  free(out);
  free(in);
}

/* The two halves have types, counts, partners and tags of their own. */
TEST(p2p_sendrecv_types, 2, "MPI-5.0 section 3.11", "MPI_Sendrecv MPI_Type_vector") {
  MPI_Datatype column;
  MPI_Type_vector(3, 1, 4, MPI_DOUBLE, &column);
  MPI_Type_commit(&column);
  double grid[12], in[4] = {-1, -1, -1, -1};
  for (int i = 0; i < 12; i++) grid[i] = rank * 100 + i;
  int to = (rank + 1) % size, from = (rank + size - 1) % size;
  MPI_Status status;
  MPI_Sendrecv(grid + 1, 1, column, to, 10 + rank, in, 4, MPI_DOUBLE, from, MPI_ANY_TAG, comm, &status);
  CHECK_STATUS(&status, from, 10 + from, MPI_DOUBLE, 3);
  for (int i = 0; i < 3; i++) CHECK(in[i] == from * 100 + 1 + 4 * i);
  CHECK(in[3] == -1);
  MPI_Type_free(&column);
}

/* Either half may talk to a plain call. */
TEST(p2p_sendrecv_plain, 3, "MPI-5.0 section 3.11", "MPI_Sendrecv MPI_Send MPI_Recv") {
  int x = value(rank, 0), in = -1;
  if (rank == 0) {
    MPI_Send(&x, 1, MPI_INT, 1, 4, comm);
  } else if (rank == 1) {
    MPI_Sendrecv(&x, 1, MPI_INT, 2, 5, &in, 1, MPI_INT, 0, 4, comm, MPI_STATUS_IGNORE);
    CHECK_INT(in, value(0, 0));
  } else if (rank == 2) {
    MPI_Recv(&in, 1, MPI_INT, 1, 5, comm, MPI_STATUS_IGNORE);
    CHECK_INT(in, value(1, 0));
  }
}

TEST(p2p_sendrecv_replace, 1, "MPI-5.0 section 3.11", "MPI_Sendrecv_replace") {
  static const int lengths[] = {0, 1, 100, 50000};
  int right = (rank + 1) % size, left = (rank + size - 1) % size;
  for (int l = 0; l < 4; l++) {
    int n = lengths[l], *data = new_ints(n, 0);
    for (int i = 0; i < n; i++) data[i] = value(rank, i);
    MPI_Status status;
    MPI_Sendrecv_replace(data, n, MPI_INT, right, l, left, l, comm, &status);
    CHECK_STATUS(&status, left, l, MPI_INT, n);
    for (int i = 0; i < n; i++) CHECK_INT(data[i], value(left, i));
    free(data);
  }
}

/* What lies between the parts of the type stays. */
TEST(p2p_sendrecv_replace_derived, 1, "MPI-5.0 section 3.11", "MPI_Sendrecv_replace MPI_Type_vector") {
  MPI_Datatype every_other;
  MPI_Type_vector(50, 1, 2, MPI_INT, &every_other);
  MPI_Type_commit(&every_other);
  int data[100], right = (rank + 1) % size, left = (rank + size - 1) % size;
  for (int i = 0; i < 100; i++) data[i] = value(rank, i);
  MPI_Sendrecv_replace(data, 1, every_other, left, 1, right, 1, comm, MPI_STATUS_IGNORE);
  for (int i = 0; i < 100; i++) CHECK_INT(data[i], value(i % 2 == 0 ? right : rank, i));
  MPI_Type_free(&every_other);
}

/* At the ends of a line the partner is nobody: the data stays, and the status says so. */
TEST(p2p_sendrecv_proc_null, 1, "MPI-5.0 section 3.10", "MPI_Sendrecv MPI_Sendrecv_replace MPI_PROC_NULL") {
  int up = rank + 1 < size ? rank + 1 : MPI_PROC_NULL, down = rank > 0 ? rank - 1 : MPI_PROC_NULL;
  int out = value(rank, 1), in = -1;
  MPI_Status status;
  spoil(&status);
  MPI_Sendrecv(&out, 1, MPI_INT, up, 0, &in, 1, MPI_INT, down, 0, comm, &status);
  CHECK_INT(in, rank > 0 ? value(rank - 1, 1) : -1);
  if (rank == 0) CHECK_STATUS(&status, MPI_PROC_NULL, MPI_ANY_TAG, MPI_INT, 0);
  spoil(&status);
  MPI_Sendrecv_replace(&out, 1, MPI_INT, down, 0, up, 0, comm, &status);
  CHECK_INT(out, rank + 1 < size ? value(rank + 1, 1) : value(rank, 1));
  if (rank == size - 1) CHECK_STATUS(&status, MPI_PROC_NULL, MPI_ANY_TAG, MPI_INT, 0);
}

CHAPTER(p2p_sendrecv, &p2p_sendrecv_ring, &p2p_sendrecv_types, &p2p_sendrecv_plain, &p2p_sendrecv_replace,
        &p2p_sendrecv_replace_derived, &p2p_sendrecv_proc_null)
