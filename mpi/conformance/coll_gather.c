/* coll_gather: gather, scatter, allgather and alltoall of equal parts (MPI-5.0 sections 6.5 to 6.8). */
#include "conformance.h"

static const int lengths[] = {0, 1, 5, 4001};

enum { LENGTHS = sizeof lengths / sizeof *lengths };

TEST(coll_gather_roots, 1, "MPI-5.0 section 6.5", "MPI_Gather") {
  for (int l = 0; l < LENGTHS; l++)
    for (int root = 0; root < size; root++) {
      int n = lengths[l], *out = new_ints(n, 0), *in = new_ints(n * size + 1, -1);
      for (int i = 0; i < n; i++) out[i] = value(rank, i);
      /* Only the root's receive arguments count. */
      if (rank == root) MPI_Gather(out, n, MPI_INT, in, n, MPI_INT, root, comm);
      if (rank != root) MPI_Gather(out, n, MPI_INT, NULL, -5, MPI_DATATYPE_NULL, root, comm);
      for (int p = 0; p < size && rank == root; p++)
        for (int i = 0; i < n; i++) CHECK_INT(in[p * n + i], value(p, i));
      CHECK_INT(in[n * size], -1);
      free(out);
      free(in);
    }
}

TEST(coll_gather_scatter, 1, "MPI-5.0 section 6.6", "MPI_Scatter") {
  for (int l = 0; l < LENGTHS; l++)
    for (int root = 0; root < size; root++) {
      int n = lengths[l], *out = new_ints(n * size, 0), *in = new_ints(n + 1, -1);
      for (int i = 0; i < n * size; i++) out[i] = value(root, i);
      if (rank == root) MPI_Scatter(out, n, MPI_INT, in, n, MPI_INT, root, comm);
      if (rank != root) MPI_Scatter(NULL, -5, MPI_DATATYPE_NULL, in, n, MPI_INT, root, comm);
      for (int i = 0; i < n; i++) CHECK_INT(in[i], value(root, rank * n + i));
      CHECK_INT(in[n], -1);
      free(out);
      free(in);
    }
}

TEST(coll_gather_allgather, 1, "MPI-5.0 section 6.7", "MPI_Allgather") {
  for (int l = 0; l < LENGTHS; l++) {
    int n = lengths[l], *out = new_ints(n, 0), *in = new_ints(n * size + 1, -1);
    for (int i = 0; i < n; i++) out[i] = value(rank, i);
    MPI_Allgather(out, n, MPI_INT, in, n, MPI_INT, comm);
    for (int p = 0; p < size; p++)
      for (int i = 0; i < n; i++) CHECK_INT(in[p * n + i], value(p, i));
    CHECK_INT(in[n * size], -1);
    free(out);
    free(in);
  }
}

TEST(coll_gather_alltoall, 1, "MPI-5.0 section 6.8", "MPI_Alltoall") {
  for (int l = 0; l < LENGTHS; l++) {
    int n = lengths[l], *out = new_ints(n * size, 0), *in = new_ints(n * size + 1, -1);
    for (int p = 0; p < size; p++)
      for (int i = 0; i < n; i++) out[p * n + i] = value(rank * size + p, i);
    MPI_Alltoall(out, n, MPI_INT, in, n, MPI_INT, comm);
    for (int p = 0; p < size; p++)
      for (int i = 0; i < n; i++) CHECK_INT(in[p * n + i], value(p * size + rank, i));
    CHECK_INT(in[n * size], -1);
    free(out);
    free(in);
  }
}

/* One side sends ints, the other receives pairs; and the root spreads what it gets by a resized type. */
TEST(coll_gather_columns, 1, "MPI-5.0 section 6.5.1", "MPI_Gather MPI_Scatter MPI_Type_create_resized") {
  enum { ROWS = 6 };
  int *grid = new_ints(ROWS * size, -1), column[ROWS], root = size - 1;
  MPI_Datatype strided, one_column, pair;
  MPI_Type_vector(ROWS, 1, size, MPI_INT, &strided);
  MPI_Type_create_resized(strided, 0, sizeof(int), &one_column);
  MPI_Type_contiguous(2, MPI_INT, &pair);
  MPI_Type_commit(&one_column);
  MPI_Type_commit(&pair);
  for (int i = 0; i < ROWS; i++) column[i] = value(rank, i);
  MPI_Gather(column, ROWS / 2, pair, grid, 1, one_column, root, comm);
  for (int i = 0; i < ROWS; i++)
    for (int p = 0; p < size && rank == root; p++) {
      CHECK_INT(grid[i * size + p], value(p, i));
      grid[i * size + p] += 5;
    }
  MPI_Scatter(grid, 1, one_column, column, ROWS / 2, pair, root, comm);
  for (int i = 0; i < ROWS; i++) CHECK_INT(column[i], value(rank, i) + 5);
  MPI_Type_free(&strided);
  MPI_Type_free(&one_column);
  MPI_Type_free(&pair);
  free(grid);
}

/* A transpose of a distributed matrix: rows go out, columns come in. */
TEST(coll_gather_transpose, 1, "MPI-5.0 section 6.8", "MPI_Alltoall MPI_Allgather MPI_Type_vector") {
  enum { ROWS = 3 };
  int n = ROWS * size, *mine = new_ints(ROWS * n, 0), *turned = new_ints(ROWS * n, -1), *all = new_ints(n * n, -1);
  MPI_Datatype strided, block, row;
  for (int i = 0; i < ROWS * n; i++) mine[i] = (rank * ROWS + i / n) * 1000 + i % n;
  /* block: ROWS x ROWS of a ROWS x n matrix, read by columns */
  MPI_Type_vector(ROWS, 1, n, MPI_INT, &strided);
  MPI_Type_create_hvector(ROWS, 1, sizeof(int), strided, &block);
  MPI_Type_free(&strided);
  MPI_Type_create_resized(block, 0, ROWS * sizeof(int), &strided);
  MPI_Type_vector(ROWS, ROWS, n, MPI_INT, &row);
  MPI_Type_free(&block);
  MPI_Type_create_resized(row, 0, ROWS * sizeof(int), &block);
  MPI_Type_commit(&strided);
  MPI_Type_commit(&block);
  MPI_Alltoall(mine, 1, strided, turned, 1, block, comm);
  for (int i = 0; i < ROWS; i++)
    for (int j = 0; j < n; j++) CHECK_INT(turned[i * n + j], j * 1000 + rank * ROWS + i);
  MPI_Allgather(turned, ROWS * n, MPI_INT, all, ROWS * n, MPI_INT, comm);
  for (int i = 0; i < n; i++)
    for (int j = 0; j < n; j++) CHECK_INT(all[i * n + j], j * 1000 + i);
  MPI_Type_free(&strided);
  MPI_Type_free(&block);
  MPI_Type_free(&row);
  free(mine);
  free(turned);
  free(all);
}

CHAPTER(coll_gather, &coll_gather_roots, &coll_gather_scatter, &coll_gather_allgather, &coll_gather_alltoall,
        &coll_gather_columns, &coll_gather_transpose)
