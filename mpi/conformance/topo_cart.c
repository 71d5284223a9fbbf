/* topo_cart: grids of ranks (MPI-5.0 section 8.5). */
#include "conformance.h"

enum { DIMS = 3 };

/* coords_of numbers ranks in row-major order, as the standard says. */
static void coords_of(int r, int n, const int *dims, int *at) {
  for (int d = n - 1; d >= 0; d--) {
    at[d] = r % dims[d];
    r /= dims[d];
  }
}

static int rank_of(int n, const int *dims, const int *at) {
  int r = 0;
  for (int d = 0; d < n; d++) r = r * dims[d] + (at[d] % dims[d] + dims[d]) % dims[d];
  return r;
}

static int inside(int n, const int *dims, const int *periods, const int *at) {
  for (int d = 0; d < n; d++)
    if (!periods[d] && (at[d] < 0 || at[d] >= dims[d])) return 0;
  return 1;
}

static MPI_Comm grid(int n, int *dims, const int *periods) {
  MPI_Comm c;
  for (int d = 0; d < n; d++) dims[d] = 0;
  MPI_Dims_create(size, n, dims);
  MPI_Cart_create(comm, n, dims, periods, 0, &c);
  return c;
}

TEST(topo_cart_coords, 1, "MPI-5.0 section 8.5.5",
     "MPI_Cart_create MPI_Cart_coords MPI_Cart_rank MPI_Cart_get MPI_Cartdim_get MPI_Topo_test") {
  for (int n = 1; n <= DIMS; n++) {
    int dims[DIMS], periods[DIMS] = {1, 0, 1}, kind = -1, ndims = -1;
    MPI_Comm c = grid(n, dims, periods);
    MPI_Topo_test(c, &kind);
    CHECK_INT(kind, MPI_CART);
    MPI_Cartdim_get(c, &ndims);
    CHECK_INT(ndims, n);
    int got_dims[DIMS], got_periods[DIMS], mine[DIMS], want[DIMS];
    MPI_Cart_get(c, n, got_dims, got_periods, mine);
    coords_of(rank, n, dims, want);
    for (int d = 0; d < n; d++) {
      CHECK_INT(got_dims[d], dims[d]);
      CHECK_INT(got_periods[d], periods[d]);
      CHECK_INT(mine[d], want[d]);
    }
    for (int r = 0; r < size; r++) {
      int at[DIMS], back = -1;
      MPI_Cart_coords(c, r, n, at);
      coords_of(r, n, dims, want);
      for (int d = 0; d < n; d++) CHECK_INT(at[d], want[d]);
      MPI_Cart_rank(c, at, &back);
      CHECK_INT(back, r);
      at[0] += dims[0] * 3; /* periodic: any number of times around, also down */
      MPI_Cart_rank(c, at, &back);
      CHECK_INT(back, r);
      at[0] -= dims[0] * 5;
      MPI_Cart_rank(c, at, &back);
      CHECK_INT(back, r);
    }
    MPI_Comm_free(&c);
  }
  int kind = -1;
  MPI_Topo_test(comm, &kind);
  CHECK_INT(kind, MPI_UNDEFINED);
}

TEST(topo_cart_shift, 1, "MPI-5.0 section 8.5.6", "MPI_Cart_shift MPI_PROC_NULL") {
  for (int bits = 0; bits < 8; bits++) {
    int dims[DIMS], periods[DIMS] = {bits & 1, bits >> 1 & 1, bits >> 2 & 1}, mine[DIMS];
    MPI_Comm c = grid(DIMS, dims, periods);
    coords_of(rank, DIMS, dims, mine);
    for (int d = 0; d < DIMS; d++)
      for (int by = -2; by <= 3; by++) {
        int from = -9, to = -9, up[DIMS], down[DIMS];
        memcpy(up, mine, sizeof mine);
        memcpy(down, mine, sizeof mine);
        up[d] += by;
        down[d] -= by;
        MPI_Cart_shift(c, d, by, &from, &to);
        CHECK_INT(to, inside(DIMS, dims, periods, up) ? rank_of(DIMS, dims, up) : MPI_PROC_NULL);
        CHECK_INT(from, inside(DIMS, dims, periods, down) ? rank_of(DIMS, dims, down) : MPI_PROC_NULL);
      }
    MPI_Comm_free(&c);
  }
}

/* Ranks that the grid has no place for get no communicator. */
TEST(topo_cart_smaller, 2, "MPI-5.0 section 8.5.1", "MPI_Cart_create MPI_COMM_NULL") {
  int dims[1] = {size - 1}, periods[1] = {0}, n = -1;
  MPI_Comm c;
  MPI_Cart_create(comm, 1, dims, periods, 0, &c);
  CHECK((c == MPI_COMM_NULL) == (rank == size - 1));
  if (c != MPI_COMM_NULL) {
    MPI_Comm_size(c, &n);
    CHECK_INT(n, size - 1);
    MPI_Comm_free(&c);
  }
}

