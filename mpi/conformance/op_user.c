/* op_user: operations of the program's own, above all such that depend on the order (MPI-5.0 section 6.9.5). */
#include "conformance.h"

/* A range of ranks; joining is associative, and right only if the ranges meet: not commutative. */
struct range {
  int from, to, good;
};

static int calls, wrong_type;
static MPI_Datatype range_type = MPI_DATATYPE_NULL;

static void join(void *in, void *inout, int *n, MPI_Datatype *type) {
  const struct range *a = in; /* the operand of the lower ranks */
  struct range *b = inout;
  calls++;
  wrong_type |= *type != range_type;
  for (int i = 0; i < *n; i++) {
    b[i].good = a[i].good && b[i].good && a[i].to + 1 == b[i].from;
    b[i].from = a[i].from;
  }
}

static void make_range(MPI_Op *op, int commutes) {
  MPI_Type_contiguous(3, MPI_INT, &range_type);
  MPI_Type_commit(&range_type);
  MPI_Op_create(join, commutes, op);
  wrong_type = 0;
}

static void free_range(MPI_Op *op) {
  MPI_Op_free(op);
  CHECK(*op == MPI_OP_NULL);
  MPI_Type_free(&range_type);
}

static void check_range(const struct range *r, int from, int to) {
  CHECK_INT(r->from, from);
  CHECK_INT(r->to, to);
  CHECK_INT(r->good, 1);
}

enum { N = 300 };

static struct range *ranges(int n) {
  struct range *p = allocate((size_t)n * sizeof *p);
  for (int i = 0; i < n; i++) p[i] = (struct range){rank, rank, 1};
  return p;
}

TEST(op_user_order, 1, "MPI-5.0 section 6.9.5", "MPI_Op_create MPI_Op_free MPI_Reduce MPI_Allreduce") {
  MPI_Op op;
  make_range(&op, 0);
  for (int n = 1; n <= N; n += N - 1) {
    struct range *out = ranges(n), *in = ranges(n);
    for (int root = 0; root < size; root++) {
      MPI_Reduce(out, in, n, range_type, op, root, comm);
      for (int i = 0; i < n && rank == root; i++) check_range(&in[i], 0, size - 1);
    }
    MPI_Allreduce(out, in, n, range_type, op, comm);
    for (int i = 0; i < n; i++) check_range(&in[i], 0, size - 1);
    MPI_Allreduce(MPI_IN_PLACE, out, n, range_type, op, comm);
    for (int i = 0; i < n; i++) check_range(&out[i], 0, size - 1);
    free(out);
    free(in);
  }
  CHECK_INT(wrong_type, 0);
  free_range(&op);
}

TEST(op_user_order_scan, 1, "MPI-5.0 section 6.11", "MPI_Op_create MPI_Scan MPI_Exscan") {
  MPI_Op op;
  make_range(&op, 0);
  struct range *out = ranges(N), *in = ranges(N);
  MPI_Scan(out, in, N, range_type, op, comm);
  for (int i = 0; i < N; i++) check_range(&in[i], 0, rank);
  MPI_Exscan(out, in, N, range_type, op, comm);
  for (int i = 0; i < N && rank > 0; i++) check_range(&in[i], 0, rank - 1);
  free(out);
  free(in);
  free_range(&op);
}

TEST(op_user_order_scatter, 1, "MPI-5.0 section 6.10", "MPI_Op_create MPI_Reduce_scatter MPI_Reduce_scatter_block") {
  MPI_Op op;
  make_range(&op, 0);
  int *counts = new_ints(size, 0);
  for (int p = 0; p < size; p++) counts[p] = p % 3 * 2;
  struct range *out = ranges(2 * size), *in = ranges(4);
  MPI_Reduce_scatter_block(out, in, 2, range_type, op, comm);
  for (int i = 0; i < 2; i++) check_range(&in[i], 0, size - 1);
  MPI_Reduce_scatter(out, in, counts, range_type, op, comm);
  for (int i = 0; i < counts[rank]; i++) check_range(&in[i], 0, size - 1);
  free(out);
  free(in);
  free(counts);
  free_range(&op);
}

TEST(op_user_order_nonblocking, 1, "MPI-5.0 section 6.12", "MPI_Op_create MPI_Ireduce MPI_Iallreduce MPI_Iscan") {
  MPI_Op op;
  make_range(&op, 0);
  struct range *out = ranges(N), *in[3];
  MPI_Request requests[3];
  for (int k = 0; k < 3; k++) in[k] = ranges(N);
  MPI_Ireduce(out, in[0], N, range_type, op, size / 2, comm, &requests[0]);
  MPI_Iallreduce(out, in[1], N, range_type, op, comm, &requests[1]);
  MPI_Iscan(out, in[2], N, range_type, op, comm, &requests[2]);
  MPI_Waitall(3, requests, MPI_STATUSES_IGNORE);
  for (int i = 0; i < N; i++) {
    if (rank == size / 2) check_range(&in[0][i], 0, size - 1);
    check_range(&in[1][i], 0, size - 1);
    check_range(&in[2][i], 0, rank);
  }
  for (int k = 0; k < 3; k++) free(in[k]);
  free(out);
  free_range(&op);
}

/* 2x2 matrices, whose product keeps the order of the ranks in its entries. */
static void multiply(void *in, void *inout, int *n, MPI_Datatype *type) {
  (void)type;
  const uint32_t(*a)[4] = in;
  uint32_t(*b)[4] = inout;
  for (int i = 0; i < *n; i++) {
    const uint32_t c[4] = {a[i][0] * b[i][0] + a[i][1] * b[i][2], a[i][0] * b[i][1] + a[i][1] * b[i][3],
                           a[i][2] * b[i][0] + a[i][3] * b[i][2], a[i][2] * b[i][1] + a[i][3] * b[i][3]};
    memcpy(b[i], c, sizeof c);
  }
}

