/* p2p_persistent: requests that are started many times (MPI-5.0 section 3.9). */
#include "conformance.h"

typedef int init_function(const void *, int, MPI_Datatype, int, int, MPI_Comm, MPI_Request *);

enum { ROUNDS = 6, N = 3000 };

/* restart sends to the right again and again with new data, each time with the receive started first. */
static void restart(init_function *init) {
  int *out = new_ints(N, 0), *in = new_ints(N, -1), right = (rank + 1) % size, left = (rank + size - 1) % size;
  MPI_Request send, receive;
  MPI_Status status;
  init(out, N, MPI_INT, right, 5, comm, &send);
  MPI_Recv_init(in, N, MPI_INT, left, MPI_ANY_TAG, comm, &receive);
  for (int round = 0; round < ROUNDS; round++) {
    for (int i = 0; i < N; i++) out[i] = value(rank, i + round);
    MPI_Start(&receive);
    MPI_Barrier(comm);
    MPI_Start(&send);
    MPI_Wait(&receive, &status);
    MPI_Wait(&send, MPI_STATUS_IGNORE);
    CHECK(receive != MPI_REQUEST_NULL && send != MPI_REQUEST_NULL);
    CHECK_STATUS(&status, left, 5, MPI_INT, N);
    for (int i = 0; i < N; i++) CHECK_INT(in[i], value(left, i + round));
  }
  MPI_Request_free(&receive);
  MPI_Request_free(&send);
  CHECK(receive == MPI_REQUEST_NULL && send == MPI_REQUEST_NULL);
  free(out);
  free(in);
}

TEST(p2p_persistent_send, 1, "MPI-5.0 section 3.9", "MPI_Send_init MPI_Recv_init MPI_Start MPI_Request_free") {
  restart(MPI_Send_init);
}

TEST(p2p_persistent_ssend, 1, "MPI-5.0 section 3.9", "MPI_Ssend_init") { restart(MPI_Ssend_init); }

TEST(p2p_persistent_rsend, 1, "MPI-5.0 section 3.9", "MPI_Rsend_init") { restart(MPI_Rsend_init); }

TEST(p2p_persistent_bsend, 1, "MPI-5.0 section 3.9", "MPI_Bsend_init") {
  int bytes = ROUNDS * (N * (int)sizeof(int) + MPI_BSEND_OVERHEAD);
  void *buffer = allocate((size_t)bytes), *detached;
  MPI_Buffer_attach(buffer, bytes);
  restart(MPI_Bsend_init);
  MPI_Buffer_detach(&detached, &bytes);
  CHECK(detached == buffer);
  free(buffer);
}

/* Waiting for an inactive request returns at once, with an empty status (MPI-5.0 section 3.7.3). */
TEST(p2p_persistent_inactive, 1, "MPI-5.0 section 3.7.3", "MPI_Wait MPI_Test MPI_Waitall MPI_Testall MPI_Waitany") {
  int x = 0, flag = 0, index = 0, count = 0, indices[2];
  MPI_Request requests[2];
  MPI_Status status, statuses[2];
  MPI_Recv_init(&x, 1, MPI_INT, rank, 1, comm, &requests[0]);
  MPI_Send_init(&x, 1, MPI_INT, rank, 1, comm, &requests[1]);
  spoil(&status);
  MPI_Wait(&requests[0], &status);
  CHECK_EMPTY(&status);
  spoil(&status);
  MPI_Test(&requests[1], &flag, &status);
  CHECK_INT(flag, 1);
  CHECK_EMPTY(&status);
  spoil(&statuses[0]);
  spoil(&statuses[1]);
  MPI_Waitall(2, requests, statuses);
  CHECK_EMPTY(&statuses[0]);
  CHECK_EMPTY(&statuses[1]);
  flag = 0;
  MPI_Testall(2, requests, &flag, statuses);
  CHECK_INT(flag, 1);
  spoil(&status);
  MPI_Waitany(2, requests, &index, &status);
  CHECK_INT(index, MPI_UNDEFINED);
  CHECK_EMPTY(&status);
  flag = index = 0;
  MPI_Testany(2, requests, &index, &flag, &status);
  CHECK_INT(flag, 1);
  CHECK_INT(index, MPI_UNDEFINED);
  MPI_Waitsome(2, requests, &count, indices, statuses);
  CHECK_INT(count, MPI_UNDEFINED);
  count = 0;
  MPI_Testsome(2, requests, &count, indices, statuses);
  CHECK_INT(count, MPI_UNDEFINED);
  flag = 0;
  MPI_Request_get_status(requests[0], &flag, &status);
  CHECK_INT(flag, 1);
  CHECK_EMPTY(&status);
  MPI_Request_free(&requests[0]);
  MPI_Request_free(&requests[1]);
}

