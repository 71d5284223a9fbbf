/* coll_reduce: reductions to one, to all, scattered, and of prefixes (MPI-5.0 sections 6.9 to 6.11). */
#include "conformance.h"

static const int lengths[] = {0, 1, 3, 1025, 20011};

enum { LENGTHS = sizeof lengths / sizeof *lengths };

/* item is small, so that sums over 17 ranks fit. */
static int item(int r, int i) { return (r * 31 + i * 7) % 1000 - 300; }

static int sum(int ranks, int i) {
  int total = 0;
  for (int p = 0; p < ranks; p++) total += item(p, i);
  return total;
}

static int most(int ranks, int i) {
  int m = item(0, i);
  for (int p = 1; p < ranks; p++) m = item(p, i) > m ? item(p, i) : m;
  return m;
}

static int *items(int n) {
  int *p = new_ints(n, 0);
  for (int i = 0; i < n; i++) p[i] = item(rank, i);
  return p;
}

TEST(coll_reduce_roots, 1, "MPI-5.0 section 6.9.1", "MPI_Reduce MPI_SUM MPI_MAX") {
  for (int l = 0; l < LENGTHS; l++)
    for (int root = 0; root < size; root++) {
      int n = lengths[l], *out = items(n), *in = new_ints(n + 1, -1);
      if (rank == root) MPI_Reduce(out, in, n, MPI_INT, root % 2 ? MPI_SUM : MPI_MAX, root, comm);
      if (rank != root) MPI_Reduce(out, NULL, n, MPI_INT, root % 2 ? MPI_SUM : MPI_MAX, root, comm);
      for (int i = 0; i < n && rank == root; i++) CHECK_INT(in[i], root % 2 ? sum(size, i) : most(size, i));
      for (int i = 0; i < n; i++) CHECK_INT(out[i], item(rank, i));
      CHECK_INT(in[n], -1);
      free(out);
      free(in);
    }
}

TEST(coll_reduce_allreduce, 1, "MPI-5.0 section 6.9.6", "MPI_Allreduce MPI_SUM MPI_MAX") {
  for (int l = 0; l < LENGTHS; l++) {
    int n = lengths[l], *out = items(n), *in = new_ints(n + 1, -1);
    MPI_Allreduce(out, in, n, MPI_INT, MPI_SUM, comm);
    for (int i = 0; i < n; i++) CHECK_INT(in[i], sum(size, i));
    MPI_Allreduce(out, in, n, MPI_INT, MPI_MAX, comm);
    for (int i = 0; i < n; i++) CHECK_INT(in[i], most(size, i));
    CHECK_INT(in[n], -1);
    free(out);
    free(in);
  }
}

/* All ranks get the same bits, though sums of doubles depend on their order (MPI-5.0 section 6.9.6, by the advice
 * of 6.9.1). */
TEST(coll_reduce_same_bits, 1, "MPI-5.0 section 6.9.6", "MPI_Allreduce MPI_DOUBLE") {
  enum { N = 3001 };
  double *out = allocate(N * sizeof *out), *in = allocate(N * sizeof *in), *first = allocate(N * sizeof *first);
  for (int i = 0; i < N; i++) out[i] = (i % 2 ? 1e16 : 1.0) / (rank + 3) * (rank % 2 ? -1 : 1) + i;
  MPI_Allreduce(out, in, N, MPI_DOUBLE, MPI_SUM, comm);
  memcpy(first, in, N * sizeof *in);
  MPI_Bcast(first, N, MPI_DOUBLE, 0, comm);
  CHECK(memcmp(first, in, N * sizeof *in) == 0);
  free(out);
  free(in);
  free(first);
}

TEST(coll_reduce_scatter_block, 1, "MPI-5.0 section 6.10.1", "MPI_Reduce_scatter_block") {
  for (int l = 0; l < LENGTHS; l++) {
    int n = lengths[l], *out = items(n * size), *in = new_ints(n + 1, -1);
    MPI_Reduce_scatter_block(out, in, n, MPI_INT, MPI_SUM, comm);
    for (int i = 0; i < n; i++) CHECK_INT(in[i], sum(size, rank * n + i));
    CHECK_INT(in[n], -1);
    free(out);
    free(in);
  }
}

TEST(coll_reduce_scatter, 1, "MPI-5.0 section 6.10.2", "MPI_Reduce_scatter") {
  for (int scale = 0; scale <= 400; scale += 100) {
    int *counts = new_ints(size, 0), total = 0, mine = 0;
    for (int p = 0; p < size; p++) {
      counts[p] = p % 3 == 1 ? 0 : p + scale;
      if (p == rank) mine = total;
      total += counts[p];
    }
    int *out = items(total), *in = new_ints(counts[rank] + 1, -1);
    MPI_Reduce_scatter(out, in, counts, MPI_INT, MPI_SUM, comm);
    for (int i = 0; i < counts[rank]; i++) CHECK_INT(in[i], sum(size, mine + i));
    CHECK_INT(in[counts[rank]], -1);
    free(counts);
    free(out);
    free(in);
  }
}

