/* p2p_modes: the four modes of sending, blocking and not, at sizes on both sides of any eager limit. */
#include "conformance.h"

typedef int send_function(const void *, int, MPI_Datatype, int, int, MPI_Comm);
typedef int isend_function(const void *, int, MPI_Datatype, int, int, MPI_Comm, MPI_Request *);

static const int lengths[] = {0, 1, 7, 1000, 40001};

enum { LENGTHS = sizeof lengths / sizeof *lengths, LONGEST = 40001 };

static void check_values(const int *got, int from, int n) {
  for (int i = 0; i < n; i++) CHECK_INT(got[i], value(from, i));
  CHECK_INT(got[n], -1);
}

/* ring_send sends to the right with a given function, the receive from the left already posted. */
static void ring_send(send_function *send) {
  int right = (rank + 1) % size, left = (rank + size - 1) % size;
  for (int l = 0; l < LENGTHS; l++) {
    int n = lengths[l], *out = new_ints(LONGEST + 1, 0), *in = new_ints(LONGEST + 1, -1);
    for (int i = 0; i < n; i++) out[i] = value(rank, i);
    MPI_Request request;
    MPI_Status status;
    spoil(&status);
    MPI_Irecv(in, n, MPI_INT, left, l, comm, &request);
    MPI_Barrier(comm); /* a ready send needs the receive to be there */
    CHECK_INT(send(out, n, MPI_INT, right, l, comm), MPI_SUCCESS);
    MPI_Wait(&request, &status);
    CHECK(request == MPI_REQUEST_NULL);
    CHECK_STATUS(&status, left, l, MPI_INT, n);
    check_values(in, left, n);
    free(out);
    free(in);
  }
}

static void ring_isend(isend_function *isend) {
  int right = (rank + 1) % size, left = (rank + size - 1) % size;
  for (int l = 0; l < LENGTHS; l++) {
    int n = lengths[l], *out = new_ints(LONGEST + 1, 0), *in = new_ints(LONGEST + 1, -1);
    for (int i = 0; i < n; i++) out[i] = value(rank, i);
    MPI_Request requests[2];
    MPI_Status statuses[2];
    MPI_Irecv(in, LONGEST, MPI_INT, left, l, comm, &requests[0]);
    MPI_Barrier(comm);
    CHECK_INT(isend(out, n, MPI_INT, right, l, comm, &requests[1]), MPI_SUCCESS);
    MPI_Waitall(2, requests, statuses);
    CHECK(requests[0] == MPI_REQUEST_NULL && requests[1] == MPI_REQUEST_NULL);
    CHECK_STATUS(&statuses[0], left, l, MPI_INT, n);
    check_values(in, left, n);
    free(out);
    free(in);
  }
}

/* with_buffer attaches a buffer that holds one of the longest messages. */
static void *with_buffer(void) {
  int bytes = LONGEST * (int)sizeof(int) + MPI_BSEND_OVERHEAD;
  void *buffer = allocate((size_t)bytes);
  MPI_Buffer_attach(buffer, bytes);
  return buffer;
}

static void without_buffer(void *buffer) {
  void *detached = NULL;
  int bytes = 0;
  MPI_Buffer_detach(&detached, &bytes);
  CHECK(detached == buffer);
  CHECK_INT(bytes, LONGEST * (int)sizeof(int) + MPI_BSEND_OVERHEAD);
  free(buffer);
}

TEST(p2p_modes_standard, 1, "MPI-5.0 section 3.2.1", "MPI_Send MPI_Irecv MPI_Wait") { ring_send(MPI_Send); }

TEST(p2p_modes_ssend, 1, "MPI-5.0 section 3.4", "MPI_Ssend") { ring_send(MPI_Ssend); }

TEST(p2p_modes_rsend, 1, "MPI-5.0 section 3.4", "MPI_Rsend") { ring_send(MPI_Rsend); }

TEST(p2p_modes_bsend, 1, "MPI-5.0 section 3.4", "MPI_Bsend MPI_Buffer_attach MPI_Buffer_detach") {
  for (int times = 0; times < 2; times++) {
    int n = lengths[LENGTHS - 1], right = (rank + 1) % size, left = (rank + size - 1) % size;
    int *out = new_ints(n + 1, 0), *in = new_ints(n + 1, -1);
    void *buffer = with_buffer();
    for (int i = 0; i < n; i++) out[i] = value(rank, i);
    /* A buffered send is local: all ranks send before any receives. */
    MPI_Bsend(out, n, MPI_INT, right, 3, comm);
    for (int i = 0; i < n; i++) out[i] = -2;
    MPI_Barrier(comm);
    MPI_Status status;
    MPI_Recv(in, n, MPI_INT, left, 3, comm, &status);
    CHECK_STATUS(&status, left, 3, MPI_INT, n);
    check_values(in, left, n);
    without_buffer(buffer);
    free(out);
    free(in);
  }
}

