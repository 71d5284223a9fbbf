/* since5: handles as integers, the tool interface, and other functions that need no other rank (MPI-5.0). */
#include "conformance.h"

#if MPI_SINCE(5, 0)

#define ROUND_TRIP(kind, type, handle)                                  \
  do {                                                                  \
    type before = (handle);                                             \
    CHECK(MPI_##kind##_fromint(MPI_##kind##_toint(before)) == before);  \
  } while (0)

TEST(since5_integers, 1, "MPI-5.0 section 20.4",
     "MPI_Comm_toint MPI_Comm_fromint MPI_Type_toint MPI_Type_fromint MPI_Group_toint MPI_Group_fromint MPI_Op_toint "
     "MPI_Op_fromint MPI_Info_toint MPI_Info_fromint MPI_Errhandler_toint MPI_Errhandler_fromint MPI_Request_toint "
     "MPI_Request_fromint MPI_Win_toint MPI_Win_fromint MPI_File_toint MPI_File_fromint MPI_Message_toint "
     "MPI_Message_fromint MPI_Session_toint MPI_Session_fromint") {
  MPI_Datatype pair;
  MPI_Group group;
  MPI_Request request;
  int word = 0;
  MPI_Type_contiguous(2, MPI_INT, &pair);
  MPI_Comm_group(comm, &group);
  MPI_Recv_init(&word, 1, MPI_INT, MPI_PROC_NULL, 0, comm, &request);
  ROUND_TRIP(Comm, MPI_Comm, comm);
  ROUND_TRIP(Comm, MPI_Comm, MPI_COMM_WORLD);
  ROUND_TRIP(Type, MPI_Datatype, pair);
  ROUND_TRIP(Type, MPI_Datatype, MPI_DOUBLE);
  ROUND_TRIP(Group, MPI_Group, group);
  ROUND_TRIP(Request, MPI_Request, request);
  ROUND_TRIP(Op, MPI_Op, MPI_SUM);
  ROUND_TRIP(Info, MPI_Info, MPI_INFO_ENV);
  ROUND_TRIP(Errhandler, MPI_Errhandler, MPI_ERRORS_RETURN);
  ROUND_TRIP(Win, MPI_Win, MPI_WIN_NULL);
  ROUND_TRIP(File, MPI_File, MPI_FILE_NULL);
  ROUND_TRIP(Message, MPI_Message, MPI_MESSAGE_NO_PROC);
  ROUND_TRIP(Session, MPI_Session, MPI_SESSION_NULL);
  CHECK_INT(MPI_Comm_toint(MPI_COMM_WORLD), 0x101); /* table 20.3 */
  CHECK_INT(MPI_Type_toint(MPI_INT), 0x209);
  MPI_Request_free(&request);
  MPI_Group_free(&group);
  MPI_Type_free(&pair);
}

TEST(since5_abi, 1, "MPI-5.0 section 20.2", "MPI_Abi_get_version MPI_Abi_get_info MPI_Get_hw_resource_info") {
  int version = -1, subversion = -1, flag = 0, length = 16;
  char value[16];
  MPI_Info info;
  MPI_Abi_get_version(&version, &subversion);
  CHECK(version == MPI_ABI_VERSION && subversion == MPI_ABI_SUBVERSION);
  MPI_Abi_get_info(&info);
  MPI_Info_get_string(info, "mpi_aint_size", &length, value, &flag);
  CHECK(flag);
  CHECK_INT(atoi(value), (int)sizeof(MPI_Aint));
  MPI_Info_free(&info);
  MPI_Get_hw_resource_info(&info);
  CHECK(info != MPI_INFO_NULL);
  MPI_Info_free(&info);
}

/* There may be no variable at all; what is not there is an error, and calls before the start are too. */
TEST(since5_tools, 1, "MPI-5.0 section 15.3",
     "MPI_T_init_thread MPI_T_finalize MPI_T_cvar_get_num MPI_T_cvar_get_index MPI_T_cvar_get_info MPI_T_pvar_get_num "
     "MPI_T_pvar_get_index MPI_T_pvar_get_info MPI_T_pvar_session_create MPI_T_pvar_session_free "
     "MPI_T_category_get_num MPI_T_category_get_index MPI_T_category_changed MPI_T_enum_get_info") {
  int provided = -1, n = -1, k;
  MPI_T_pvar_session session;
  CHECK_INT(MPI_T_cvar_get_num(&n), MPI_T_ERR_NOT_INITIALIZED);
  CHECK_INT(MPI_T_init_thread(MPI_THREAD_SINGLE, &provided), MPI_SUCCESS);
  CHECK(provided >= MPI_THREAD_SINGLE);
  CHECK_INT(MPI_T_cvar_get_num(&n), MPI_SUCCESS);
  CHECK(n >= 0);
  CHECK_INT(MPI_T_cvar_get_info(n, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL), MPI_T_ERR_INVALID_INDEX);
  CHECK_INT(MPI_T_cvar_get_index("no such variable", &k), MPI_T_ERR_INVALID_NAME);
  CHECK_INT(MPI_T_pvar_get_num(&n), MPI_SUCCESS);
  CHECK_INT(MPI_T_pvar_get_index("no such variable", MPI_T_PVAR_CLASS_COUNTER, &k), MPI_T_ERR_INVALID_NAME);
  CHECK_INT(MPI_T_pvar_session_create(&session), MPI_SUCCESS);
  CHECK_INT(MPI_T_pvar_session_free(&session), MPI_SUCCESS);
  CHECK(session == MPI_T_PVAR_SESSION_NULL);
  CHECK_INT(MPI_T_category_get_num(&n), MPI_SUCCESS);
  CHECK_INT(MPI_T_category_get_index("no such category", &k), MPI_T_ERR_INVALID_NAME);
  CHECK_INT(MPI_T_category_changed(&n), MPI_SUCCESS);
  CHECK_INT(MPI_T_finalize(), MPI_SUCCESS);
  CHECK_INT(MPI_T_cvar_get_num(&n), MPI_T_ERR_NOT_INITIALIZED);
}

static int session_errors;

static void count_errors(MPI_Session *session, int *code, ...) {
  (void)session;
  session_errors += *code == MPI_ERR_OTHER;
}

TEST(since5_session_errors, 1, "MPI-5.0 section 9.3.4",
     "MPI_Session_create_errhandler MPI_Session_set_errhandler MPI_Session_get_errhandler MPI_Session_call_errhandler "
     "MPI_Session_attach_buffer MPI_Session_flush_buffer MPI_Session_iflush_buffer MPI_Session_detach_buffer") {
  MPI_Session s;
  MPI_Errhandler mine, got;
  MPI_Request request;
  char buffer[256];
  void *back = NULL;
  int length = 0;
  session_errors = 0;
  MPI_Session_init(MPI_INFO_NULL, MPI_ERRORS_RETURN, &s);
  MPI_Session_create_errhandler(count_errors, &mine);
  MPI_Session_set_errhandler(s, mine);
  MPI_Session_get_errhandler(s, &got);
  CHECK(got == mine);
  MPI_Errhandler_free(&got);
  MPI_Errhandler_free(&mine);
  MPI_Session_call_errhandler(s, MPI_ERR_OTHER);
  CHECK_INT(session_errors, 1);
  MPI_Session_attach_buffer(s, buffer, (int)sizeof buffer);
  MPI_Session_flush_buffer(s);
  MPI_Session_iflush_buffer(s, &request);
  MPI_Wait(&request, MPI_STATUS_IGNORE);
  MPI_Session_detach_buffer(s, &back, &length);
  CHECK(back == (void *)buffer);
  CHECK_INT(length, (int)sizeof buffer);
  MPI_Session_finalize(&s);
}

/* The types that Fortran chooses by precision and range are the same each time, and can be sent. */
TEST(since5_f90, 1, "MPI-5.0 section 19.1.9",
     "MPI_Type_create_f90_real MPI_Type_create_f90_complex MPI_Type_create_f90_integer MPI_Type_get_envelope") {
  MPI_Datatype a, b, c, i;
  int bytes, ni, na, nt, combiner;
  MPI_Type_create_f90_real(6, 30, &a);
  MPI_Type_create_f90_real(6, 30, &b);
  CHECK(a == b);
  MPI_Type_size(a, &bytes);
  CHECK_INT(bytes, 4);
  MPI_Type_create_f90_real(15, MPI_UNDEFINED, &b);
  MPI_Type_size(b, &bytes);
  CHECK_INT(bytes, 8);
  MPI_Type_create_f90_complex(15, 300, &c);
  MPI_Type_size(c, &bytes);
  CHECK_INT(bytes, 16);
  MPI_Type_create_f90_integer(9, &i);
  MPI_Type_size(i, &bytes);
  CHECK_INT(bytes, 4);
  MPI_Type_get_envelope(c, &ni, &na, &nt, &combiner);
  CHECK(ni == 2 && na == 0 && nt == 0 && combiner == MPI_COMBINER_F90_COMPLEX);
  double in = rank + 0.5, sum = 0;
  MPI_Allreduce(&in, &sum, 1, b, MPI_SUM, comm);
  CHECK(sum == size * (size - 1) / 2 + 0.5 * size);
}

TEST(since5_wide_extents, 1, "MPI-5.0 section 5.1.7",
     "MPI_Type_size_x MPI_Type_get_extent_x MPI_Type_get_true_extent_x MPI_Comm_get_parent MPI_Comm_disconnect") {
  MPI_Datatype kilo, mega;
  MPI_Count bytes, lb, extent;
  MPI_Comm parent, copy;
  MPI_Type_contiguous(1 << 20, MPI_DOUBLE, &kilo);
  MPI_Type_contiguous(1 << 12, kilo, &mega);
  MPI_Type_size_x(mega, &bytes);
  CHECK_INT(bytes, (long long)sizeof(double) << 32);
  MPI_Type_get_extent_x(mega, &lb, &extent);
  CHECK_INT(extent, (long long)sizeof(double) << 32);
  MPI_Type_get_true_extent_x(mega, &lb, &extent);
  CHECK(lb == 0 && extent == (MPI_Count)sizeof(double) << 32);
  MPI_Type_free(&mega);
  MPI_Type_free(&kilo);
  MPI_Comm_get_parent(&parent);
  CHECK(parent == MPI_COMM_NULL);
  MPI_Comm_dup(comm, &copy);
  MPI_Comm_disconnect(&copy);
  CHECK(copy == MPI_COMM_NULL);
}

static int deleted;

static int count_deleted(MPI_Datatype type, int key, void *value, void *extra) {
  (void)type, (void)key, (void)extra;
  deleted += *(int *)value;
  return MPI_SUCCESS;
}

TEST(since5_keys, 1, "MPI-5.0 section 7.7.4",
     "MPI_Type_delete_attr MPI_Type_free_keyval MPI_Win_free_keyval MPI_Win_get_errhandler") {
  int key, win_key, five = 5, flag = 1;
  void *value;
  MPI_Datatype pair;
  MPI_Win win;
  MPI_Errhandler h;
  deleted = 0;
  MPI_Type_create_keyval(MPI_TYPE_NULL_COPY_FN, count_deleted, &key, NULL);
  MPI_Type_contiguous(2, MPI_INT, &pair);
  MPI_Type_set_attr(pair, key, &five);
  MPI_Type_delete_attr(pair, key);
  CHECK_INT(deleted, 5);
  MPI_Type_get_attr(pair, key, &value, &flag);
  CHECK_INT(flag, 0);
  MPI_Type_free_keyval(&key);
  CHECK_INT(key, MPI_KEYVAL_INVALID);
  MPI_Type_free(&pair);
  MPI_Win_create(&five, sizeof five, 1, MPI_INFO_NULL, comm, &win);
  MPI_Win_create_keyval(MPI_WIN_NULL_COPY_FN, MPI_WIN_NULL_DELETE_FN, &win_key, NULL);
  MPI_Win_set_attr(win, win_key, &five);
  MPI_Win_free_keyval(&win_key);
  CHECK_INT(win_key, MPI_KEYVAL_INVALID);
  MPI_Win_get_errhandler(win, &h);
  CHECK(h == MPI_ERRORS_ARE_FATAL);
  MPI_Win_free(&win);
}

CHAPTER(since5, &since5_integers, &since5_abi, &since5_tools, &since5_session_errors, &since5_f90, &since5_wide_extents,
        &since5_keys)

#else
NO_CHAPTER(since5)
#endif
