/* request_wait: completing one, any, some or all of several requests (MPI-5.0 section 3.7.5). */
#include "conformance.h"

enum { N = 12 };

/* Rank 0 receives N messages from each rank, sent in an order of their own. */
static MPI_Request *post(int *in) {
  MPI_Request *requests = allocate((size_t)(N * size) * sizeof *requests);
  for (int p = 0; p < size; p++)
    for (int i = 0; i < N; i++) MPI_Irecv(&in[p * N + i], 1, MPI_INT, p, i, comm, &requests[p * N + i]);
  return requests;
}

static void send_all(void) {
  for (int i = 0; i < N; i++) {
    int tag = (i * 5 + rank) % N, out = value(rank, tag);
    MPI_Send(&out, 1, MPI_INT, 0, tag, comm);
  }
}

static void check_one(const MPI_Status *status, int index, int got) {
  CHECK(index >= 0 && index < N * size);
  CHECK_STATUS(status, index / N, index % N, MPI_INT, 1);
  CHECK_INT(got, value(index / N, index % N));
}

TEST(request_wait_any, 1, "MPI-5.0 section 3.7.5", "MPI_Waitany") {
  int *in = new_ints(N * size, -1), index = 0;
  MPI_Request *requests = rank == 0 ? post(in) : NULL;
  send_all();
  if (rank == 0) {
    MPI_Status status;
    for (int i = 0; i < N * size; i++) {
      MPI_Waitany(N * size, requests, &index, &status);
      check_one(&status, index, in[index]);
      CHECK(requests[index] == MPI_REQUEST_NULL);
    }
    for (int i = 0; i < N * size; i++) CHECK(requests[i] == MPI_REQUEST_NULL);
    spoil(&status);
    MPI_Waitany(N * size, requests, &index, &status);
    CHECK_INT(index, MPI_UNDEFINED);
    CHECK_EMPTY(&status);
  }
  free(requests);
  free(in);
}

TEST(request_wait_some, 1, "MPI-5.0 section 3.7.5", "MPI_Waitsome") {
  int *in = new_ints(N * size, -1), *indices = new_ints(N * size, -1), count = 0, done = 0;
  MPI_Request *requests = rank == 0 ? post(in) : NULL;
  MPI_Status *statuses = allocate((size_t)(N * size) * sizeof *statuses);
  send_all();
  while (rank == 0 && done < N * size) {
    MPI_Waitsome(N * size, requests, &count, indices, statuses);
    CHECK(count >= 1 && count <= N * size - done);
    for (int i = 0; i < count; i++) check_one(&statuses[i], indices[i], in[indices[i]]);
    for (int i = 0; i < count; i++) CHECK(requests[indices[i]] == MPI_REQUEST_NULL);
    done += count;
  }
  if (rank == 0) {
    MPI_Waitsome(N * size, requests, &count, indices, statuses);
    CHECK_INT(count, MPI_UNDEFINED);
  }
  free(statuses);
  free(requests);
  free(indices);
  free(in);
}

TEST(request_wait_all, 1, "MPI-5.0 section 3.7.5", "MPI_Waitall MPI_REQUEST_NULL") {
  int *in = new_ints(N * size, -1);
  MPI_Request *requests = rank == 0 ? post(in) : NULL;
  MPI_Status *statuses = allocate((size_t)(N * size) * sizeof *statuses);
  send_all();
  if (rank == 0) {
    MPI_Wait(&requests[3], MPI_STATUS_IGNORE); /* leaves a null request among the others */
    for (int i = 0; i < N * size; i++) spoil(&statuses[i]);
    MPI_Waitall(N * size, requests, statuses);
    for (int i = 0; i < N * size; i++) {
      CHECK(requests[i] == MPI_REQUEST_NULL);
      CHECK_INT(in[i], value(i / N, i % N));
      if (i == 3) CHECK_EMPTY(&statuses[i]);
      if (i != 3) check_one(&statuses[i], i, in[i]);
    }
    MPI_Waitall(0, NULL, MPI_STATUSES_IGNORE);
  }
  free(statuses);
  free(requests);
  free(in);
}

