/* type_vector: contiguous, vector, indexed types and their relatives (MPI-5.0 section 5.1.2). */
#include "layout.h"

enum { INT = sizeof(int) };

/* commit_and_check takes the type over. */
static void commit_and_check(MPI_Datatype type, int n, const int *at, int lb, int extent, int true_lb,
                             int true_extent) {
  struct layout l = {type, n, at, lb, extent, true_lb, true_extent};
  MPI_Type_commit(&l.type);
  check_layout(&l);
  MPI_Type_free(&l.type);
  CHECK(l.type == MPI_DATATYPE_NULL);
}

TEST(type_vector_contiguous, 1, "MPI-5.0 section 5.1.2", "MPI_Type_contiguous") {
  MPI_Datatype t;
  const int at[] = {0, 1, 2, 3, 4};
  MPI_Type_contiguous(5, MPI_INT, &t);
  commit_and_check(t, 5, at, 0, 5, 0, 5);
  MPI_Type_contiguous(0, MPI_INT, &t);
  commit_and_check(t, 0, NULL, 0, 0, 0, 0);
}

TEST(type_vector_strided, 1, "MPI-5.0 section 5.1.2", "MPI_Type_vector") {
  MPI_Datatype t;
  const int gaps[] = {0, 1, 3, 4, 6, 7}, dense[] = {0, 1, 2, 3}, one[] = {0, 1, 2}, still[] = {0, 1, 2, 3};
  MPI_Type_vector(3, 2, 3, MPI_INT, &t);
  commit_and_check(t, 6, gaps, 0, 8, 0, 8);
  MPI_Type_vector(2, 2, 2, MPI_INT, &t);
  commit_and_check(t, 4, dense, 0, 4, 0, 4);
  MPI_Type_vector(1, 3, 100, MPI_INT, &t); /* one block: the stride does not count */
  commit_and_check(t, 3, one, 0, 3, 0, 3);
  MPI_Type_vector(4, 1, 1, MPI_INT, &t);
  commit_and_check(t, 4, still, 0, 4, 0, 4);
}

/* Strides may go down: the order of the items is that of the blocks, not of memory. */
TEST(type_vector_negative, 1, "MPI-5.0 section 5.1.2", "MPI_Type_vector MPI_Type_create_hvector") {
  MPI_Datatype t;
  const int at[] = {0, 1, -3, -2, -6, -5};
  MPI_Type_vector(3, 2, -3, MPI_INT, &t);
  commit_and_check(t, 6, at, -6, 8, -6, 8);
  MPI_Type_create_hvector(3, 2, -3 * INT, MPI_INT, &t);
  commit_and_check(t, 6, at, -6, 8, -6, 8);
}

TEST(type_vector_hvector, 1, "MPI-5.0 section 5.1.2", "MPI_Type_create_hvector") {
  MPI_Datatype t, pair;
  const int at[] = {0, 1, 5, 6, 10, 11}, nested[] = {0, 2, 3, 5, 7, 9, 10, 12};
  MPI_Type_create_hvector(3, 2, 5 * INT, MPI_INT, &t);
  commit_and_check(t, 6, at, 0, 12, 0, 12);
  MPI_Type_vector(2, 1, 2, MPI_INT, &pair); /* x.x, extent 3 */
  MPI_Type_create_hvector(2, 2, 7 * INT, pair, &t);
  MPI_Type_free(&pair); /* the new type keeps what it needs */
  commit_and_check(t, 8, nested, 0, 13, 0, 13);
}

TEST(type_vector_indexed, 1, "MPI-5.0 section 5.1.2", "MPI_Type_indexed MPI_Type_create_indexed_block") {
  MPI_Datatype t;
  const int lengths[] = {2, 0, 1, 3}, starts[] = {4, 99, 0, 10}, at[] = {4, 5, 0, 10, 11, 12};
  MPI_Type_indexed(4, lengths, starts, MPI_INT, &t); /* an empty block counts for nothing */
  commit_and_check(t, 6, at, 0, 13, 0, 13);
  const int places[] = {3, -2, 7}, block_at[] = {3, 4, -2, -1, 7, 8};
  MPI_Type_create_indexed_block(3, 2, places, MPI_INT, &t);
  commit_and_check(t, 6, block_at, -2, 11, -2, 11);
}

