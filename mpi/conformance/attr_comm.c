/* attr_comm: what programs attach to communicators (MPI-5.0 section 7.7.2). */
#include "conformance.h"

/* The callbacks write down what happened. */
struct log {
  int copies, deletes, refuse, last_deleted[16];
};

static int copy_plus_one(MPI_Comm old, int key, void *extra, void *in, void *out, int *flag) {
  (void)old, (void)key;
  struct log *log = extra;
  log->copies++;
  *flag = !log->refuse;
  *(void **)out = (char *)in + 1;
  return MPI_SUCCESS;
}

static int note_delete(MPI_Comm c, int key, void *attribute, void *extra) {
  (void)c, (void)key;
  struct log *log = extra;
  if (log->deletes < 16) log->last_deleted[log->deletes] = (int)(intptr_t)attribute;
  log->deletes++;
  return MPI_SUCCESS;
}

static void *number(int n) { return (void *)(intptr_t)n; }

static void check_attr(MPI_Comm c, int key, int want) {
  void *got = NULL;
  int flag = -1;
  MPI_Comm_get_attr(c, key, &got, &flag);
  CHECK_INT(flag != 0, want != 0);
  if (want != 0) CHECK_INT((intptr_t)got, want);
}

TEST(attr_comm_life, 1, "MPI-5.0 section 7.7.2",
     "MPI_Comm_create_keyval MPI_Comm_set_attr MPI_Comm_get_attr MPI_Comm_delete_attr") {
  struct log log = {0, 0, 0, {0}};
  int key = MPI_KEYVAL_INVALID;
  MPI_Comm_create_keyval(copy_plus_one, note_delete, &key, &log);
  CHECK(key != MPI_KEYVAL_INVALID);
  check_attr(comm, key, 0);
  MPI_Comm_set_attr(comm, key, number(10));
  check_attr(comm, key, 10);
  MPI_Comm_set_attr(comm, key, number(20)); /* replacing deletes the old value */
  CHECK_INT(log.deletes, 1);
  CHECK_INT(log.last_deleted[0], 10);
  check_attr(comm, key, 20);
  MPI_Comm_delete_attr(comm, key);
  CHECK_INT(log.deletes, 2);
  CHECK_INT(log.last_deleted[1], 20);
  check_attr(comm, key, 0);
  CHECK_INT(log.copies, 0);
  MPI_Comm_free_keyval(&key);
  CHECK_INT(key, MPI_KEYVAL_INVALID);
}

TEST(attr_comm_dup, 1, "MPI-5.0 section 7.7.2", "MPI_Comm_dup MPI_Comm_idup MPI_Comm_free") {
  struct log log = {0, 0, 0, {0}};
  int key;
  MPI_Comm first, second;
  MPI_Comm_create_keyval(copy_plus_one, note_delete, &key, &log);
  MPI_Comm_set_attr(comm, key, number(100));
  MPI_Comm_dup(comm, &first);
  CHECK_INT(log.copies, 1);
  check_attr(first, key, 101);
  MPI_Comm_dup(first, &second);
  check_attr(second, key, 102);
  check_attr(comm, key, 100);
  CHECK_INT(log.deletes, 0);
  MPI_Comm_free(&second);
  CHECK_INT(log.deletes, 1);
  CHECK_INT(log.last_deleted[0], 102);
  MPI_Comm_free(&first);
  CHECK_INT(log.deletes, 2);
  log.refuse = 1; /* the callback may decline */
  MPI_Comm_dup(comm, &first);
  CHECK_INT(log.copies, 3);
  check_attr(first, key, 0);
  MPI_Comm_free(&first);
  CHECK_INT(log.deletes, 2);
  MPI_Comm_delete_attr(comm, key);
  MPI_Comm_free_keyval(&key);
}

/* Splits and groups make communicators without attributes. */
TEST(attr_comm_split, 1, "MPI-5.0 section 7.7.2", "MPI_Comm_split MPI_Comm_get_attr") {
  struct log log = {0, 0, 0, {0}};
  int key;
  MPI_Comm part;
  MPI_Comm_create_keyval(copy_plus_one, note_delete, &key, &log);
  MPI_Comm_set_attr(comm, key, number(1));
  MPI_Comm_split(comm, 0, rank, &part);
  check_attr(part, key, 0);
  CHECK_INT(log.copies, 0);
  MPI_Comm_free(&part);
  CHECK_INT(log.deletes, 0);
  MPI_Comm_delete_attr(comm, key);
  MPI_Comm_free_keyval(&key);
}

/* A freed key lives on in what it is attached to. */
TEST(attr_comm_free_key, 1, "MPI-5.0 section 7.7.2", "MPI_Comm_free_keyval MPI_Comm_free") {
  struct log log = {0, 0, 0, {0}};
  int key, kept;
  MPI_Comm c, copy;
  MPI_Comm_dup(comm, &c);
  MPI_Comm_create_keyval(copy_plus_one, note_delete, &key, &log);
  MPI_Comm_set_attr(c, key, number(7));
  kept = key;
  MPI_Comm_free_keyval(&key);
  check_attr(c, kept, 7);
  MPI_Comm_dup(c, &copy);
  CHECK_INT(log.copies, 1);
  MPI_Comm_free(&c);
  MPI_Comm_free(&copy);
  CHECK_INT(log.deletes, 2);
}