TEST(p2p_modes_isend, 1, "MPI-5.0 section 3.7.2", "MPI_Isend MPI_Waitall") { ring_isend(MPI_Isend); }

TEST(p2p_modes_issend, 1, "MPI-5.0 section 3.7.2", "MPI_Issend") { ring_isend(MPI_Issend); }

TEST(p2p_modes_irsend, 1, "MPI-5.0 section 3.7.2", "MPI_Irsend") { ring_isend(MPI_Irsend); }

TEST(p2p_modes_ibsend, 1, "MPI-5.0 section 3.7.2", "MPI_Ibsend") {
  int right = (rank + 1) % size, left = (rank + size - 1) % size;
  for (int l = 0; l < LENGTHS; l++) {
    int n = lengths[l], *out = new_ints(LONGEST + 1, 0), *in = new_ints(LONGEST + 1, -1);
    void *buffer = with_buffer();
    for (int i = 0; i < n; i++) out[i] = value(rank, i);
    MPI_Request request;
    MPI_Ibsend(out, n, MPI_INT, right, l, comm, &request);
    MPI_Wait(&request, MPI_STATUS_IGNORE); /* local, though nobody receives yet */
    for (int i = 0; i < n; i++) out[i] = -2;
    MPI_Barrier(comm);
    MPI_Recv(in, n, MPI_INT, left, l, comm, MPI_STATUS_IGNORE);
    check_values(in, left, n);
    without_buffer(buffer);
    free(out);
    free(in);
  }
}

/* A synchronous send is complete only when the matching receive has started. */
TEST(p2p_modes_issend_waits, 2, "MPI-5.0 section 3.4", "MPI_Issend MPI_Test") {
  int x = 42, go = 0, flag = 1;
  MPI_Request request;
  if (rank == 0) {
    MPI_Issend(&x, 1, MPI_INT, size - 1, 1, comm, &request);
    for (int i = 0; i < 20; i++) {
      MPI_Test(&request, &flag, MPI_STATUS_IGNORE);
      CHECK_INT(flag, 0);
    }
    MPI_Send(&go, 1, MPI_INT, size - 1, 2, comm);
    MPI_Wait(&request, MPI_STATUS_IGNORE);
  } else if (rank == size - 1) {
    MPI_Recv(&go, 1, MPI_INT, 0, 2, comm, MPI_STATUS_IGNORE);
    MPI_Recv(&go, 1, MPI_INT, 0, 1, comm, MPI_STATUS_IGNORE);
    CHECK_INT(go, 42);
  }
}

/* A synchronous send of no data waits as well. */
TEST(p2p_modes_ssend_empty, 2, "MPI-5.0 section 3.4", "MPI_Issend MPI_Test") {
  int go = 0, flag = 1;
  MPI_Request request;
  MPI_Status status;
  if (rank == 1) {
    MPI_Issend(NULL, 0, MPI_INT, 0, 1, comm, &request);
    MPI_Test(&request, &flag, MPI_STATUS_IGNORE);
    CHECK_INT(flag, 0);
    MPI_Ssend(&go, 1, MPI_INT, 0, 2, comm);
    MPI_Wait(&request, MPI_STATUS_IGNORE);
  } else if (rank == 0) {
    MPI_Recv(&go, 1, MPI_INT, 1, 2, comm, MPI_STATUS_IGNORE);
    MPI_Recv(NULL, 0, MPI_INT, 1, 1, comm, &status);
    CHECK_STATUS(&status, 1, 1, MPI_INT, 0);
  }
}

TEST(p2p_modes_self, 1, "MPI-5.0 section 3.2.4", "MPI_Isend MPI_Issend MPI_Recv MPI_COMM_SELF") {
  int out[5] = {1, 2, 3, 4, 5}, in[6] = {0};
  MPI_Request request;
  MPI_Status status;
  MPI_Isend(out, 5, MPI_INT, rank, 9, comm, &request);
  MPI_Recv(in, 6, MPI_INT, rank, 9, comm, &status);
  MPI_Wait(&request, MPI_STATUS_IGNORE);
  CHECK_STATUS(&status, rank, 9, MPI_INT, 5);
  for (int i = 0; i < 5; i++) CHECK_INT(in[i], i + 1);
  MPI_Comm self;
  MPI_Comm_dup(MPI_COMM_SELF, &self);
  MPI_Issend(out + 4, 1, MPI_INT, 0, 0, self, &request);
  MPI_Recv(in, 1, MPI_INT, MPI_ANY_SOURCE, MPI_ANY_TAG, self, &status);
  MPI_Wait(&request, MPI_STATUS_IGNORE);
  CHECK_STATUS(&status, 0, 0, MPI_INT, 1);
  CHECK_INT(in[0], 5);
  MPI_Comm_free(&self);
}