TEST(type_vector_hindexed, 1, "MPI-5.0 section 5.1.2", "MPI_Type_create_hindexed MPI_Type_create_hindexed_block") {
  MPI_Datatype t;
  const int lengths[] = {1, 2}, at[] = {6, 1, 2};
  const MPI_Aint starts[] = {6 * INT, 1 * INT};
  MPI_Type_create_hindexed(2, lengths, starts, MPI_INT, &t);
  commit_and_check(t, 3, at, 1, 6, 1, 6);
  const int block_at[] = {6, 7, 8, 1, 2, 3};
  MPI_Type_create_hindexed_block(2, 3, starts, MPI_INT, &t);
  commit_and_check(t, 6, block_at, 1, 8, 1, 8);
}

/* Types of types of types, against the list that loops make. */
TEST(type_vector_nested, 1, "MPI-5.0 section 5.1.2", "MPI_Type_vector MPI_Type_indexed MPI_Type_contiguous") {
  MPI_Datatype inner, middle, outer;
  const int lengths[] = {2, 1}, starts[] = {0, 4};
  int at[24], n = 0;
  MPI_Type_vector(2, 1, 3, MPI_INT, &inner);            /* x..x, extent 4 */
  MPI_Type_indexed(2, lengths, starts, inner, &middle); /* items of inner at 0, 1, 4: extent 20 */
  MPI_Type_vector(2, 2, 3, middle, &outer);             /* items of middle at 0, 1, 3, 4 */
  for (int block = 0; block < 2; block++)
    for (int item = 0; item < 2; item++)
      for (int k = 0; k < 3; k++)
        for (int e = 0; e < 2; e++) at[n++] = (block * 3 + item) * 20 + (k == 2 ? 4 : k) * 4 + e * 3;
  commit_and_check(outer, 24, at, 0, 100, 0, 100);
  MPI_Type_free(&inner);
  MPI_Type_free(&middle);
}

TEST(type_vector_dup, 1, "MPI-5.0 section 5.1.10", "MPI_Type_dup") {
  MPI_Datatype t, copy;
  const int at[] = {0, 2, 4};
  MPI_Type_vector(3, 1, 2, MPI_INT, &t);
  MPI_Type_commit(&t);
  MPI_Type_dup(t, &copy); /* committed like the original, and lives longer */
  MPI_Type_free(&t);
  struct layout l = {copy, 3, at, 0, 5, 0, 5};
  check_layout(&l);
  MPI_Type_free(&copy);
}

/* Committing twice, and predefined types, is allowed. */
TEST(type_vector_commit, 1, "MPI-5.0 section 5.1.9", "MPI_Type_commit") {
  MPI_Datatype t, i = MPI_INT;
  MPI_Type_contiguous(2, MPI_INT, &t);
  MPI_Type_commit(&t);
  MPI_Type_commit(&t);
  MPI_Type_commit(&i);
  CHECK(i == MPI_INT);
  MPI_Type_free(&t);
}

TEST(type_vector_errors, 1, "MPI-5.0 section 9.4",
     "MPI_Type_vector MPI_Type_free MPI_ERR_COUNT MPI_ERR_ARG MPI_ERR_TYPE") {
  errors_return_everywhere();
  MPI_Datatype t = MPI_DATATYPE_NULL;
  CHECK_CLASS2(MPI_Type_contiguous(-1, MPI_INT, &t), MPI_ERR_COUNT, MPI_ERR_ARG);
  CHECK_CLASS2(MPI_Type_vector(-1, 1, 1, MPI_INT, &t), MPI_ERR_COUNT, MPI_ERR_ARG);
  CHECK_CLASS2(MPI_Type_vector(1, -1, 1, MPI_INT, &t), MPI_ERR_ARG, MPI_ERR_COUNT);
  CHECK_CLASS(MPI_Type_contiguous(1, MPI_DATATYPE_NULL, &t), MPI_ERR_TYPE);
  CHECK_CLASS(MPI_Type_free(&t), MPI_ERR_TYPE);
  t = MPI_INT;
  CHECK_CLASS(MPI_Type_free(&t), MPI_ERR_TYPE);
}

CHAPTER(type_vector, &type_vector_contiguous, &type_vector_strided, &type_vector_negative, &type_vector_hvector,
        &type_vector_indexed, &type_vector_hindexed, &type_vector_nested, &type_vector_dup, &type_vector_commit,
        &type_vector_errors)