TEST(request_wait_test, 1, "MPI-5.0 section 3.7.3", "MPI_Test MPI_Wait MPI_REQUEST_NULL") {
  int in = -1, out = value(rank, 0), flag = 1, right = (rank + 1) % size, left = (rank + size - 1) % size;
  MPI_Request request = MPI_REQUEST_NULL;
  MPI_Status status;
  spoil(&status);
  MPI_Wait(&request, &status);
  CHECK_EMPTY(&status);
  spoil(&status);
  flag = 0;
  MPI_Test(&request, &flag, &status);
  CHECK_INT(flag, 1);
  CHECK_EMPTY(&status);
  MPI_Irecv(&in, 1, MPI_INT, left, 0, comm, &request);
  MPI_Test(&request, &flag, &status);
  CHECK_INT(flag, 0);
  CHECK(request != MPI_REQUEST_NULL);
  MPI_Barrier(comm);
  MPI_Send(&out, 1, MPI_INT, right, 0, comm);
  for (flag = 0; !flag;) MPI_Test(&request, &flag, &status);
  CHECK(request == MPI_REQUEST_NULL);
  CHECK_STATUS(&status, left, 0, MPI_INT, 1);
  CHECK_INT(in, value(left, 0));
}

TEST(request_wait_testany, 1, "MPI-5.0 section 3.7.5", "MPI_Testany") {
  int *in = new_ints(N * size, -1), index = 0, flag = 1;
  MPI_Request *requests = rank == 0 ? post(in) : NULL;
  MPI_Status status;
  if (rank == 0) {
    MPI_Testany(N * size, requests, &index, &flag, &status);
    CHECK_INT(flag, 0);
    CHECK_INT(index, MPI_UNDEFINED);
  }
  MPI_Barrier(comm);
  send_all();
  for (int done = 0; rank == 0 && done < N * size;) {
    MPI_Testany(N * size, requests, &index, &flag, &status);
    if (!flag) continue;
    check_one(&status, index, in[index]);
    CHECK(requests[index] == MPI_REQUEST_NULL);
    done++;
  }
  if (rank == 0) {
    spoil(&status);
    MPI_Testany(N * size, requests, &index, &flag, &status);
    CHECK_INT(flag, 1);
    CHECK_INT(index, MPI_UNDEFINED);
    CHECK_EMPTY(&status);
    MPI_Testany(0, NULL, &index, &flag, &status);
    CHECK_INT(flag, 1);
  }
  free(requests);
  free(in);
}

TEST(request_wait_testsome, 1, "MPI-5.0 section 3.7.5", "MPI_Testsome") {
  int *in = new_ints(N * size, -1), *indices = new_ints(N * size, -1), count = -1;
  MPI_Request *requests = rank == 0 ? post(in) : NULL;
  MPI_Status *statuses = allocate((size_t)(N * size) * sizeof *statuses);
  if (rank == 0) {
    MPI_Testsome(N * size, requests, &count, indices, statuses);
    CHECK_INT(count, 0);
  }
  MPI_Barrier(comm);
  send_all();
  for (int done = 0; rank == 0 && done < N * size; done += count) {
    MPI_Testsome(N * size, requests, &count, indices, statuses);
    CHECK(count >= 0 && count <= N * size - done);
    for (int i = 0; i < count; i++) check_one(&statuses[i], indices[i], in[indices[i]]);
  }
  if (rank == 0) {
    MPI_Testsome(N * size, requests, &count, indices, statuses);
    CHECK_INT(count, MPI_UNDEFINED);
  }
  free(statuses);
  free(requests);
  free(indices);
  free(in);
}

