/*
 * removed: names that later versions deprecated or took away, and that old programs call: MPI-3.0 removed most of them,
 * so an MPI library need not have them. MPICH and Godwit do, in their way; Open MPI 4 does not.
 */
#include "conformance.h"

#if defined(__wasm__) || defined(MPICH)

/* Some compilers are told by mpi.h that these are deprecated, which is just why they are here. */
#if defined(__clang__) || defined(__GNUC__)
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
#endif

TEST(removed_types, 1, "MPI-1.3 section 3.12",
     "MPI_Address MPI_Type_struct MPI_Type_hvector MPI_Type_hindexed MPI_Type_extent") {
  struct {
    int i;
    double d[2];
  } out = {rank, {rank + 0.5, 2}}, in = {0, {0, 0}};
  int lengths[2] = {1, 2}, right = (rank + 1) % size, left = (rank + size - 1) % size;
  MPI_Aint at[2], base, extent = -1;
  MPI_Datatype types[2] = {MPI_INT, MPI_DOUBLE}, t;
  MPI_Address(&out, &base);
  MPI_Address(&out.i, &at[0]);
  MPI_Address(&out.d, &at[1]);
  at[0] -= base;
  at[1] -= base;
  MPI_Type_struct(2, lengths, at, types, &t);
  MPI_Type_commit(&t);
  MPI_Sendrecv(&out, 1, t, right, 0, &in, 1, t, left, 0, comm, MPI_STATUS_IGNORE);
  CHECK(in.i == left && in.d[0] == left + 0.5 && in.d[1] == 2);
  MPI_Type_free(&t);
  MPI_Type_hvector(3, 1, 2 * sizeof(int), MPI_INT, &t);
  MPI_Type_extent(t, &extent);
  CHECK_INT(extent, 5 * sizeof(int));
  MPI_Type_free(&t);
  at[0] = 0;
  at[1] = 4 * sizeof(int);
  MPI_Type_hindexed(2, lengths, at, MPI_INT, &t);
  MPI_Type_extent(t, &extent);
  CHECK_INT(extent, 6 * sizeof(int));
  MPI_Type_lb(t, &base);
  MPI_Type_ub(t, &extent);
  CHECK(base == 0 && extent == 6 * (MPI_Aint)sizeof(int));
  MPI_Type_free(&t);
}

static int copies, deletes;

static int copy(MPI_Comm old, int key, void *extra, void *in, void *out, int *flag) {
  (void)old, (void)key, (void)extra;
  copies++;
  *flag = 1;
  *(void **)out = in;
  return MPI_SUCCESS;
}

static int forget(MPI_Comm c, int key, void *attribute, void *extra) {
  (void)c, (void)key, (void)attribute, (void)extra;
  deletes++;
  return MPI_SUCCESS;
}

TEST(removed_attributes, 1, "MPI-1.3 section 5.7",
     "MPI_Keyval_create MPI_Attr_put MPI_Attr_get MPI_Attr_delete MPI_Keyval_free") {
  int key, flag = 0, x = 5;
  void *got = NULL;
  MPI_Comm other;
  copies = deletes = 0;
  MPI_Keyval_create(copy, forget, &key, NULL);
  MPI_Attr_put(comm, key, &x);
  MPI_Attr_get(comm, key, &got, &flag);
  CHECK(flag && got == &x);
  MPI_Comm_dup(comm, &other);
  MPI_Attr_get(other, key, &got, &flag);
  CHECK(flag && got == &x);
  MPI_Comm_free(&other);
  MPI_Attr_delete(comm, key);
  CHECK(copies == 1 && deletes == 2);
  MPI_Keyval_free(&key);
  MPI_Attr_get(MPI_COMM_WORLD, MPI_TAG_UB, &got, &flag);
  CHECK(flag && *(int *)got >= 32767);
}

static int told;

static void handle(MPI_Comm *c, int *code, ...) {
  (void)c, (void)code;
  told++;
}

TEST(removed_errhandlers, 1, "MPI-1.3 section 7.2", "MPI_Errhandler_create MPI_Errhandler_set MPI_Errhandler_get") {
  MPI_Errhandler h, got;
  int x = 0;
  MPI_Errhandler_create(handle, &h);
  MPI_Errhandler_set(comm, h);
  MPI_Errhandler_get(comm, &got);
  CHECK(got == h);
  MPI_Errhandler_free(&got);
  told = 0;
  MPI_Send(&x, 1, MPI_INT, size, 0, comm);
  CHECK_INT(told, 1);
  MPI_Errhandler_free(&h);
}

CHAPTER(removed, &removed_types, &removed_attributes, &removed_errhandlers)
#else
NO_CHAPTER(removed)
#endif
