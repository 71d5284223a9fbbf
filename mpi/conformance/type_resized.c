/* type_resized: bounds that the program sets (MPI-5.0 section 5.1.7). */
#include "layout.h"

enum { INT = sizeof(int) };

static void commit_and_check(MPI_Datatype type, int n, const int *at, int lb, int extent, int true_lb,
                             int true_extent) {
  struct layout l = {type, n, at, lb, extent, true_lb, true_extent};
  MPI_Type_commit(&l.type);
  check_layout(&l);
  MPI_Type_free(&l.type);
}

TEST(type_resized_wider, 1, "MPI-5.0 section 5.1.7", "MPI_Type_create_resized MPI_Type_get_true_extent") {
  MPI_Datatype t;
  const int at[] = {0};
  MPI_Type_create_resized(MPI_INT, 0, 4 * INT, &t);
  commit_and_check(t, 1, at, 0, 4, 0, 1);
  MPI_Type_create_resized(MPI_INT, -3 * INT, 9 * INT, &t);
  commit_and_check(t, 1, at, -3, 9, 0, 1);
}

/* Narrower than its contents, items interleave. */
TEST(type_resized_narrower, 1, "MPI-5.0 section 5.1.7", "MPI_Type_create_resized MPI_Type_vector") {
  MPI_Datatype column, t;
  const int at[] = {0, 5, 10};
  MPI_Type_vector(3, 1, 5, MPI_INT, &column);
  MPI_Type_create_resized(column, 0, INT, &t);
  MPI_Type_free(&column);
  commit_and_check(t, 3, at, 0, 1, 0, 11);
}

/* A negative extent lays items out downwards. */
TEST(type_resized_negative, 1, "MPI-5.0 section 5.1.7", "MPI_Type_create_resized") {
  MPI_Datatype t;
  const int at[] = {0};
  MPI_Type_create_resized(MPI_INT, 0, -2 * INT, &t);
  commit_and_check(t, 1, at, 0, -2, 0, 1);
}

/* What is built from it uses the new extent; resizing again replaces the old bounds. */
TEST(type_resized_nested, 1, "MPI-5.0 section 5.1.7", "MPI_Type_create_resized MPI_Type_contiguous") {
  MPI_Datatype wide, three, t;
  const int at[] = {0, 4, 8};
  MPI_Type_create_resized(MPI_INT, 0, 4 * INT, &wide);
  MPI_Type_contiguous(3, wide, &three);
  MPI_Type_free(&wide);
  MPI_Type_dup(three, &t);
  commit_and_check(t, 3, at, 0, 12, 0, 9);
  MPI_Type_create_resized(three, 0, INT, &t);
  MPI_Type_free(&three);
  commit_and_check(t, 3, at, 0, 1, 0, 9);
}

/* Bounds that were set stick: where a part has them, the bounds of the struct come from such parts alone, by the
   definition of lb and ub with markers. */
TEST(type_resized_sticky, 1, "MPI-5.0 section 5.1.6", "MPI_Type_create_struct MPI_Type_create_resized") {
  MPI_Datatype low, t;
  const int ones[] = {1, 1}, at[] = {0, 7};
  const MPI_Aint places[] = {0, 7 * INT};
  MPI_Type_create_resized(MPI_INT, -2 * INT, 3 * INT, &low);
  const MPI_Datatype types[] = {low, MPI_INT};
  MPI_Type_create_struct(2, ones, places, types, &t);
  MPI_Type_free(&low);
  commit_and_check(t, 2, at, -2, 3, 0, 8);
}

CHAPTER(type_resized, &type_resized_wider, &type_resized_narrower, &type_resized_negative, &type_resized_nested,
        &type_resized_sticky)
