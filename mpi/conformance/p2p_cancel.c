/* p2p_cancel: taking back what is pending (MPI-5.0 section 3.8.4). */
#include "conformance.h"

/* A receive that nothing matches is cancelled, and its buffer stays as it is. */
TEST(p2p_cancel_receive, 1, "MPI-5.0 section 3.8.4", "MPI_Cancel MPI_Test_cancelled MPI_Irecv") {
  int x = 5, cancelled = 0;
  MPI_Request request;
  MPI_Status status;
  MPI_Irecv(&x, 1, MPI_INT, MPI_ANY_SOURCE, 9, comm, &request);
  MPI_Cancel(&request);
  CHECK(request != MPI_REQUEST_NULL); /* it must still be waited for */
  MPI_Wait(&request, &status);
  CHECK(request == MPI_REQUEST_NULL);
  MPI_Test_cancelled(&status, &cancelled);
  CHECK_INT(cancelled, 1);
  CHECK_INT(x, 5);
}

/* A cancelled receive does not match a later message; the one posted after it does. */
TEST(p2p_cancel_then_match, 1, "MPI-5.0 section 3.8.4", "MPI_Cancel MPI_Irecv MPI_Recv") {
  int a = -1, b = -1, out = value(rank, 2), cancelled = 0;
  MPI_Request requests[2];
  MPI_Status statuses[2];
  MPI_Irecv(&a, 1, MPI_INT, rank, 3, comm, &requests[0]);
  MPI_Irecv(&b, 1, MPI_INT, rank, 3, comm, &requests[1]);
  MPI_Cancel(&requests[0]);
  MPI_Send(&out, 1, MPI_INT, rank, 3, comm);
  MPI_Waitall(2, requests, statuses);
  MPI_Test_cancelled(&statuses[0], &cancelled);
  CHECK_INT(cancelled, 1);
  MPI_Test_cancelled(&statuses[1], &cancelled);
  CHECK_INT(cancelled, 0);
  CHECK_STATUS(&statuses[1], rank, 3, MPI_INT, 1);
  CHECK_INT(a, -1);
  CHECK_INT(b, out);
}

/* What has been received cannot be cancelled any more. */
TEST(p2p_cancel_too_late, 1, "MPI-5.0 section 3.8.4", "MPI_Cancel MPI_Request_get_status MPI_Test_cancelled") {
  int in = -1, out = value(rank, 4), flag = 0, cancelled = 1;
  MPI_Request request;
  MPI_Status status;
  MPI_Irecv(&in, 1, MPI_INT, rank, 3, comm, &request);
  MPI_Send(&out, 1, MPI_INT, rank, 3, comm);
  while (!flag) MPI_Request_get_status(request, &flag, MPI_STATUS_IGNORE);
  MPI_Cancel(&request);
  MPI_Wait(&request, &status);
  MPI_Test_cancelled(&status, &cancelled);
  CHECK_INT(cancelled, 0);
  CHECK_STATUS(&status, rank, 3, MPI_INT, 1);
  CHECK_INT(in, out);
}

/* A send may be cancelled or not, but never both: it is received exactly if it was not. */
TEST(p2p_cancel_send, 2, "MPI-5.0 section 3.8.4", "MPI_Cancel MPI_Issend MPI_Iprobe") {
  int x = 5, cancelled = 0, flag = 0;
  MPI_Request request;
  MPI_Status status;
  if (rank == 0) {
    MPI_Issend(&x, 1, MPI_INT, 1, 6, comm, &request);
    MPI_Cancel(&request);
    for (int i = 0; i < 100 && !flag; i++) MPI_Test(&request, &flag, &status);
    if (flag) MPI_Test_cancelled(&status, &cancelled);
  }
  MPI_Bcast(&cancelled, 1, MPI_INT, 0, comm);
  if (rank == 1 && !cancelled) {
    MPI_Request late;
    MPI_Irecv(&x, 1, MPI_INT, 0, 6, comm, &late);
    MPI_Send(NULL, 0, MPI_INT, 0, 7, comm);
    MPI_Recv(&cancelled, 1, MPI_INT, 0, 7, comm, MPI_STATUS_IGNORE);
    if (cancelled) MPI_Cancel(&late);
    MPI_Wait(&late, &status);
    MPI_Test_cancelled(&status, &flag);
    CHECK_INT(flag, cancelled);
  } else if (rank == 1) {
    MPI_Iprobe(0, 6, comm, &flag, MPI_STATUS_IGNORE);
    CHECK_INT(flag, 0);
  } else if (rank == 0 && !cancelled) {
    MPI_Recv(NULL, 0, MPI_INT, 1, 7, comm, MPI_STATUS_IGNORE);
    if (!flag) MPI_Wait(&request, &status);
    MPI_Test_cancelled(&status, &cancelled);
    MPI_Send(&cancelled, 1, MPI_INT, 1, 7, comm);
  }
}

/* Cancelling ends one use of a persistent request, which can then be started again. */
TEST(p2p_cancel_persistent, 1, "MPI-5.0 section 3.8.4", "MPI_Cancel MPI_Recv_init MPI_Start") {
  int in = -1, out = value(rank, 1), cancelled = 0;
  MPI_Request request;
  MPI_Status status;
  MPI_Recv_init(&in, 1, MPI_INT, rank, 2, comm, &request);
  MPI_Start(&request);
  MPI_Cancel(&request);
  MPI_Wait(&request, &status);
  MPI_Test_cancelled(&status, &cancelled);
  CHECK_INT(cancelled, 1);
  CHECK(request != MPI_REQUEST_NULL);
  MPI_Start(&request);
  MPI_Send(&out, 1, MPI_INT, rank, 2, comm);
  MPI_Wait(&request, &status);
  MPI_Test_cancelled(&status, &cancelled);
  CHECK_INT(cancelled, 0);
  CHECK_INT(in, out);
  MPI_Request_free(&request);
}

CHAPTER(p2p_cancel, &p2p_cancel_receive, &p2p_cancel_then_match, &p2p_cancel_too_late, &p2p_cancel_send,
        &p2p_cancel_persistent)
