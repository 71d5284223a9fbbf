/* coll_bcast: barrier and broadcast (MPI-5.0 sections 6.3 and 6.4). */
#include "conformance.h"

/* Nobody leaves before the last one enters: a token is handed on before each barrier, and seen after it. */
TEST(coll_bcast_barrier, 1, "MPI-5.0 section 6.3", "MPI_Barrier") {
  for (int last = 0; last < size; last++) {
    int token = value(last, 1), flag = 0;
    MPI_Request request;
    if (rank == last)
      for (int p = 0; p < size; p++)
        if (p != last) MPI_Send(&token, 1, MPI_INT, p, 1, comm);
    int in = token;
    if (rank != last) MPI_Irecv(&in, 1, MPI_INT, last, 1, comm, &request);
    MPI_Barrier(comm);
    if (rank != last) {
      while (!flag) MPI_Test(&request, &flag, MPI_STATUS_IGNORE);
      CHECK_INT(in, token);
    }
  }
  for (int i = 0; i < 50; i++) MPI_Barrier(comm);
}

TEST(coll_bcast_roots, 1, "MPI-5.0 section 6.4", "MPI_Bcast") {
  static const int lengths[] = {0, 1, 2, 1000, 3001, 100003};
  for (int l = 0; l < 6; l++) {
    int n = lengths[l], *data = new_ints(n + 1, -1);
    for (int root = 0; root < size; root++) {
      for (int i = 0; i < n; i++) data[i] = rank == root ? value(root, i) : -1;
      MPI_Bcast(data, n, MPI_INT, root, comm);
      for (int i = 0; i < n; i++) CHECK_INT(data[i], value(root, i));
      CHECK_INT(data[n], -1);
    }
    free(data);
  }
}

/* The signatures match, the layouts do not: ranks lay out the same ints with gaps of their own. */
TEST(coll_bcast_layouts, 1, "MPI-5.0 section 6.4", "MPI_Bcast MPI_Type_vector MPI_Type_indexed") {
  enum { N = 600 };
  int stride = 1 + rank % 3, *data = new_ints(N * stride, -1), root = size / 2;
  MPI_Datatype spread;
  MPI_Type_vector(N, 1, stride, MPI_INT, &spread);
  MPI_Type_commit(&spread);
  for (int i = 0; i < N && rank == root; i++) data[i * stride] = value(7, i);
  MPI_Bcast(data, 1, spread, root, comm);
  for (int i = 0; i < N; i++) {
    CHECK_INT(data[i * stride], value(7, i));
    for (int j = 1; j < stride; j++) CHECK_INT(data[i * stride + j], -1);
  }
  MPI_Type_free(&spread);
  free(data);
}

/* The root sends one item of a struct, the others receive its parts by absolute address. */
TEST(coll_bcast_bottom, 1, "MPI-5.0 section 5.1.5", "MPI_Bcast MPI_BOTTOM MPI_Get_address") {
  double d = rank == 0 ? 2.5 : 0;
  int x[3] = {0, 0, 0}, lengths[2] = {1, 2};
  if (rank == 0) x[1] = 11, x[2] = 22;
  MPI_Aint at[2];
  MPI_Datatype types[2] = {MPI_DOUBLE, MPI_INT}, here;
  MPI_Get_address(&d, &at[0]);
  MPI_Get_address(&x[1], &at[1]);
  MPI_Type_create_struct(2, lengths, at, types, &here);
  MPI_Type_commit(&here);
  MPI_Bcast(MPI_BOTTOM, 1, here, 0, comm);
  CHECK(d == 2.5);
  CHECK(x[0] == 0 && x[1] == 11 && x[2] == 22);
  MPI_Type_free(&here);
}

/* Calls follow one another with different roots and no barrier between. */
TEST(coll_bcast_sequence, 1, "MPI-5.0 section 6.13", "MPI_Bcast") {
  for (int i = 0; i < 80; i++) {
    int root = i * 7 % size, x = rank == root ? i : -1;
    MPI_Bcast(&x, 1, MPI_INT, root, comm);
    CHECK_INT(x, i);
  }
}

TEST(coll_bcast_errors, 1, "MPI-5.0 section 9.4", "MPI_Bcast MPI_ERR_ROOT MPI_ERR_COUNT MPI_ERR_TYPE") {
  errors_return_everywhere();
  int x = 0;
  CHECK_CLASS(MPI_Bcast(&x, 1, MPI_INT, size, comm), MPI_ERR_ROOT);
  CHECK_CLASS(MPI_Bcast(&x, 1, MPI_INT, -1, comm), MPI_ERR_ROOT);
  CHECK_CLASS(MPI_Bcast(&x, -1, MPI_INT, 0, comm), MPI_ERR_COUNT);
  CHECK_CLASS(MPI_Bcast(&x, 1, MPI_DATATYPE_NULL, 0, comm), MPI_ERR_TYPE);
  CHECK_CLASS(MPI_Bcast(&x, 1, MPI_INT, 0, MPI_COMM_NULL), MPI_ERR_COMM);
  CHECK_CLASS(MPI_Barrier(MPI_COMM_NULL), MPI_ERR_COMM);
  CHECK_CLASS(MPI_Gather(&x, 1, MPI_INT, &x, 1, MPI_INT, size, comm), MPI_ERR_ROOT);
  CHECK_CLASS(MPI_Reduce(&x, &x, 1, MPI_INT, MPI_SUM, size + 1, comm), MPI_ERR_ROOT);
}

CHAPTER(coll_bcast, &coll_bcast_barrier, &coll_bcast_roots, &coll_bcast_layouts, &coll_bcast_bottom,
        &coll_bcast_sequence, &coll_bcast_errors)
