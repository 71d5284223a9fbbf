/* attr_type: attributes of datatypes and windows (MPI-5.0 sections 7.7.3 and 7.7.4). */
#include "conformance.h"

static int copies, deletes;

static int copy_type(MPI_Datatype old, int key, void *extra, void *in, void *out, int *flag) {
  (void)old, (void)key, (void)extra;
  copies++;
  *flag = 1;
  *(void **)out = (char *)in + 1;
  return MPI_SUCCESS;
}

static int delete_type(MPI_Datatype t, int key, void *attribute, void *extra) {
  (void)t, (void)key, (void)attribute, (void)extra;
  deletes++;
  return MPI_SUCCESS;
}

TEST(attr_type_dup, 1, "MPI-5.0 section 7.7.4",
     "MPI_Type_create_keyval MPI_Type_set_attr MPI_Type_get_attr MPI_Type_dup") {
  int key, flag = 0;
  MPI_Datatype t, copy;
  void *got = NULL;
  copies = deletes = 0;
  MPI_Type_create_keyval(copy_type, delete_type, &key, NULL);
  MPI_Type_contiguous(3, MPI_INT, &t);
  MPI_Type_get_attr(t, key, &got, &flag);
  CHECK_INT(flag, 0);
  MPI_Type_set_attr(t, key, (void *)(intptr_t)40);
  MPI_Type_dup(t, &copy);
  CHECK_INT(copies, 1);
  MPI_Type_get_attr(copy, key, &got, &flag);
  CHECK(flag && (intptr_t)got == 41);
  MPI_Type_free(&copy);
  CHECK_INT(deletes, 1);
  MPI_Type_get_attr(t, key, &got, &flag);
  CHECK(flag && (intptr_t)got == 40);
  MPI_Type_delete_attr(t, key);
  CHECK_INT(deletes, 2);
  MPI_Type_get_attr(t, key, &got, &flag);
  CHECK_INT(flag, 0);
  MPI_Type_free(&t);
  CHECK_INT(deletes, 2);
  MPI_Type_free_keyval(&key);
  CHECK_INT(key, MPI_KEYVAL_INVALID);
}

/* Also predefined types take attributes. */
TEST(attr_type_predefined, 1, "MPI-5.0 section 7.7.4", "MPI_Type_set_attr MPI_TYPE_DUP_FN MPI_TYPE_NULL_DELETE_FN") {
  int key, flag = 0;
  void *got = NULL;
  MPI_Datatype copy;
  MPI_Type_create_keyval(MPI_TYPE_DUP_FN, MPI_TYPE_NULL_DELETE_FN, &key, NULL);
  MPI_Type_set_attr(MPI_DOUBLE, key, (void *)(intptr_t)9);
  MPI_Type_get_attr(MPI_DOUBLE, key, &got, &flag);
  CHECK(flag && (intptr_t)got == 9);
  MPI_Type_get_attr(MPI_FLOAT, key, &got, &flag);
  CHECK_INT(flag, 0);
  MPI_Type_dup(MPI_DOUBLE, &copy);
  MPI_Type_get_attr(copy, key, &got, &flag);
  CHECK(flag && (intptr_t)got == 9);
  MPI_Type_free(&copy);
  MPI_Type_delete_attr(MPI_DOUBLE, key);
  MPI_Type_free_keyval(&key);
}

static int delete_win(MPI_Win w, int key, void *attribute, void *extra) {
  (void)w, (void)key;
  *(int *)extra += (int)(intptr_t)attribute;
  return MPI_SUCCESS;
}

TEST(attr_type_win, 1, "MPI-5.0 section 7.7.3",
     "MPI_Win_create_keyval MPI_Win_set_attr MPI_Win_get_attr MPI_Win_delete_attr") {
  int key, flag = 0, deleted = 0, x = 0;
  void *got = NULL;
  MPI_Win win;
  MPI_Win_create(&x, sizeof x, 1, MPI_INFO_NULL, comm, &win);
  MPI_Win_create_keyval(MPI_WIN_NULL_COPY_FN, delete_win, &key, &deleted);
  MPI_Win_get_attr(win, key, &got, &flag);
  CHECK_INT(flag, 0);
  MPI_Win_set_attr(win, key, (void *)(intptr_t)3);
  MPI_Win_get_attr(win, key, &got, &flag);
  CHECK(flag && (intptr_t)got == 3);
  MPI_Win_delete_attr(win, key);
  CHECK_INT(deleted, 3);
  MPI_Win_set_attr(win, key, (void *)(intptr_t)10);
  MPI_Win_free_keyval(&key);
  MPI_Win_free(&win);
  CHECK_INT(deleted, 13);
}

CHAPTER(attr_type, &attr_type_dup, &attr_type_predefined, &attr_type_win)