/* No dimensions: a grid of one. */
TEST(topo_cart_zero, 1, "MPI-5.0 section 8.5.1", "MPI_Cart_create MPI_Cartdim_get MPI_Cart_rank") {
  MPI_Comm c;
  int n = -1, r = -1;
  MPI_Cart_create(comm, 0, NULL, NULL, 0, &c);
  CHECK((c == MPI_COMM_NULL) == (rank != 0));
  if (rank == 0) {
    MPI_Comm_size(c, &n);
    CHECK_INT(n, 1);
    MPI_Cartdim_get(c, &n);
    CHECK_INT(n, 0);
    MPI_Cart_rank(c, NULL, &r);
    CHECK_INT(r, 0);
    MPI_Comm_free(&c);
  }
}

TEST(topo_cart_reorder, 1, "MPI-5.0 section 8.5.1", "MPI_Cart_create MPI_Cart_coords") {
  int dims[2] = {0, 0}, periods[2] = {1, 1}, me, mine[2], sum = 0;
  MPI_Comm c;
  MPI_Dims_create(size, 2, dims);
  MPI_Cart_create(comm, 2, dims, periods, 1, &c);
  MPI_Comm_rank(c, &me); /* any permutation will do */
  MPI_Cart_coords(c, me, 2, mine);
  CHECK_INT(rank_of(2, dims, mine), me);
  int once = me * me;
  MPI_Allreduce(&once, &sum, 1, MPI_INT, MPI_SUM, c);
  CHECK_INT(sum, (size - 1) * size * (2 * size - 1) / 6);
  MPI_Comm_free(&c);
}

TEST(topo_cart_sub, 1, "MPI-5.0 section 8.5.7", "MPI_Cart_sub MPI_Cart_get") {
  for (int bits = 1; bits < 8; bits++) {
    int dims[DIMS], periods[DIMS] = {1, 0, 1}, keep[DIMS] = {bits & 1, bits >> 1 & 1, bits >> 2 & 1};
    int mine[DIMS], left_dims[DIMS], left_periods[DIMS], left_at[DIMS], n = 0, total = 1, kept = -1;
    MPI_Comm c = grid(DIMS, dims, periods), part;
    coords_of(rank, DIMS, dims, mine);
    MPI_Cart_sub(c, keep, &part);
    for (int d = 0; d < DIMS; d++) {
      if (!keep[d]) continue;
      left_dims[n] = dims[d], left_periods[n] = periods[d], left_at[n] = mine[d];
      total *= dims[d];
      n++;
    }
    MPI_Cartdim_get(part, &kept);
    CHECK_INT(kept, n);
    int m, me, got_dims[DIMS], got_periods[DIMS], got_at[DIMS];
    MPI_Comm_size(part, &m);
    CHECK_INT(m, total);
    MPI_Comm_rank(part, &me);
    CHECK_INT(me, rank_of(n, left_dims, left_at));
    MPI_Cart_get(part, n, got_dims, got_periods, got_at);
    for (int d = 0; d < n; d++) {
      CHECK_INT(got_dims[d], left_dims[d]);
      CHECK_INT(got_periods[d], left_periods[d]);
      CHECK_INT(got_at[d], left_at[d]);
    }
    int sum = 0, one = 1;
    MPI_Allreduce(&one, &sum, 1, MPI_INT, MPI_SUM, part);
    CHECK_INT(sum, total);
    MPI_Comm_free(&part);
    MPI_Comm_free(&c);
  }
}

/* Nothing kept: a grid of no dimensions for each rank alone. */
TEST(topo_cart_sub_none, 1, "MPI-5.0 section 8.5.7", "MPI_Cart_sub MPI_Cartdim_get") {
  int dims[2], periods[2] = {1, 0}, keep[2] = {0, 0}, n = -1;
  MPI_Comm c = grid(2, dims, periods), part = MPI_COMM_NULL;
  MPI_Cart_sub(c, keep, &part);
  CHECK(part != MPI_COMM_NULL);
  MPI_Comm_size(part, &n);
  CHECK_INT(n, 1);
  MPI_Cartdim_get(part, &n);
  CHECK_INT(n, 0);
  MPI_Comm_free(&part);
  MPI_Comm_free(&c);
}

TEST(topo_cart_map, 1, "MPI-5.0 section 8.5.8", "MPI_Cart_map MPI_Graph_map") {
  int dims[2] = {1, size}, periods[2] = {0, 1}, r = -1, index[1] = {0};
  MPI_Cart_map(comm, 2, dims, periods, &r);
  CHECK(r >= 0 && r < size);
  int bit = 1 << r, bits = 0;
  MPI_Allreduce(&bit, &bits, 1, MPI_INT, MPI_BOR, comm);
  CHECK_INT(bits, (1 << size) - 1);
  if (size == 1) {
    MPI_Graph_map(comm, 1, index, index, &r);
    CHECK_INT(r, 0);
  }
}