TEST(op_user_matrices, 1, "MPI-5.0 section 6.9.5", "MPI_Op_create MPI_Scan MPI_Allreduce") {
  MPI_Op op;
  MPI_Datatype matrix;
  MPI_Type_contiguous(4, MPI_UINT32_T, &matrix);
  MPI_Type_commit(&matrix);
  MPI_Op_create(multiply, 0, &op);
  uint32_t m[1][4], product[1][4], got[1][4];
  int one = 1;
  for (int r = size - 1; r >= 0; r--) {
    const uint32_t entries[4] = {(uint32_t)r + 1, 1, 2, (uint32_t)r * 3 + 1};
    memcpy(m[0], entries, sizeof entries);
    if (r == size - 1) memcpy(product, m, sizeof m);
    if (r < size - 1) multiply(m, product, &one, &matrix);
  }
  const uint32_t mine[4] = {(uint32_t)rank + 1, 1, 2, (uint32_t)rank * 3 + 1};
  memcpy(m[0], mine, sizeof mine);
  MPI_Allreduce(m, got, 1, matrix, op, comm);
  CHECK(memcmp(got, product, sizeof got) == 0);
  MPI_Scan(m, got, 1, matrix, op, comm);
  if (rank == size - 1) CHECK(memcmp(got, product, sizeof got) == 0);
  MPI_Op_free(&op);
  MPI_Type_free(&matrix);
}

/* A type with gaps reaches the operation as it lies in memory: what is between must stay. */
static void add_every_other(void *in, void *inout, int *n, MPI_Datatype *type) {
  MPI_Aint lb, extent;
  MPI_Type_get_extent(*type, &lb, &extent);
  for (int i = 0; i < *n; i++) {
    const int *a = (const int *)((const char *)in + i * extent);
    int *b = (int *)((char *)inout + i * extent);
    b[0] += a[0];
    b[2] += a[2];
  }
}

TEST(op_user_gaps, 1, "MPI-5.0 section 6.9.5", "MPI_Op_create MPI_Type_vector MPI_Type_create_resized") {
  MPI_Op op;
  MPI_Datatype gaps, type;
  MPI_Type_vector(2, 1, 2, MPI_INT, &gaps);
  MPI_Type_create_resized(gaps, 0, 4 * sizeof(int), &type);
  MPI_Type_free(&gaps);
  MPI_Type_commit(&type);
  MPI_Op_create(add_every_other, 1, &op);
  enum { ITEMS = 6 };
  int out[4 * ITEMS], in[4 * ITEMS];
  for (int i = 0; i < 4 * ITEMS; i++) out[i] = rank + i, in[i] = -1;
  MPI_Allreduce(out, in, ITEMS, type, op, comm);
  for (int i = 0; i < 4 * ITEMS; i++) CHECK_INT(in[i], i % 2 ? -1 : size * (size - 1) / 2 + size * i);
  MPI_Reduce(out, in, ITEMS, type, op, 0, comm);
  for (int i = 0; i < 4 * ITEMS && rank == 0; i++) CHECK_INT(in[i], i % 2 ? -1 : size * (size - 1) / 2 + size * i);
  MPI_Op_free(&op);
  MPI_Type_free(&type);
}

TEST(op_user_commutes, 1, "MPI-5.0 section 6.9.5", "MPI_Op_commutative MPI_Op_create") {
  MPI_Op op;
  int yes = -1;
  MPI_Op_create(join, 0, &op);
  MPI_Op_commutative(op, &yes);
  CHECK_INT(yes, 0);
  MPI_Op_free(&op);
  MPI_Op_create(join, 1, &op);
  MPI_Op_commutative(op, &yes);
  CHECK(yes != 0);
  MPI_Op_free(&op);
  MPI_Op_commutative(MPI_SUM, &yes);
  CHECK(yes != 0);
  MPI_Op_commutative(MPI_MAXLOC, &yes);
  CHECK(yes != 0);
}

/* Called on this rank alone, the first argument is the left operand. */
TEST(op_user_local, 1, "MPI-5.0 section 6.9.7", "MPI_Reduce_local MPI_Op_create") {
  MPI_Op op;
  make_range(&op, 0);
  struct range a[2] = {{0, 3, 1}, {5, 5, 1}}, b[2] = {{4, 9, 1}, {7, 8, 1}};
  calls = 0;
  MPI_Reduce_local(a, b, 2, range_type, op);
  CHECK(calls >= 1);
  check_range(&b[0], 0, 9);
  CHECK_INT(b[1].good, 0);
  CHECK_INT(wrong_type, 0);
  free_range(&op);
}

TEST(op_user_errors, 1, "MPI-5.0 section 9.4", "MPI_Op_free MPI_ERR_OP MPI_ERR_ARG") {
  errors_return_everywhere();
  MPI_Op op = MPI_SUM;
  CHECK_CLASS(MPI_Op_free(&op), MPI_ERR_OP);
  op = MPI_OP_NULL;
  CHECK_CLASS(MPI_Op_free(&op), MPI_ERR_OP);
}

CHAPTER(op_user, &op_user_order, &op_user_order_scan, &op_user_order_scatter, &op_user_order_nonblocking,
        &op_user_matrices, &op_user_gaps, &op_user_commutes, &op_user_local, &op_user_errors)
