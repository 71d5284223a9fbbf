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

static int session_handled;

static void count_handled(MPI_Comm *c, int *code, ...) {
  (void)code;
  session_handled += *c == MPI_COMM_NULL;
}

/* A session's handler takes all errors of calls on it, and the handler that a communicator is to have those of making it. */
TEST(session_handlers, 1, "MPI-5.0 section 9.3.4", "MPI_Session_get_nth_pset MPI_Session_get_num_psets MPI_Session_get_info MPI_Comm_create_from_group MPI_Intercomm_create_from_groups") {
  MPI_Session s;
  MPI_Group g;
  MPI_Comm c = MPI_COMM_NULL;
  MPI_Errhandler mine;
  int length = 100, class = MPI_SUCCESS;
  char *null = NULL;
  session_handled = 0;
  MPI_Session_init(MPI_INFO_NULL, MPI_ERRORS_RETURN, &s);
  MPI_Error_class(MPI_Session_get_nth_pset(s, MPI_INFO_NULL, 0, &length, null), &class);
  CHECK_INT(class, MPI_ERR_ARG);
  CHECK(MPI_Session_get_num_psets(s, MPI_INFO_NULL, (int *)null) != MPI_SUCCESS);
  CHECK(MPI_Session_get_nth_pset(s, MPI_INFO_NULL, 0, (int *)null, null) != MPI_SUCCESS);
  CHECK(MPI_Session_get_info(s, (MPI_Info *)null) != MPI_SUCCESS);
  CHECK(MPI_Session_get_pset_info(s, null, (MPI_Info *)null) != MPI_SUCCESS);
  CHECK(MPI_Group_from_session_pset(s, "mpi://SELF", (MPI_Group *)null) != MPI_SUCCESS);
  MPI_Group_from_session_pset(s, "mpi://SELF", &g);
  MPI_Comm_create_errhandler(count_handled, &mine);
  CHECK(MPI_Comm_create_from_group(g, "tag", MPI_INFO_NULL, mine, (MPI_Comm *)null) != MPI_SUCCESS);
  CHECK_INT(session_handled, 1);
  CHECK(MPI_Comm_create_from_group(g, null, MPI_INFO_NULL, mine, &c) != MPI_SUCCESS);
  CHECK_INT(session_handled, 2);
  CHECK(MPI_Intercomm_create_from_groups(g, 5, g, 0, "tag", MPI_INFO_NULL, mine, &c) != MPI_SUCCESS);
  CHECK_INT(session_handled, 3);
  CHECK(MPI_Comm_create_from_group(g, "tag", MPI_INFO_NULL, MPI_ERRORS_RETURN, (MPI_Comm *)null) != MPI_SUCCESS);
  MPI_Errhandler_free(&mine);
  MPI_Group_free(&g);
  MPI_Session_finalize(&s);
}

CHAPTER(session, &session_init, &session_psets, &session_comm, &session_handlers)
#else
NO_CHAPTER(session)
#endif