TEST(topo_cart_map_smaller, 1, "MPI-5.0 section 8.5.8", "MPI_Cart_map MPI_UNDEFINED") {
  int r = -1, one[1] = {1}, periods[1] = {0}, seen = 0;
  MPI_Cart_map(comm, 1, one, periods, &r);
  CHECK(r == 0 || r == MPI_UNDEFINED);
  int mapped = r == 0;
  MPI_Allreduce(&mapped, &seen, 1, MPI_INT, MPI_SUM, comm);
  CHECK_INT(seen, 1);
}

/* Duplicates keep the topology. */
TEST(topo_cart_dup, 1, "MPI-5.0 section 8.4", "MPI_Comm_dup MPI_Topo_test MPI_Cart_get") {
  int dims[2], periods[2] = {1, 0}, got_dims[2], got_periods[2], at[2], kind = -1;
  MPI_Comm c = grid(2, dims, periods), copy;
  MPI_Comm_dup(c, &copy);
  MPI_Topo_test(copy, &kind);
  CHECK_INT(kind, MPI_CART);
  MPI_Cart_get(copy, 2, got_dims, got_periods, at);
  CHECK(got_dims[0] == dims[0] && got_dims[1] == dims[1] && got_periods[0] == 1 && got_periods[1] == 0);
  MPI_Comm_free(&c);
  MPI_Comm_free(&copy);
}

/* Dims_create: the product is right, given entries stay, the rest do not increase, and known cases are balanced. */
TEST(topo_cart_dims, 1, "MPI-5.0 section 8.5.2", "MPI_Dims_create") {
  for (int n = 1; n <= 64; n++)
    for (int d = 1; d <= 4; d++) {
      int dims[4] = {0, 0, 0, 0}, product = 1;
      MPI_Dims_create(n, d, dims);
      for (int i = 0; i < d; i++) product *= dims[i];
      CHECK_INT(product, n);
      for (int i = 1; i < d; i++) CHECK(dims[i - 1] >= dims[i]);
    }
  const struct {
    int nodes, n, given[3], want[3];
  } cases[] = {
      {6, 2, {0, 0}, {3, 2}},  {7, 2, {0, 0}, {7, 1}},        {6, 3, {0, 3, 0}, {2, 3, 1}},
      {16, 2, {0, 0}, {4, 4}}, {12, 2, {0, 0}, {4, 3}},       {8, 3, {0, 0, 0}, {2, 2, 2}},
      {36, 2, {0, 0}, {6, 6}}, {24, 3, {0, 0, 2}, {4, 3, 2}}, {5, 3, {1, 0, 1}, {1, 5, 1}},
      {4, 2, {2, 2}, {2, 2}},  {64, 3, {0, 0, 0}, {4, 4, 4}},
  };
  for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
    int dims[3];
    memcpy(dims, cases[k].given, sizeof dims);
    MPI_Dims_create(cases[k].nodes, cases[k].n, dims);
    for (int i = 0; i < cases[k].n; i++) CHECK_INT(dims[i], cases[k].want[i]);
  }
}

TEST(topo_cart_errors, 1, "MPI-5.0 section 9.4",
     "MPI_Cart_create MPI_Cart_shift MPI_Dims_create MPI_ERR_TOPOLOGY MPI_ERR_DIMS MPI_ERR_ARG") {
  errors_return_everywhere();
  int n, at[2] = {0, 0}, dims[2] = {size + 1, 2}, periods[2] = {0, 0}, from, to, impossible[2] = {size + 1, 0};
  MPI_Comm c;
  CHECK_CLASS(MPI_Cartdim_get(comm, &n), MPI_ERR_TOPOLOGY);
  CHECK_CLASS(MPI_Cart_coords(comm, 0, 2, at), MPI_ERR_TOPOLOGY);
  CHECK_CLASS(MPI_Cart_shift(comm, 0, 1, &from, &to), MPI_ERR_TOPOLOGY);
  CHECK(MPI_Cart_create(comm, 2, dims, periods, 0, &c) != MPI_SUCCESS);
  CHECK_CLASS2(MPI_Dims_create(size, 2, impossible), MPI_ERR_DIMS, MPI_ERR_ARG);
}

CHAPTER(topo_cart, &topo_cart_coords, &topo_cart_shift, &topo_cart_smaller, &topo_cart_zero, &topo_cart_reorder,
        &topo_cart_sub, &topo_cart_sub_none, &topo_cart_map, &topo_cart_map_smaller, &topo_cart_dup, &topo_cart_dims,
        &topo_cart_errors)