/* Testall is all or nothing: as long as one is pending, none of the requests changes. */
TEST(request_wait_testall, 1, "MPI-5.0 section 3.7.5", "MPI_Testall") {
  int in[2] = {-1, -1}, out = value(rank, 0), flag = 1;
  MPI_Request requests[2];
  MPI_Status statuses[2];
  MPI_Irecv(&in[0], 1, MPI_INT, rank, 0, comm, &requests[0]);
  MPI_Irecv(&in[1], 1, MPI_INT, rank, 1, comm, &requests[1]);
  MPI_Send(&out, 1, MPI_INT, rank, 1, comm);
  for (int i = 0; i < 10; i++) {
    MPI_Testall(2, requests, &flag, statuses);
    CHECK_INT(flag, 0);
    CHECK(requests[0] != MPI_REQUEST_NULL && requests[1] != MPI_REQUEST_NULL);
  }
  MPI_Send(&out, 1, MPI_INT, rank, 0, comm);
  while (!flag) MPI_Testall(2, requests, &flag, statuses);
  CHECK_STATUS(&statuses[0], rank, 0, MPI_INT, 1);
  CHECK_STATUS(&statuses[1], rank, 1, MPI_INT, 1);
  CHECK(in[0] == out && in[1] == out);
  flag = 0;
  MPI_Testall(0, NULL, &flag, MPI_STATUSES_IGNORE);
  CHECK_INT(flag, 1);
}

/* Looking at a request leaves it, and its status, for the wait. */
TEST(request_wait_get_status, 1, "MPI-5.0 section 3.7.6", "MPI_Request_get_status") {
  int in = -1, out = value(rank, 0), flag = 1;
  MPI_Request request = MPI_REQUEST_NULL;
  MPI_Status status;
  spoil(&status);
  MPI_Request_get_status(request, &flag, &status);
  CHECK_INT(flag, 1);
  CHECK_EMPTY(&status);
  MPI_Irecv(&in, 1, MPI_INT, rank, 5, comm, &request);
  MPI_Request_get_status(request, &flag, MPI_STATUS_IGNORE);
  CHECK_INT(flag, 0);
  MPI_Send(&out, 1, MPI_INT, rank, 5, comm);
  while (!flag) MPI_Request_get_status(request, &flag, &status);
  for (int i = 0; i < 3; i++) {
    spoil(&status);
    MPI_Request_get_status(request, &flag, &status);
    CHECK_INT(flag, 1);
    CHECK_STATUS(&status, rank, 5, MPI_INT, 1);
  }
  CHECK(request != MPI_REQUEST_NULL);
  spoil(&status);
  MPI_Wait(&request, &status);
  CHECK_STATUS(&status, rank, 5, MPI_INT, 1);
  CHECK_INT(in, out);
}

/* Freeing an active send lets it complete by itself. */
TEST(request_wait_free, 1, "MPI-5.0 section 3.7.3", "MPI_Request_free MPI_Isend") {
  enum { BIG = 60000 };
  int *out = new_ints(BIG, 0), *in = new_ints(BIG, -1), right = (rank + 1) % size, left = (rank + size - 1) % size;
  for (int i = 0; i < BIG; i++) out[i] = value(rank, i);
  for (int n = 1; n <= BIG; n = n == 1 ? BIG : n + 1) {
    MPI_Request request;
    MPI_Isend(out, n, MPI_INT, right, 0, comm, &request);
    MPI_Request_free(&request);
    CHECK(request == MPI_REQUEST_NULL);
    MPI_Recv(in, n, MPI_INT, left, 0, comm, MPI_STATUS_IGNORE);
    for (int i = 0; i < n; i++) CHECK_INT(in[i], value(left, i));
    MPI_Barrier(comm); /* now ours has been received, and its buffer may go */
  }
  free(out);
  free(in);
}

TEST(request_wait_errors, 1, "MPI-5.0 section 9.4", "MPI_Request_free MPI_Start MPI_ERR_REQUEST") {
  MPI_Request request = MPI_REQUEST_NULL;
  errors_return_everywhere();
  CHECK_CLASS(MPI_Request_free(&request), MPI_ERR_REQUEST);
  CHECK_CLASS(MPI_Start(&request), MPI_ERR_REQUEST);
  CHECK_CLASS(MPI_Cancel(&request), MPI_ERR_REQUEST);
}

CHAPTER(request_wait, &request_wait_any, &request_wait_some, &request_wait_all, &request_wait_test,
        &request_wait_testany, &request_wait_testsome, &request_wait_testall, &request_wait_get_status,
        &request_wait_free, &request_wait_errors)