TEST(coll_reduce_scan, 1, "MPI-5.0 section 6.11.1", "MPI_Scan") {
  for (int l = 0; l < LENGTHS; l++) {
    int n = lengths[l], *out = items(n), *in = new_ints(n + 1, -1);
    MPI_Scan(out, in, n, MPI_INT, MPI_SUM, comm);
    for (int i = 0; i < n; i++) CHECK_INT(in[i], sum(rank + 1, i));
    MPI_Scan(out, in, n, MPI_INT, MPI_MAX, comm);
    for (int i = 0; i < n; i++) CHECK_INT(in[i], most(rank + 1, i));
    CHECK_INT(in[n], -1);
    free(out);
    free(in);
  }
}

/* On rank 0 the result of an exclusive scan is undefined, so it is not looked at. */
TEST(coll_reduce_exscan, 1, "MPI-5.0 section 6.11.2", "MPI_Exscan") {
  for (int l = 0; l < LENGTHS; l++) {
    int n = lengths[l], *out = items(n), *in = new_ints(n + 1, -1);
    MPI_Exscan(out, in, n, MPI_INT, MPI_SUM, comm);
    for (int i = 0; i < n && rank > 0; i++) CHECK_INT(in[i], sum(rank, i));
    MPI_Exscan(out, in, n, MPI_INT, MPI_MAX, comm);
    for (int i = 0; i < n && rank > 0; i++) CHECK_INT(in[i], most(rank, i));
    CHECK_INT(in[n], -1);
    free(out);
    free(in);
  }
}

/* Exactly one rank's element is missing in a logical reduction, and the operation sees all. */
TEST(coll_reduce_outlier, 1, "MPI-5.0 section 6.9.2", "MPI_Allreduce MPI_LAND MPI_MIN MPI_BOR") {
  for (int odd = 0; odd < size; odd++) {
    int yes = rank != odd, all = -1, low = rank == odd ? -5 : 5, least = 0, bit = 1 << rank, bits = 0;
    MPI_Allreduce(&yes, &all, 1, MPI_INT, MPI_LAND, comm);
    CHECK_INT(all, 0);
    MPI_Allreduce(&low, &least, 1, MPI_INT, MPI_MIN, comm);
    CHECK_INT(least, -5);
    MPI_Allreduce(&bit, &bits, 1, MPI_INT, MPI_BOR, comm);
    CHECK_INT(bits, (1 << size) - 1);
  }
}

TEST(coll_reduce_local, 1, "MPI-5.0 section 6.9.7", "MPI_Reduce_local") {
  int a[4] = {1, -2, 3, 40}, b[4] = {10, 20, -30, 4};
  MPI_Reduce_local(a, b, 3, MPI_INT, MPI_SUM);
  CHECK(b[0] == 11 && b[1] == 18 && b[2] == -27 && b[3] == 4);
  CHECK(a[0] == 1 && a[1] == -2 && a[2] == 3);
  MPI_Reduce_local(a, b, 4, MPI_INT, MPI_MAX);
  CHECK(b[0] == 11 && b[1] == 18 && b[2] == 3 && b[3] == 40);
  MPI_Reduce_local(a, b, 0, MPI_INT, MPI_SUM);
  CHECK_INT(b[0], 11);
}

TEST(coll_reduce_errors, 1, "MPI-5.0 section 9.4", "MPI_Reduce MPI_Allreduce MPI_ERR_OP MPI_ERR_TYPE") {
  errors_return(comm);
  int x = 1, y = 0;
  CHECK_CLASS(MPI_Allreduce(&x, &y, 1, MPI_INT, MPI_OP_NULL, comm), MPI_ERR_OP);
  CHECK_CLASS2(MPI_Reduce(&x, &y, 1, MPI_DATATYPE_NULL, MPI_SUM, 0, comm), MPI_ERR_TYPE, MPI_ERR_OP);
  CHECK_CLASS(MPI_Scan(&x, &y, 1, MPI_INT, MPI_OP_NULL, comm), MPI_ERR_OP);
  double d = 1, e = 0;
  CHECK_CLASS(MPI_Allreduce(&d, &e, 1, MPI_DOUBLE, MPI_BAND, comm), MPI_ERR_OP);
  CHECK_CLASS(MPI_Allreduce(&d, &e, 1, MPI_DOUBLE, MPI_MAXLOC, comm), MPI_ERR_OP);
}

TEST(coll_reduce_count, 1, "MPI-5.0 section 9.4", "MPI_Allreduce MPI_ERR_COUNT") {
  errors_return(comm);
  int x = 1, y = 0;
  CHECK_CLASS(MPI_Allreduce(&x, &y, -1, MPI_INT, MPI_SUM, comm), MPI_ERR_COUNT);
}

CHAPTER(coll_reduce, &coll_reduce_roots, &coll_reduce_allreduce, &coll_reduce_same_bits, &coll_reduce_scatter_block,
        &coll_reduce_scatter, &coll_reduce_scan, &coll_reduce_exscan, &coll_reduce_outlier, &coll_reduce_local,
        &coll_reduce_errors, &coll_reduce_count)
