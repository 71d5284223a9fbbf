/* errh_handlers: who is told of an error (MPI-5.0 section 9.3). */
#include "conformance.h"

static int told, told_class;
static MPI_Comm told_comm;
static MPI_Win told_win;

static void on_comm(MPI_Comm *c, int *code, ...) {
  told++;
  told_comm = *c;
  MPI_Error_class(*code, &told_class);
}

static void on_win(MPI_Win *w, int *code, ...) {
  told++;
  told_win = *w;
  MPI_Error_class(*code, &told_class);
}

TEST(errh_handlers_default, 1, "MPI-5.0 section 9.3", "MPI_Comm_get_errhandler MPI_ERRORS_ARE_FATAL") {
  MPI_Errhandler h = MPI_ERRHANDLER_NULL;
  MPI_Comm_get_errhandler(comm, &h);
  CHECK(h == MPI_ERRORS_ARE_FATAL);
  errors_return(comm);
  MPI_Comm_get_errhandler(comm, &h);
  CHECK(h == MPI_ERRORS_RETURN);
}

TEST(errh_handlers_callback, 1, "MPI-5.0 section 9.3.1",
     "MPI_Comm_create_errhandler MPI_Comm_set_errhandler MPI_Errhandler_free") {
  MPI_Errhandler h, got;
  int x = 0;
  MPI_Comm_create_errhandler(on_comm, &h);
  MPI_Comm_set_errhandler(comm, h);
  MPI_Comm_get_errhandler(comm, &got);
  CHECK(got == h);
  MPI_Errhandler_free(&got);
  CHECK(got == MPI_ERRHANDLER_NULL);
  MPI_Errhandler_free(&h); /* it stays in use */
  told = 0;
  int code = MPI_Send(&x, 1, MPI_INT, size, 0, comm);
  CHECK_INT(told, 1);
  CHECK(told_comm == comm);
  CHECK_INT(told_class, MPI_ERR_RANK);
  CHECK_CLASS(code, MPI_ERR_RANK); /* the handler returned, so the call does, with the code */
  CHECK_CLASS(MPI_Send(&x, -1, MPI_INT, rank, 0, comm), MPI_ERR_COUNT);
  CHECK_INT(told, 2);
  CHECK_INT(told_class, MPI_ERR_COUNT);
}

/* A truncated message reaches the handler of the communicator of the receive. */
TEST(errh_handlers_truncate, 1, "MPI-5.0 section 9.3", "MPI_Recv MPI_ERR_TRUNCATE") {
  MPI_Errhandler h;
  MPI_Comm_create_errhandler(on_comm, &h);
  MPI_Comm_set_errhandler(comm, h);
  MPI_Errhandler_free(&h);
  int out[2] = {1, 2}, in = 0;
  MPI_Request request;
  MPI_Isend(out, 2, MPI_INT, rank, 0, comm, &request);
  told = 0;
  MPI_Recv(&in, 1, MPI_INT, rank, 0, comm, MPI_STATUS_IGNORE);
  CHECK_INT(told, 1);
  CHECK_INT(told_class, MPI_ERR_TRUNCATE);
  MPI_Wait(&request, MPI_STATUS_IGNORE);
}

/* Duplicates, and communicators made from one, take its handler along; changing it there changes nothing here. */
TEST(errh_handlers_inherited, 1, "MPI-5.0 section 9.3", "MPI_Comm_dup MPI_Comm_split MPI_Comm_get_errhandler") {
  MPI_Comm copy, part;
  MPI_Errhandler h;
  errors_return(comm);
  MPI_Comm_dup(comm, &copy);
  MPI_Comm_split(comm, 0, rank, &part);
  MPI_Comm_get_errhandler(copy, &h);
  CHECK(h == MPI_ERRORS_RETURN);
  MPI_Comm_get_errhandler(part, &h);
  CHECK(h == MPI_ERRORS_RETURN);
  MPI_Comm_set_errhandler(copy, MPI_ERRORS_ARE_FATAL);
  MPI_Comm_get_errhandler(comm, &h);
  CHECK(h == MPI_ERRORS_RETURN);
  MPI_Comm_free(&copy);
  MPI_Comm_free(&part);
}

/* The program may raise errors itself, of its own class too. */
TEST(errh_handlers_call, 1, "MPI-5.0 section 9.5",
     "MPI_Comm_call_errhandler MPI_Win_call_errhandler MPI_Win_create_errhandler") {
  MPI_Errhandler h, w;
  MPI_Win win;
  int x = 0, class, code;
  MPI_Add_error_class(&class);
  MPI_Add_error_code(class, &code);
  MPI_Comm_create_errhandler(on_comm, &h);
  MPI_Comm_set_errhandler(comm, h);
  told = 0;
  MPI_Comm_call_errhandler(comm, MPI_ERR_OTHER);
  CHECK_INT(told, 1);
  CHECK_INT(told_class, MPI_ERR_OTHER);
  MPI_Comm_call_errhandler(comm, code);
  CHECK_INT(told, 2);
  CHECK_INT(told_class, class);
  MPI_Comm_set_errhandler(comm, MPI_ERRORS_RETURN);
  CHECK_INT(MPI_Comm_call_errhandler(comm, MPI_ERR_OTHER), MPI_SUCCESS); /* always, if the handler returns */
  MPI_Win_create(&x, sizeof x, 1, MPI_INFO_NULL, comm, &win);
  MPI_Win_create_errhandler(on_win, &w);
  MPI_Win_set_errhandler(win, w);
  MPI_Win_call_errhandler(win, MPI_ERR_ARG);
  CHECK_INT(told, 3);
  CHECK(told_win == win);
  CHECK_INT(told_class, MPI_ERR_ARG);
  MPI_Errhandler got;
  MPI_Win_get_errhandler(win, &got);
  CHECK(got == w);
  MPI_Errhandler_free(&got);
  MPI_Errhandler_free(&w);
  MPI_Errhandler_free(&h);
  MPI_Win_free(&win);
}

/* An error of a call on a window goes to the window's handler. */
TEST(errh_handlers_win, 1, "MPI-5.0 section 9.3.2", "MPI_Win_set_errhandler MPI_Put MPI_ERR_RANK") {
  MPI_Win win;
  MPI_Errhandler w;
  int x = 0, y = 1;
  MPI_Win_create(&x, sizeof x, 1, MPI_INFO_NULL, comm, &win);
  MPI_Win_create_errhandler(on_win, &w);
  MPI_Win_set_errhandler(win, w);
  MPI_Errhandler_free(&w);
  MPI_Win_fence(0, win);
  told = 0;
  CHECK_CLASS(MPI_Put(&y, 1, MPI_INT, size + 3, 0, 1, MPI_INT, win), MPI_ERR_RANK);
  CHECK_INT(told, 1);
  MPI_Win_fence(0, win);
  MPI_Win_free(&win);
}

CHAPTER(errh_handlers, &errh_handlers_default, &errh_handlers_callback, &errh_handlers_truncate,
        &errh_handlers_inherited, &errh_handlers_call, &errh_handlers_win)
