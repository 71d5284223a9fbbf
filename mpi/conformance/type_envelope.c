/* type_envelope: how a datatype was made can be asked, and it can be made again (MPI-5.0 section 5.1.13). */
#include "conformance.h"

enum { MOST = 64, INT = sizeof(int) };

struct contents {
  int combiner, integers, addresses, types;
  int i[MOST];
  MPI_Aint a[MOST];
  MPI_Datatype t[MOST];
};

static struct contents take_apart(MPI_Datatype type) {
  struct contents c;
  memset(&c, 0, sizeof c);
  MPI_Type_get_envelope(type, &c.integers, &c.addresses, &c.types, &c.combiner);
  CHECK(c.integers <= MOST && c.addresses <= MOST && c.types <= MOST);
  MPI_Type_get_contents(type, c.integers, c.addresses, c.types, c.i, c.a, c.t);
  return c;
}

/* Derived types that come back are new handles, which the caller frees; predefined ones are not. */
static void release(struct contents *c) {
  for (int k = 0; k < c->types; k++) {
    int integers, addresses, types, combiner;
    MPI_Type_get_envelope(c->t[k], &integers, &addresses, &types, &combiner);
    if (combiner != MPI_COMBINER_NAMED) MPI_Type_free(&c->t[k]);
  }
}

static void check_counts(const struct contents *c, int combiner, int integers, int addresses, int types) {
  CHECK_INT(c->combiner, combiner);
  CHECK_INT(c->integers, integers);
  CHECK_INT(c->addresses, addresses);
  CHECK_INT(c->types, types);
}

static void check_ints(const struct contents *c, const int *want) {
  for (int k = 0; k < c->integers; k++) CHECK_INT(c->i[k], want[k]);
}

TEST(type_envelope_vector, 1, "MPI-5.0 section 5.1.13",
     "MPI_Type_get_envelope MPI_Type_get_contents MPI_COMBINER_VECTOR") {
  MPI_Datatype t;
  MPI_Type_contiguous(7, MPI_DOUBLE, &t);
  struct contents c = take_apart(t);
  check_counts(&c, MPI_COMBINER_CONTIGUOUS, 1, 0, 1);
  check_ints(&c, (int[]){7});
  CHECK(c.t[0] == MPI_DOUBLE);
  MPI_Type_free(&t);
  MPI_Type_vector(3, 2, -5, MPI_INT, &t);
  c = take_apart(t);
  check_counts(&c, MPI_COMBINER_VECTOR, 3, 0, 1);
  check_ints(&c, (int[]){3, 2, -5});
  CHECK(c.t[0] == MPI_INT);
  MPI_Type_free(&t);
  MPI_Type_create_hvector(4, 1, 12, MPI_SHORT, &t);
  c = take_apart(t);
  check_counts(&c, MPI_COMBINER_HVECTOR, 2, 1, 1);
  check_ints(&c, (int[]){4, 1});
  CHECK_INT(c.a[0], 12);
  CHECK(c.t[0] == MPI_SHORT);
  MPI_Type_free(&t);
}

TEST(type_envelope_indexed, 1, "MPI-5.0 section 5.1.13", "MPI_COMBINER_INDEXED MPI_COMBINER_HINDEXED") {
  MPI_Datatype t;
  const int lengths[] = {2, 1, 3}, starts[] = {5, 0, 9};
  const MPI_Aint bytes[] = {40, 0, 72};
  MPI_Type_indexed(3, lengths, starts, MPI_INT, &t);
  struct contents c = take_apart(t);
  check_counts(&c, MPI_COMBINER_INDEXED, 7, 0, 1);
  check_ints(&c, (int[]){3, 2, 1, 3, 5, 0, 9});
  MPI_Type_free(&t);
  MPI_Type_create_hindexed(3, lengths, bytes, MPI_INT, &t);
  c = take_apart(t);
  check_counts(&c, MPI_COMBINER_HINDEXED, 4, 3, 1);
  check_ints(&c, (int[]){3, 2, 1, 3});
  for (int k = 0; k < 3; k++) CHECK_INT(c.a[k], bytes[k]);
  MPI_Type_free(&t);
  MPI_Type_create_indexed_block(3, 2, starts, MPI_CHAR, &t);
  c = take_apart(t);
  check_counts(&c, MPI_COMBINER_INDEXED_BLOCK, 5, 0, 1);
  check_ints(&c, (int[]){3, 2, 5, 0, 9});
  CHECK(c.t[0] == MPI_CHAR);
  MPI_Type_free(&t);
  MPI_Type_create_hindexed_block(3, 2, bytes, MPI_CHAR, &t);
  c = take_apart(t);
  check_counts(&c, MPI_COMBINER_HINDEXED_BLOCK, 2, 3, 1);
  check_ints(&c, (int[]){3, 2});
  for (int k = 0; k < 3; k++) CHECK_INT(c.a[k], bytes[k]);
  MPI_Type_free(&t);
}

