/* request_generalized: requests that the program completes itself (MPI-5.0 section 13.2), and statuses (13.3). */
#include "conformance.h"

struct calls {
  int queried, freed, cancelled, complete;
};

static int query(void *extra, MPI_Status *status) {
  struct calls *calls = extra;
  calls->queried++;
  MPI_Status_set_elements(status, MPI_INT, 5);
  MPI_Status_set_cancelled(status, calls->cancelled > 0);
  status->MPI_SOURCE = 3;
  status->MPI_TAG = 14;
  return MPI_SUCCESS;
}

static int release(void *extra) {
  ((struct calls *)extra)->freed++;
  return MPI_SUCCESS;
}

static int cancel(void *extra, int complete) {
  struct calls *calls = extra;
  calls->cancelled++;
  calls->complete = complete;
  return MPI_SUCCESS;
}

TEST(request_generalized_wait, 1, "MPI-5.0 section 13.2", "MPI_Grequest_start MPI_Grequest_complete MPI_Wait") {
  struct calls calls = {0, 0, 0, 0};
  MPI_Request request;
  MPI_Status status;
  int flag = 1;
  MPI_Grequest_start(query, release, cancel, &calls, &request);
  CHECK(request != MPI_REQUEST_NULL);
  MPI_Test(&request, &flag, &status);
  CHECK_INT(flag, 0);
  CHECK_INT(calls.freed, 0);
  MPI_Grequest_complete(request);
  CHECK_INT(calls.freed, 0);
  MPI_Wait(&request, &status);
  CHECK(request == MPI_REQUEST_NULL);
  CHECK(calls.queried >= 1);
  CHECK_INT(calls.freed, 1);
  CHECK_INT(calls.cancelled, 0);
  CHECK_STATUS(&status, 3, 14, MPI_INT, 5);
}

/* Freed before it completes, it is released when it does. */
TEST(request_generalized_free, 1, "MPI-5.0 section 13.2", "MPI_Request_free MPI_Grequest_complete") {
  struct calls calls = {0, 0, 0, 0};
  MPI_Request request, again;
  MPI_Grequest_start(query, release, cancel, &calls, &request);
  again = request;
  MPI_Request_free(&request);
  CHECK(request == MPI_REQUEST_NULL);
  CHECK_INT(calls.freed, 0);
  MPI_Grequest_complete(again);
  CHECK_INT(calls.freed, 1);
}

TEST(request_generalized_cancel, 1, "MPI-5.0 section 13.2", "MPI_Cancel MPI_Status_set_cancelled") {
  struct calls calls = {0, 0, 0, 0};
  MPI_Request request;
  MPI_Status status;
  int flag = 0;
  MPI_Grequest_start(query, release, cancel, &calls, &request);
  MPI_Cancel(&request);
  CHECK_INT(calls.cancelled, 1);
  CHECK_INT(calls.complete, 0);
  MPI_Grequest_complete(request);
  MPI_Wait(&request, &status);
  MPI_Test_cancelled(&status, &flag);
  CHECK_INT(flag, 1);
  CHECK_INT(calls.freed, 1);
}

/* They stand in arrays with other requests. */
TEST(request_generalized_mixed, 1, "MPI-5.0 section 13.2", "MPI_Waitall MPI_Testall MPI_Waitany") {
  struct calls calls = {0, 0, 0, 0};
  int in = -1, out = value(rank, 1), flag = 1, index = -1;
  MPI_Request requests[2];
  MPI_Status statuses[2];
  MPI_Grequest_start(query, release, cancel, &calls, &requests[0]);
  MPI_Irecv(&in, 1, MPI_INT, rank, 0, comm, &requests[1]);
  MPI_Send(&out, 1, MPI_INT, rank, 0, comm);
  MPI_Testall(2, requests, &flag, statuses);
  CHECK_INT(flag, 0);
  MPI_Waitany(2, requests, &index, &statuses[1]);
  CHECK_INT(index, 1);
  CHECK_INT(in, out);
  MPI_Irecv(&in, 1, MPI_INT, rank, 1, comm, &requests[1]);
  MPI_Send(&out, 1, MPI_INT, rank, 1, comm);
  MPI_Grequest_complete(requests[0]);
  MPI_Waitall(2, requests, statuses);
  CHECK_STATUS(&statuses[0], 3, 14, MPI_INT, 5);
  CHECK_STATUS(&statuses[1], rank, 1, MPI_INT, 1);
  CHECK_INT(calls.freed, 1);
}

/* A status that the program fills says what was put in. */
TEST(request_generalized_status, 1, "MPI-5.0 section 13.3", "MPI_Status_set_elements_x MPI_Status_set_cancelled") {
  MPI_Status status;
  int n = -1, flag = -1;
  MPI_Count x = -1;
  memset(&status, 0, sizeof status);
  MPI_Status_set_elements(&status, MPI_INT, 7);
  MPI_Get_count(&status, MPI_INT, &n);
  CHECK_INT(n, 7);
  MPI_Status_set_elements_x(&status, MPI_BYTE, (MPI_Count)5 << 30);
  MPI_Get_elements_x(&status, MPI_BYTE, &x);
  CHECK_INT(x, (MPI_Count)5 << 30);
  MPI_Get_count(&status, MPI_BYTE, &n);
  CHECK_INT(n, MPI_UNDEFINED); /* more than an int holds */
  MPI_Status_set_cancelled(&status, 1);
  MPI_Test_cancelled(&status, &flag);
  CHECK_INT(flag, 1);
  MPI_Status_set_cancelled(&status, 0);
  MPI_Test_cancelled(&status, &flag);
  CHECK_INT(flag, 0);
}

/* What is set is basic elements, so that part of a derived type can be told. */
TEST(request_generalized_elements, 1, "MPI-5.0 section 13.3", "MPI_Status_set_elements MPI_Get_elements") {
  MPI_Datatype pair;
  MPI_Type_contiguous(2, MPI_DOUBLE, &pair);
  MPI_Type_commit(&pair);
  MPI_Status status;
  int n = -1;
  memset(&status, 0, sizeof status);
  MPI_Status_set_elements(&status, pair, 6);
  MPI_Get_elements(&status, pair, &n);
  CHECK_INT(n, 6);
  MPI_Get_count(&status, pair, &n);
  CHECK_INT(n, 3);
  MPI_Status_set_elements(&status, pair, 5);
  MPI_Get_count(&status, pair, &n);
  CHECK_INT(n, MPI_UNDEFINED);
  MPI_Type_free(&pair);
}

CHAPTER(request_generalized, &request_generalized_wait, &request_generalized_free, &request_generalized_cancel,
        &request_generalized_mixed, &request_generalized_status, &request_generalized_elements)
