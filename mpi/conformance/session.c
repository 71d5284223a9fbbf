/* session: ways to the ranks that do not go through MPI_COMM_WORLD (MPI-5.0 section 11.3). */
#include "conformance.h"

#if MPI_SINCE(4, 0)

TEST(session_init, 1, "MPI-5.0 section 11.3.1", "MPI_Session_init MPI_Session_finalize MPI_Session_get_info") {
  MPI_Session s = MPI_SESSION_NULL;
  MPI_Info info;
  MPI_Session_init(MPI_INFO_NULL, MPI_ERRORS_RETURN, &s);
  CHECK(s != MPI_SESSION_NULL);
  MPI_Session_get_info(s, &info);
  MPI_Info_free(&info);
  MPI_Session_finalize(&s);
  CHECK(s == MPI_SESSION_NULL);
}

/* The two sets of processes that are always there. */
TEST(session_psets, 1, "MPI-5.0 section 11.3.2",
     "MPI_Session_get_num_psets MPI_Session_get_nth_pset MPI_Session_get_pset_info MPI_Group_from_session_pset") {
  MPI_Session s;
  int n = 0, found = 0, members = -1;
  MPI_Session_init(MPI_INFO_NULL, MPI_ERRORS_RETURN, &s);
  MPI_Session_get_num_psets(s, MPI_INFO_NULL, &n);
  CHECK(n >= 2);
  for (int i = 0; i < n; i++) {
    int length = 0;
    MPI_Session_get_nth_pset(s, MPI_INFO_NULL, i, &length, NULL); /* the length, the zero included */
    CHECK(length > 1);
    char *name = allocate((size_t)length);
    MPI_Session_get_nth_pset(s, MPI_INFO_NULL, i, &length, name);
    found |= strcmp(name, "mpi://WORLD") == 0 ? 1 : strcmp(name, "mpi://SELF") == 0 ? 2 : 0;
    free(name);
  }
  CHECK_INT(found, 3);
  MPI_Group g;
  MPI_Group_from_session_pset(s, "mpi://WORLD", &g);
  MPI_Group_size(g, &members);
  CHECK_INT(members, size);
  MPI_Group_free(&g);
  MPI_Group_from_session_pset(s, "mpi://SELF", &g);
  MPI_Group_size(g, &members);
  CHECK_INT(members, 1);
  MPI_Group_free(&g);
  MPI_Session_finalize(&s);
}

TEST(session_comm, 1, "MPI-5.0 section 7.4.2", "MPI_Comm_create_from_group MPI_Group_from_session_pset") {
  MPI_Session s;
  MPI_Group g;
  MPI_Comm c;
  int n = -1, me = -1, sum = 0;
  MPI_Session_init(MPI_INFO_NULL, MPI_ERRORS_ARE_FATAL, &s);
  MPI_Group_from_session_pset(s, "mpi://WORLD", &g);
  MPI_Comm_create_from_group(g, "org.godwit.conformance", MPI_INFO_NULL, MPI_ERRORS_ARE_FATAL, &c);
  MPI_Group_free(&g);
  MPI_Comm_size(c, &n);
  MPI_Comm_rank(c, &me);
  CHECK(n == size && me == rank);
  MPI_Allreduce(&rank, &sum, 1, MPI_INT, MPI_SUM, c);
  CHECK_INT(sum, size * (size - 1) / 2);
  MPI_Comm_free(&c);
  MPI_Session_finalize(&s);
}

CHAPTER(session, &session_init, &session_psets, &session_comm)
#else
NO_CHAPTER(session)
#endif