TEST(type_envelope_struct, 1, "MPI-5.0 section 5.1.13", "MPI_COMBINER_STRUCT MPI_COMBINER_RESIZED MPI_COMBINER_DUP") {
  MPI_Datatype t, inner, copy;
  const int lengths[] = {1, 2};
  const MPI_Aint at[] = {0, 16};
  MPI_Type_vector(2, 1, 3, MPI_INT, &inner);
  const MPI_Datatype types[] = {MPI_DOUBLE, inner};
  MPI_Type_create_struct(2, lengths, at, types, &t);
  struct contents c = take_apart(t);
  check_counts(&c, MPI_COMBINER_STRUCT, 3, 2, 2);
  check_ints(&c, (int[]){2, 1, 2});
  CHECK(c.a[0] == 0 && c.a[1] == 16);
  CHECK(c.t[0] == MPI_DOUBLE);
  struct contents deep = take_apart(c.t[1]);
  check_counts(&deep, MPI_COMBINER_VECTOR, 3, 0, 1);
  check_ints(&deep, (int[]){2, 1, 3});
  release(&c);
  MPI_Type_dup(t, &copy);
  c = take_apart(copy);
  check_counts(&c, MPI_COMBINER_DUP, 0, 0, 1);
  release(&c);
  MPI_Type_free(&copy);
  MPI_Type_free(&t);
  MPI_Type_free(&inner);
  MPI_Type_create_resized(MPI_INT, -4, 32, &t);
  c = take_apart(t);
  check_counts(&c, MPI_COMBINER_RESIZED, 0, 2, 1);
  CHECK(c.a[0] == -4 && c.a[1] == 32);
  CHECK(c.t[0] == MPI_INT);
  MPI_Type_free(&t);
}

TEST(type_envelope_arrays, 1, "MPI-5.0 section 5.1.13", "MPI_COMBINER_SUBARRAY MPI_COMBINER_DARRAY") {
  MPI_Datatype t;
  const int sizes[] = {6, 5}, parts[] = {2, 3}, starts[] = {1, 2};
  MPI_Type_create_subarray(2, sizes, parts, starts, MPI_ORDER_FORTRAN, MPI_FLOAT, &t);
  struct contents c = take_apart(t);
  check_counts(&c, MPI_COMBINER_SUBARRAY, 8, 0, 1);
  check_ints(&c, (int[]){2, 6, 5, 2, 3, 1, 2, MPI_ORDER_FORTRAN});
  CHECK(c.t[0] == MPI_FLOAT);
  MPI_Type_free(&t);
  const int distribs[] = {MPI_DISTRIBUTE_CYCLIC, MPI_DISTRIBUTE_BLOCK}, args[] = {2, MPI_DISTRIBUTE_DFLT_DARG};
  const int grid[] = {2, 3};
  MPI_Type_create_darray(6, 4, 2, sizes, distribs, args, grid, MPI_ORDER_C, MPI_INT, &t);
  c = take_apart(t);
  check_counts(&c, MPI_COMBINER_DARRAY, 12, 0, 1);
  check_ints(&c, (int[]){6, 4, 2, 6, 5, distribs[0], distribs[1], 2, MPI_DISTRIBUTE_DFLT_DARG, 2, 3, MPI_ORDER_C});
  MPI_Type_free(&t);
}

/* What was asked makes the same type again: the copy carries the same data. */
TEST(type_envelope_rebuild, 1, "MPI-5.0 section 5.1.13", "MPI_Type_get_contents MPI_Type_create_struct") {
  struct pair {
    double d;
    int i[3];
  } out = {rank + 0.5, {1, rank, 3}}, in = {0, {0, 0, 0}};
  const int lengths[] = {1, 2};
  const MPI_Aint at[] = {0, offsetof(struct pair, i) + INT};
  const MPI_Datatype types[] = {MPI_DOUBLE, MPI_INT};
  MPI_Datatype first, second;
  MPI_Type_create_struct(2, lengths, at, types, &first);
  struct contents c = take_apart(first);
  MPI_Type_create_struct(c.i[0], c.i + 1, c.a, c.t, &second);
  MPI_Type_free(&first);
  MPI_Type_commit(&second);
  int right = (rank + 1) % size, left = (rank + size - 1) % size;
  MPI_Sendrecv(&out, 1, second, right, 0, &in, 1, second, left, 0, comm, MPI_STATUS_IGNORE);
  CHECK(in.d == left + 0.5 && in.i[0] == 0 && in.i[1] == left && in.i[2] == 3);
  MPI_Type_free(&second);
}

/* Predefined types have no contents, and room that is too small is an error. */
TEST(type_envelope_errors, 1, "MPI-5.0 section 5.1.13", "MPI_Type_get_contents") {
  errors_return_everywhere();
  MPI_Datatype t, types[4];
  MPI_Aint addresses[4];
  int integers[4];
  CHECK(MPI_Type_get_contents(MPI_INT, 4, 4, 4, integers, addresses, types) != MPI_SUCCESS);
  MPI_Type_vector(2, 2, 2, MPI_INT, &t);
  CHECK(MPI_Type_get_contents(t, 2, 0, 1, integers, addresses, types) != MPI_SUCCESS);
  MPI_Type_free(&t);
}

CHAPTER(type_envelope, &type_envelope_vector, &type_envelope_indexed, &type_envelope_struct, &type_envelope_arrays,
        &type_envelope_rebuild, &type_envelope_errors)
