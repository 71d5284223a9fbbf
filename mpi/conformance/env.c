/* env: versions, names, clocks, memory, threads (MPI-5.0 chapters 9 and 11). */
#include "conformance.h"

TEST(env_version, 1, "MPI-5.0 section 9.1.1", "MPI_Get_version MPI_Get_library_version") {
  int version = 0, subversion = -1, length = -1;
  char *text = allocate(MPI_MAX_LIBRARY_VERSION_STRING);
  MPI_Get_version(&version, &subversion);
  CHECK_INT(version, MPI_VERSION);
  CHECK_INT(subversion, MPI_SUBVERSION);
  MPI_Get_library_version(text, &length);
  CHECK(length > 0 && length < MPI_MAX_LIBRARY_VERSION_STRING);
  CHECK_INT(strlen(text), length);
  free(text);
}

TEST(env_processor_name, 1, "MPI-5.0 section 9.1.2", "MPI_Get_processor_name MPI_MAX_PROCESSOR_NAME") {
  char name[MPI_MAX_PROCESSOR_NAME];
  int length = -1;
  MPI_Get_processor_name(name, &length);
  CHECK(length >= 0 && length < MPI_MAX_PROCESSOR_NAME);
  CHECK_INT(strlen(name), length);
}

TEST(env_clock, 1, "MPI-5.0 section 9.6", "MPI_Wtime MPI_Wtick") {
  double first = MPI_Wtime(), tick = MPI_Wtick(), last = first;
  CHECK(tick > 0 && tick < 1);
  for (int i = 0; i < 1000; i++) {
    double now = MPI_Wtime();
    CHECK(now >= last);
    last = now;
  }
  while (MPI_Wtime() - first < 0.001) MPI_Wtick();
}

TEST(env_state, 1, "MPI-5.0 section 11.2", "MPI_Initialized MPI_Finalized MPI_Query_thread MPI_Is_thread_main") {
  int flag = 0, level = -1;
  MPI_Initialized(&flag);
  CHECK_INT(flag, 1);
  MPI_Finalized(&flag);
  CHECK_INT(flag, 0);
  MPI_Query_thread(&level);
  CHECK(level >= MPI_THREAD_SINGLE && level <= MPI_THREAD_MULTIPLE);
  CHECK(MPI_THREAD_SINGLE < MPI_THREAD_FUNNELED && MPI_THREAD_FUNNELED < MPI_THREAD_SERIALIZED);
  MPI_Is_thread_main(&flag);
  CHECK_INT(flag, 1);
}

TEST(env_memory, 1, "MPI-5.0 section 9.2", "MPI_Alloc_mem MPI_Free_mem") {
  enum { N = 10000 };
  int *p = NULL, *q = NULL, right = (rank + 1) % size, left = (rank + size - 1) % size;
  MPI_Alloc_mem(N * sizeof *p, MPI_INFO_NULL, &p);
  MPI_Alloc_mem(N * sizeof *q, MPI_INFO_NULL, &q);
  CHECK(p != NULL && q != NULL && p != q);
  for (int i = 0; i < N; i++) p[i] = value(rank, i), q[i] = -1;
  MPI_Sendrecv(p, N, MPI_INT, right, 0, q, N, MPI_INT, left, 0, comm, MPI_STATUS_IGNORE);
  for (int i = 0; i < N; i++) CHECK_INT(q[i], value(left, i));
  MPI_Free_mem(p);
  MPI_Free_mem(q);
}

TEST(env_addresses, 1, "MPI-5.0 section 5.1.5", "MPI_Get_address MPI_Aint_add MPI_Aint_diff") {
  int x[10];
  MPI_Aint first, last;
  MPI_Get_address(&x[0], &first);
  MPI_Get_address(&x[9], &last);
  CHECK_INT(MPI_Aint_diff(last, first), 9 * sizeof(int));
  CHECK_INT(MPI_Aint_diff(first, last), -9 * (int)sizeof(int));
  CHECK(MPI_Aint_add(first, 9 * sizeof(int)) == last);
}

/* Without a profiler it does nothing, at any level. */
TEST(env_pcontrol, 1, "MPI-5.0 section 15.2.4", "MPI_Pcontrol") {
  MPI_Pcontrol(0);
  MPI_Pcontrol(1);
  MPI_Pcontrol(2);
  MPI_Pcontrol(7, 3);
}

/* The second name of each function is the same function. */
TEST(env_profiling, 1, "MPI-5.0 section 15.2", "PMPI_Comm_rank PMPI_Sendrecv PMPI_Wtime") {
  int r = -1, in = -1;
  PMPI_Comm_rank(comm, &r);
  CHECK_INT(r, rank);
  PMPI_Sendrecv(&r, 1, MPI_INT, (rank + 1) % size, 0, &in, 1, MPI_INT, (rank + size - 1) % size, 0, comm,
                MPI_STATUS_IGNORE);
  CHECK_INT(in, (rank + size - 1) % size);
  CHECK(PMPI_Wtime() >= 0);
}

TEST(env_world, 1, "MPI-5.0 section 7.2.4", "MPI_COMM_WORLD MPI_COMM_SELF MPI_Comm_group") {
  int n = -1, r = -1, result = -1;
  MPI_Comm_size(MPI_COMM_SELF, &n);
  MPI_Comm_rank(MPI_COMM_SELF, &r);
  CHECK(n == 1 && r == 0);
  MPI_Comm_compare(MPI_COMM_WORLD, comm, &result);
  CHECK_INT(result, MPI_CONGRUENT);
  MPI_Group world, self;
  MPI_Comm_group(MPI_COMM_WORLD, &world);
  MPI_Comm_group(MPI_COMM_SELF, &self);
  MPI_Group_translate_ranks(self, 1, &r, world, &n);
  CHECK_INT(n, rank);
  MPI_Group_free(&world);
  MPI_Group_free(&self);
}

/* Constants that programs put into arrays and switches. */
TEST(env_constants, 1, "MPI-5.0 section 2.5.4", "MPI_PROC_NULL MPI_ANY_SOURCE MPI_UNDEFINED MPI_STATUS_IGNORE") {
  CHECK(MPI_PROC_NULL < 0 && MPI_ANY_SOURCE < 0 && MPI_ROOT < 0 && MPI_UNDEFINED < 0);
  CHECK(MPI_PROC_NULL != MPI_ANY_SOURCE && MPI_PROC_NULL != MPI_ROOT);
  CHECK(MPI_ANY_TAG < 0);
  CHECK(MPI_MAX_PROCESSOR_NAME >= 1 && MPI_MAX_ERROR_STRING >= 64 && MPI_MAX_OBJECT_NAME >= 64);
  CHECK(MPI_MAX_INFO_KEY >= 32);
  static const char where[] = {MPI_BSEND_OVERHEAD > 0};
  CHECK(where[0]);
}

CHAPTER(env, &env_version, &env_processor_name, &env_clock, &env_state, &env_memory, &env_addresses, &env_pcontrol,
        &env_profiling, &env_world, &env_constants)