/* Sends to MPI_PROC_NULL succeed at once, and receives from it give its status (MPI-5.0 section 3.10). */
TEST(p2p_modes_proc_null, 1, "MPI-5.0 section 3.10", "MPI_Send MPI_Ssend MPI_Rsend MPI_Bsend MPI_Recv MPI_PROC_NULL") {
  int x = 5;
  MPI_Status status;
  MPI_Request requests[4];
  void *buffer = with_buffer();
  MPI_Send(&x, 1, MPI_INT, MPI_PROC_NULL, 0, comm);
  MPI_Ssend(&x, 1, MPI_INT, MPI_PROC_NULL, 1, comm);
  MPI_Rsend(&x, 1, MPI_INT, MPI_PROC_NULL, 2, comm);
  MPI_Bsend(&x, 1, MPI_INT, MPI_PROC_NULL, 3, comm);
  MPI_Isend(&x, 1, MPI_INT, MPI_PROC_NULL, 4, comm, &requests[0]);
  MPI_Issend(&x, 1, MPI_INT, MPI_PROC_NULL, 4, comm, &requests[1]);
  MPI_Irsend(&x, 1, MPI_INT, MPI_PROC_NULL, 4, comm, &requests[2]);
  MPI_Ibsend(&x, 1, MPI_INT, MPI_PROC_NULL, 4, comm, &requests[3]);
  MPI_Waitall(4, requests, MPI_STATUSES_IGNORE);
  spoil(&status);
  MPI_Recv(&x, 1, MPI_INT, MPI_PROC_NULL, 7, comm, &status);
  CHECK_STATUS(&status, MPI_PROC_NULL, MPI_ANY_TAG, MPI_INT, 0);
  CHECK_INT(x, 5);
  without_buffer(buffer);
}

TEST(p2p_modes_proc_null_irecv, 1, "MPI-5.0 section 3.10", "MPI_Irecv MPI_Wait MPI_PROC_NULL") {
  int x = 5;
  MPI_Request request;
  MPI_Status status;
  spoil(&status);
  MPI_Irecv(&x, 1, MPI_INT, MPI_PROC_NULL, 4, comm, &request);
  MPI_Wait(&request, &status);
  CHECK_STATUS(&status, MPI_PROC_NULL, MPI_ANY_TAG, MPI_INT, 0);
  CHECK_INT(x, 5);
}

/* Each rank gets bytes of every value from each other, in many messages that are all under way at once. */
TEST(p2p_modes_all_pairs, 1, "MPI-5.0 section 3.7", "MPI_Isend MPI_Irecv MPI_Waitall") {
  enum { N = 257 };
  int *out = new_ints(N * size, 0), *in = new_ints(N * size, -1);
  MPI_Request *requests = allocate(2 * (size_t)size * sizeof *requests);
  for (int p = 0; p < size; p++) {
    for (int i = 0; i < N; i++) out[p * N + i] = value(rank * size + p, i);
    MPI_Irecv(in + p * N, N, MPI_INT, p, rank, comm, &requests[p]);
  }
  for (int p = 0; p < size; p++) MPI_Isend(out + p * N, N, MPI_INT, p, p, comm, &requests[size + p]);
  MPI_Waitall(2 * size, requests, MPI_STATUSES_IGNORE);
  for (int p = 0; p < size; p++)
    for (int i = 0; i < N; i++) CHECK_INT(in[p * N + i], value(p * size + rank, i));
  free(requests);
  free(out);
  free(in);
}

CHAPTER(p2p_modes, &p2p_modes_standard, &p2p_modes_ssend, &p2p_modes_rsend, &p2p_modes_bsend, &p2p_modes_isend,
        &p2p_modes_issend, &p2p_modes_irsend, &p2p_modes_ibsend, &p2p_modes_issend_waits, &p2p_modes_ssend_empty,
        &p2p_modes_self, &p2p_modes_proc_null, &p2p_modes_proc_null_irecv, &p2p_modes_all_pairs)