/* All requests of a halo exchange start at once; a rank is its own neighbour where there are too few. */
TEST(p2p_persistent_startall, 1, "MPI-5.0 section 3.9", "MPI_Startall MPI_Waitall") {
  int out[2] = {0, 0}, in[2] = {-1, -1}, right = (rank + 1) % size, left = (rank + size - 1) % size;
  MPI_Request requests[4];
  MPI_Recv_init(&in[0], 1, MPI_INT, left, 1, comm, &requests[0]);
  MPI_Recv_init(&in[1], 1, MPI_INT, right, 2, comm, &requests[1]);
  MPI_Send_init(&out[0], 1, MPI_INT, right, 1, comm, &requests[2]);
  MPI_Send_init(&out[1], 1, MPI_INT, left, 2, comm, &requests[3]);
  for (int round = 0; round < 20; round++) {
    out[0] = value(rank, round);
    out[1] = -value(rank, round);
    MPI_Status statuses[4];
    MPI_Startall(4, requests);
    MPI_Waitall(4, requests, statuses);
    CHECK_INT(in[0], value(left, round));
    CHECK_INT(in[1], -value(right, round));
    CHECK_STATUS(&statuses[0], left, 1, MPI_INT, 1);
    CHECK_STATUS(&statuses[1], right, 2, MPI_INT, 1);
  }
  for (int i = 0; i < 4; i++) MPI_Request_free(&requests[i]);
}

/* Only active requests count in an array with inactive and null ones. */
TEST(p2p_persistent_mixed, 1, "MPI-5.0 section 3.7.5", "MPI_Waitany MPI_Waitsome MPI_Start") {
  int in[2] = {-1, -1}, out = value(rank, 1), index = -1, count = 0, indices[4];
  MPI_Request requests[4] = {MPI_REQUEST_NULL, MPI_REQUEST_NULL, MPI_REQUEST_NULL, MPI_REQUEST_NULL};
  MPI_Status status, statuses[4];
  MPI_Recv_init(&in[0], 1, MPI_INT, rank, 1, comm, &requests[1]);
  MPI_Recv_init(&in[1], 1, MPI_INT, rank, 2, comm, &requests[2]);
  MPI_Start(&requests[2]);
  MPI_Send(&out, 1, MPI_INT, rank, 2, comm);
  MPI_Waitany(4, requests, &index, &status);
  CHECK_INT(index, 2);
  CHECK_STATUS(&status, rank, 2, MPI_INT, 1);
  CHECK_INT(in[1], out);
  CHECK(requests[2] != MPI_REQUEST_NULL);
  MPI_Start(&requests[1]);
  MPI_Send(&out, 1, MPI_INT, rank, 1, comm);
  MPI_Waitsome(4, requests, &count, indices, statuses);
  CHECK_INT(count, 1);
  CHECK_INT(indices[0], 1);
  CHECK_STATUS(&statuses[0], rank, 1, MPI_INT, 1);
  CHECK_INT(in[0], out);
  MPI_Request_free(&requests[1]);
  MPI_Request_free(&requests[2]);
}

TEST(p2p_persistent_proc_null, 1, "MPI-5.0 section 3.10", "MPI_Recv_init MPI_Send_init MPI_PROC_NULL") {
  int x = 7;
  MPI_Request requests[2];
  MPI_Recv_init(&x, 1, MPI_INT, MPI_PROC_NULL, 1, comm, &requests[0]);
  MPI_Ssend_init(&x, 1, MPI_INT, MPI_PROC_NULL, 1, comm, &requests[1]);
  for (int round = 0; round < 2; round++) {
    MPI_Startall(2, requests);
    MPI_Waitall(2, requests, MPI_STATUSES_IGNORE);
    CHECK_INT(x, 7);
  }
  MPI_Request_free(&requests[0]);
  MPI_Request_free(&requests[1]);
}

TEST(p2p_persistent_proc_null_status, 1, "MPI-5.0 section 3.10", "MPI_Recv_init MPI_Wait MPI_PROC_NULL") {
  int x = 7;
  MPI_Request request;
  MPI_Status status;
  MPI_Recv_init(&x, 1, MPI_INT, MPI_PROC_NULL, 1, comm, &request);
  MPI_Start(&request);
  spoil(&status);
  MPI_Wait(&request, &status);
  CHECK_STATUS(&status, MPI_PROC_NULL, MPI_ANY_TAG, MPI_INT, 0);
  MPI_Request_free(&request);
}

/* A datatype freed after the request was made with it stays until the request is gone (MPI-5.0 section 5.1.9). */
TEST(p2p_persistent_freed_type, 1, "MPI-5.0 section 5.1.9", "MPI_Type_free MPI_Send_init MPI_Start") {
  int out[6] = {1, 2, 3, 4, 5, 6}, in[3] = {0}, right = (rank + 1) % size, left = (rank + size - 1) % size;
  MPI_Datatype every_other;
  MPI_Request send;
  MPI_Type_vector(3, 1, 2, MPI_INT, &every_other);
  MPI_Type_commit(&every_other);
  MPI_Send_init(out, 1, every_other, right, 0, comm, &send);
  MPI_Type_free(&every_other);
  for (int round = 0; round < 3; round++) {
    out[2] = round;
    MPI_Start(&send);
    MPI_Recv(in, 3, MPI_INT, left, 0, comm, MPI_STATUS_IGNORE);
    MPI_Wait(&send, MPI_STATUS_IGNORE);
    CHECK(in[0] == 1 && in[1] == round && in[2] == 5);
  }
  MPI_Request_free(&send);
}

CHAPTER(p2p_persistent, &p2p_persistent_send, &p2p_persistent_ssend, &p2p_persistent_rsend, &p2p_persistent_bsend,
        &p2p_persistent_inactive, &p2p_persistent_startall, &p2p_persistent_mixed, &p2p_persistent_proc_null,
        &p2p_persistent_proc_null_status, &p2p_persistent_freed_type)
