/* info: keys and values (MPI-5.0 chapter 10). */
#include "conformance.h"

TEST(info_set_get, 1, "MPI-5.0 chapter 10",
     "MPI_Info_create MPI_Info_set MPI_Info_get MPI_Info_get_valuelen MPI_Info_delete MPI_Info_free") {
  MPI_Info info;
  char got[40] = "?";
  int flag = -1, length = -1, n = -1;
  MPI_Info_create(&info);
  MPI_Info_get_nkeys(info, &n);
  CHECK_INT(n, 0);
  MPI_Info_set(info, "path", "/a/b");
  MPI_Info_set(info, "count", "12");
  MPI_Info_set(info, "path", "/somewhere/else"); /* replaces */
  MPI_Info_get_nkeys(info, &n);
  CHECK_INT(n, 2);
  MPI_Info_get(info, "path", 39, got, &flag);
  CHECK_INT(flag, 1);
  CHECK_STR(got, "/somewhere/else");
  MPI_Info_get_valuelen(info, "path", &length, &flag);
  CHECK_INT(flag, 1);
  CHECK_INT(length, 15); /* without the zero */
  MPI_Info_get(info, "absent", 39, got, &flag);
  CHECK_INT(flag, 0);
  CHECK_STR(got, "/somewhere/else"); /* left as it was */
  MPI_Info_get_valuelen(info, "absent", &length, &flag);
  CHECK_INT(flag, 0);
  MPI_Info_delete(info, "path");
  MPI_Info_get(info, "path", 39, got, &flag);
  CHECK_INT(flag, 0);
  MPI_Info_free(&info);
  CHECK(info == MPI_INFO_NULL);
}

/* A value longer than the room is cut, and ended with a zero. */
TEST(info_cut, 1, "MPI-5.0 chapter 10", "MPI_Info_get") {
  MPI_Info info;
  char got[40];
  int flag = 0;
  memset(got, 'x', sizeof got);
  MPI_Info_create(&info);
  MPI_Info_set(info, "path", "/somewhere");
  MPI_Info_get(info, "path", 5, got, &flag);
  CHECK_INT(flag, 1);
  CHECK_STR(got, "/some");
  CHECK_INT(got[6], 'x');
  MPI_Info_free(&info);
}

/* Keys are numbered, each once, and stay so while nothing changes. */
TEST(info_keys, 1, "MPI-5.0 chapter 10", "MPI_Info_get_nkeys MPI_Info_get_nthkey") {
  enum { KEYS = 12 };
  MPI_Info info;
  int n = -1, seen[KEYS] = {0};
  char key[MPI_MAX_INFO_KEY + 1], text[16];
  MPI_Info_create(&info);
  for (int i = 0; i < KEYS; i++) {
    snprintf(key, sizeof key, "key%d", i);
    snprintf(text, sizeof text, "%d", i * i);
    MPI_Info_set(info, key, text);
  }
  MPI_Info_get_nkeys(info, &n);
  CHECK_INT(n, KEYS);
  for (int i = 0; i < n; i++) {
    int k = -1, flag = 0;
    MPI_Info_get_nthkey(info, i, key);
    CHECK(sscanf(key, "key%d", &k) == 1 && k >= 0 && k < KEYS && !seen[k]);
    seen[k] = 1;
    MPI_Info_get(info, key, 15, text, &flag);
    CHECK(flag && atoi(text) == k * k);
  }
  MPI_Info_free(&info);
}

TEST(info_dup, 1, "MPI-5.0 chapter 10", "MPI_Info_dup") {
  MPI_Info info, copy;
  char got[16];
  int flag, n;
  MPI_Info_create(&info);
  MPI_Info_set(info, "a", "1");
  MPI_Info_set(info, "b", "2");
  MPI_Info_dup(info, &copy);
  MPI_Info_set(info, "a", "changed");
  MPI_Info_delete(info, "b");
  MPI_Info_get(copy, "a", 15, got, &flag);
  CHECK(flag && strcmp(got, "1") == 0);
  MPI_Info_get_nkeys(copy, &n);
  CHECK_INT(n, 2);
  MPI_Info_free(&info);
  MPI_Info_get(copy, "b", 15, got, &flag);
  CHECK(flag && strcmp(got, "2") == 0);
  MPI_Info_free(&copy);
}

/* Long values and keys, up to the limits. */
TEST(info_long, 1, "MPI-5.0 chapter 10", "MPI_MAX_INFO_VAL MPI_MAX_INFO_KEY") {
  char *key = allocate(MPI_MAX_INFO_KEY), *text = allocate(MPI_MAX_INFO_VAL), *got = allocate(MPI_MAX_INFO_VAL + 1);
  int flag = 0, length = 0;
  MPI_Info info;
  memset(key, 'k', MPI_MAX_INFO_KEY - 1);
  memset(text, 'v', MPI_MAX_INFO_VAL - 1);
  MPI_Info_create(&info);
  MPI_Info_set(info, key, text);
  MPI_Info_get_valuelen(info, key, &length, &flag);
  CHECK(flag && length == MPI_MAX_INFO_VAL - 1);
  MPI_Info_get(info, key, MPI_MAX_INFO_VAL - 1, got, &flag);
  CHECK(flag && strcmp(got, text) == 0);
  MPI_Info_free(&info);
  free(key);
  free(text);
  free(got);
}

/* What the environment tells: any of it may be missing. */
TEST(info_env, 1, "MPI-5.0 section 11.2.1", "MPI_INFO_ENV MPI_Info_get") {
  int n = -1;
  MPI_Info_get_nkeys(MPI_INFO_ENV, &n);
  CHECK(n >= 0);
  char key[MPI_MAX_INFO_KEY + 1];
  for (int i = 0; i < n; i++) MPI_Info_get_nthkey(MPI_INFO_ENV, i, key);
}

TEST(info_errors, 1, "MPI-5.0 section 9.4", "MPI_Info_delete MPI_Info_set MPI_ERR_INFO_NOKEY MPI_ERR_INFO_KEY") {
  errors_return_everywhere();
  MPI_Info info;
  MPI_Info_create(&info);
  char key[MPI_MAX_INFO_KEY + 10];
  memset(key, 'k', sizeof key);
  key[sizeof key - 1] = 0;
  CHECK_CLASS(MPI_Info_delete(info, "absent"), MPI_ERR_INFO_NOKEY);
  CHECK_CLASS(MPI_Info_set(info, key, "v"), MPI_ERR_INFO_KEY);
  CHECK(MPI_Info_get_nthkey(info, 0, key) != MPI_SUCCESS);
  MPI_Info_free(&info);
}

CHAPTER(info, &info_set_get, &info_cut, &info_keys, &info_dup, &info_long, &info_env, &info_errors)