TEST(attr_comm_predefined_callbacks, 1, "MPI-5.0 section 7.7.2",
     "MPI_COMM_NULL_COPY_FN MPI_COMM_DUP_FN MPI_COMM_NULL_DELETE_FN") {
  int never, always;
  MPI_Comm copy;
  MPI_Comm_create_keyval(MPI_COMM_NULL_COPY_FN, MPI_COMM_NULL_DELETE_FN, &never, NULL);
  MPI_Comm_create_keyval(MPI_COMM_DUP_FN, MPI_COMM_NULL_DELETE_FN, &always, NULL);
  MPI_Comm_set_attr(comm, never, number(1));
  MPI_Comm_set_attr(comm, always, number(2));
  MPI_Comm_dup(comm, &copy);
  check_attr(copy, never, 0);
  check_attr(copy, always, 2);
  MPI_Comm_free(&copy);
  MPI_Comm_delete_attr(comm, never);
  MPI_Comm_delete_attr(comm, always);
  MPI_Comm_free_keyval(&never);
  MPI_Comm_free_keyval(&always);
}

/* Each key has its own state and its own callbacks. */
TEST(attr_comm_many, 1, "MPI-5.0 section 7.7.2", "MPI_Comm_create_keyval MPI_Comm_set_attr MPI_Comm_dup") {
  enum { KEYS = 10 };
  struct log logs[KEYS];
  int keys[KEYS];
  MPI_Comm copy;
  memset(logs, 0, sizeof logs);
  for (int k = 0; k < KEYS; k++) {
    logs[k].refuse = k % 3 == 0;
    MPI_Comm_create_keyval(copy_plus_one, note_delete, &keys[k], &logs[k]);
    for (int j = 0; j < k; j++) CHECK(keys[j] != keys[k]);
    MPI_Comm_set_attr(comm, keys[k], number(100 + k));
  }
  MPI_Comm_dup(comm, &copy);
  for (int k = 0; k < KEYS; k++) {
    check_attr(copy, keys[k], k % 3 == 0 ? 0 : 101 + k);
    CHECK_INT(logs[k].copies, 1);
  }
  MPI_Comm_free(&copy);
  for (int k = 0; k < KEYS; k++) {
    CHECK_INT(logs[k].deletes, k % 3 != 0);
    MPI_Comm_delete_attr(comm, keys[k]);
    MPI_Comm_free_keyval(&keys[k]);
  }
}

TEST(attr_comm_predefined, 1, "MPI-5.0 section 9.1.2", "MPI_TAG_UB MPI_WTIME_IS_GLOBAL MPI_UNIVERSE_SIZE MPI_APPNUM") {
  void *got = NULL;
  int flag = 0;
  MPI_Comm_get_attr(MPI_COMM_WORLD, MPI_TAG_UB, &got, &flag);
  CHECK(flag && *(int *)got >= 32767);
  MPI_Comm_get_attr(MPI_COMM_WORLD, MPI_WTIME_IS_GLOBAL, &got, &flag);
  if (flag) CHECK(*(int *)got == 0 || *(int *)got == 1);
  MPI_Comm_get_attr(MPI_COMM_WORLD, MPI_UNIVERSE_SIZE, &got, &flag);
  if (flag) CHECK(*(int *)got >= 1);
  MPI_Comm_get_attr(MPI_COMM_WORLD, MPI_APPNUM, &got, &flag);
  CHECK(flag && *(int *)got == 0); /* one program */
}

/* A callback that fails fails the call. */
static int fail_copy(MPI_Comm old, int key, void *extra, void *in, void *out, int *flag) {
  (void)old, (void)key, (void)extra, (void)in, (void)out;
  *flag = 0;
  return MPI_ERR_OTHER;
}

static int fail_delete(MPI_Comm c, int key, void *attribute, void *extra) {
  (void)c, (void)key, (void)attribute;
  return *(int *)extra ? MPI_ERR_OTHER : MPI_SUCCESS;
}

TEST(attr_comm_failing_callbacks, 1, "MPI-5.0 section 7.7.2",
     "MPI_Comm_dup MPI_Comm_delete_attr MPI_Comm_copy_attr_function") {
  errors_return_everywhere();
  int key, fails = 1;
  MPI_Comm copy = MPI_COMM_NULL;
  MPI_Comm_create_keyval(fail_copy, fail_delete, &key, &fails);
  MPI_Comm_set_attr(comm, key, number(1));
  CHECK(MPI_Comm_dup(comm, &copy) != MPI_SUCCESS);
  CHECK(MPI_Comm_delete_attr(comm, key) != MPI_SUCCESS);
  fails = 0;
  CHECK_INT(MPI_Comm_delete_attr(comm, key), MPI_SUCCESS);
  MPI_Comm_free_keyval(&key);
}

TEST(attr_comm_errors, 1, "MPI-5.0 section 9.4", "MPI_Comm_set_attr MPI_Comm_free_keyval MPI_ERR_KEYVAL") {
  errors_return_everywhere();
  int key = MPI_KEYVAL_INVALID, flag;
  void *got;
  CHECK_CLASS(MPI_Comm_set_attr(comm, MPI_KEYVAL_INVALID, NULL), MPI_ERR_KEYVAL);
  CHECK_CLASS(MPI_Comm_get_attr(comm, MPI_KEYVAL_INVALID, &got, &flag), MPI_ERR_KEYVAL);
  CHECK_CLASS(MPI_Comm_free_keyval(&key), MPI_ERR_KEYVAL);
}

CHAPTER(attr_comm, &attr_comm_life, &attr_comm_dup, &attr_comm_split, &attr_comm_free_key,
        &attr_comm_predefined_callbacks, &attr_comm_many, &attr_comm_predefined, &attr_comm_failing_callbacks,
        &attr_comm_errors)
