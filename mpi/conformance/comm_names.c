/* comm_names: names of communicators, datatypes and windows (MPI-5.0 section 7.8), and hints (7.4.4). */
#include "conformance.h"

static void check_name(MPI_Comm c, const char *want) {
  char name[MPI_MAX_OBJECT_NAME];
  int length = -1;
  memset(name, 'x', sizeof name);
  MPI_Comm_get_name(c, name, &length);
  CHECK_STR(name, want);
  CHECK_INT(length, strlen(want));
}

TEST(comm_names_predefined, 1, "MPI-5.0 section 7.8", "MPI_Comm_get_name MPI_COMM_WORLD MPI_COMM_SELF") {
  check_name(MPI_COMM_WORLD, "MPI_COMM_WORLD");
  check_name(MPI_COMM_SELF, "MPI_COMM_SELF");
}

TEST(comm_names_null, 1, "MPI-5.0 section 7.8", "MPI_Comm_get_name MPI_Type_get_name MPI_Win_get_name") {
  char name[MPI_MAX_OBJECT_NAME];
  int length = -1;
  check_name(MPI_COMM_NULL, "MPI_COMM_NULL");
  MPI_Type_get_name(MPI_DATATYPE_NULL, name, &length);
  CHECK_STR(name, "MPI_DATATYPE_NULL");
  CHECK_INT(length, 17);
  MPI_Win_get_name(MPI_WIN_NULL, name, &length);
  CHECK_STR(name, "MPI_WIN_NULL");
  CHECK_INT(length, 12);
}

TEST(comm_names_set, 1, "MPI-5.0 section 7.8", "MPI_Comm_set_name MPI_Comm_get_name") {
  MPI_Comm c;
  MPI_Comm_split(comm, 0, rank, &c);
  check_name(c, ""); /* no name yet */
  MPI_Comm_set_name(c, "ring of ranks");
  check_name(c, "ring of ranks");
  MPI_Comm_set_name(c, "");
  check_name(c, "");
  MPI_Comm_set_name(c, " the spaces in front stay");
  check_name(c, " the spaces in front stay");
  MPI_Comm_free(&c);
}

/* The longest name fits; a longer one is cut, or an error, but never overflows. */
TEST(comm_names_long, 1, "MPI-5.0 section 7.8", "MPI_MAX_OBJECT_NAME MPI_Comm_set_name") {
  char longest[MPI_MAX_OBJECT_NAME];
  memset(longest, 'n', sizeof longest);
  longest[MPI_MAX_OBJECT_NAME - 1] = 0;
  MPI_Comm_set_name(comm, longest);
  check_name(comm, longest);
}

/* A copy has no name of its own yet: names are not copied (MPI-5.0 section 7.4.2 lists what is). */
TEST(comm_names_dup, 1, "MPI-5.0 section 7.8", "MPI_Comm_dup MPI_Type_dup MPI_Comm_get_name MPI_Type_get_name") {
  MPI_Comm c, copy;
  MPI_Comm_dup(comm, &c);
  MPI_Comm_set_name(c, "original");
  MPI_Comm_dup(c, &copy);
  check_name(copy, "");
  MPI_Comm_free(&c);
  MPI_Comm_free(&copy);
}

TEST(comm_names_type, 1, "MPI-5.0 section 7.8", "MPI_Type_set_name MPI_Type_get_name") {
  MPI_Datatype t;
  char name[MPI_MAX_OBJECT_NAME] = "?";
  int length = -1;
  MPI_Type_contiguous(2, MPI_INT, &t);
  MPI_Type_get_name(t, name, &length);
  CHECK_STR(name, "");
  CHECK_INT(length, 0);
  MPI_Type_set_name(t, "pair of ints");
  MPI_Type_get_name(t, name, &length);
  CHECK_STR(name, "pair of ints");
  CHECK_INT(length, 12);
  MPI_Type_free(&t);
}

TEST(comm_names_win, 1, "MPI-5.0 section 7.8", "MPI_Win_set_name MPI_Win_get_name") {
  MPI_Win win;
  char name[MPI_MAX_OBJECT_NAME] = "?";
  int length = -1, x = 0;
  MPI_Win_create(&x, sizeof x, 1, MPI_INFO_NULL, comm, &win);
  MPI_Win_get_name(win, name, &length);
  CHECK_STR(name, "");
  MPI_Win_set_name(win, "counter");
  MPI_Win_get_name(win, name, &length);
  CHECK_STR(name, "counter");
  CHECK_INT(length, 7);
  MPI_Win_free(&win);
}

/* Unknown hints are allowed, and what comes back is a new info that the caller frees. */
TEST(comm_names_info, 1, "MPI-5.0 section 7.4.4", "MPI_Comm_set_info MPI_Comm_get_info MPI_Comm_dup_with_info") {
  MPI_Info hints, got = MPI_INFO_NULL;
  MPI_Comm copy;
  MPI_Info_create(&hints);
  MPI_Info_set(hints, "a_hint_nobody_knows", "true");
  MPI_Comm_set_info(comm, hints);
  MPI_Comm_get_info(comm, &got);
  CHECK(got != MPI_INFO_NULL && got != hints);
  MPI_Info_free(&got);
  MPI_Comm_dup_with_info(comm, hints, &copy);
  MPI_Comm_get_info(copy, &got);
  CHECK(got != MPI_INFO_NULL);
  MPI_Info_free(&got);
  MPI_Info_free(&hints);
  int sum = 0, one = 1;
  MPI_Allreduce(&one, &sum, 1, MPI_INT, MPI_SUM, copy);
  CHECK_INT(sum, size);
  MPI_Comm_free(&copy);
}

CHAPTER(comm_names, &comm_names_predefined, &comm_names_null, &comm_names_set, &comm_names_long, &comm_names_dup, &comm_names_type,
        &comm_names_win, &comm_names_info)
