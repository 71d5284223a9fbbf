/* p2p_probe: looking at a message before, or apart from, receiving it (MPI-5.0 section 3.8). */
#include "conformance.h"

TEST(p2p_probe_blocking, 2, "MPI-5.0 section 3.8.1", "MPI_Probe MPI_Get_count") {
  enum { MOST = 50000 };
  static const int lengths[] = {0, 3, 1024, MOST};
  int last = size - 1;
  for (int l = 0; l < 4; l++) {
    int n = lengths[l], *data = new_ints(n, 0);
    if (rank == last) {
      for (int i = 0; i < n; i++) data[i] = value(rank, i);
      MPI_Send(data, n, MPI_INT, 0, 30 + l, comm);
    } else if (rank == 0) {
      MPI_Status status;
      spoil(&status);
      MPI_Probe(l % 2 ? MPI_ANY_SOURCE : last, l / 2 ? MPI_ANY_TAG : 30 + l, comm, &status);
      CHECK_STATUS(&status, last, 30 + l, MPI_INT, n);
      MPI_Probe(last, 30 + l, comm, &status); /* it is still there */
      CHECK_STATUS(&status, last, 30 + l, MPI_INT, n);
      spoil(&status);
      MPI_Recv(data, n, MPI_INT, last, 30 + l, comm, &status);
      CHECK_STATUS(&status, last, 30 + l, MPI_INT, n);
      for (int i = 0; i < n; i++) CHECK_INT(data[i], value(last, i));
    }
    free(data);
  }
}

TEST(p2p_probe_iprobe, 2, "MPI-5.0 section 3.8.1", "MPI_Iprobe") {
  int flag = 1, x = 9;
  MPI_Status status;
  if (rank == 0) {
    MPI_Iprobe(MPI_ANY_SOURCE, MPI_ANY_TAG, comm, &flag, MPI_STATUS_IGNORE);
    CHECK_INT(flag, 0);
    MPI_Barrier(comm);
    for (flag = 0; !flag;) MPI_Iprobe(1, 5, comm, &flag, &status);
    CHECK_STATUS(&status, 1, 5, MPI_INT, 1);
    MPI_Iprobe(1, 6, comm, &flag, MPI_STATUS_IGNORE);
    CHECK_INT(flag, 0);
    MPI_Recv(&x, 1, MPI_INT, 1, 5, comm, MPI_STATUS_IGNORE);
    CHECK_INT(x, 33);
    MPI_Iprobe(1, 5, comm, &flag, MPI_STATUS_IGNORE);
    CHECK_INT(flag, 0);
  } else {
    MPI_Barrier(comm);
    if (rank == 1) {
      x = 33;
      MPI_Send(&x, 1, MPI_INT, 0, 5, comm);
    }
  }
}

/* The probe sees the same message that a receive with its arguments would get. */
TEST(p2p_probe_first, 2, "MPI-5.0 section 3.8.1", "MPI_Probe MPI_Recv") {
  enum { N = 10 };
  if (rank == 1) {
    for (int i = 0; i < N; i++) {
      double out[N] = {i};
      MPI_Send(out, i, MPI_DOUBLE, 0, N - i, comm);
    }
  } else if (rank == 0) {
    for (int i = 0; i < N; i++) {
      double in[N] = {0};
      MPI_Status status;
      MPI_Probe(MPI_ANY_SOURCE, MPI_ANY_TAG, comm, &status);
      CHECK_STATUS(&status, 1, N - i, MPI_DOUBLE, i);
      MPI_Recv(in, i, MPI_DOUBLE, status.MPI_SOURCE, status.MPI_TAG, comm, &status);
      CHECK(in[0] == (i > 0 ? i : 0));
    }
  }
}

/* A matched message is out of reach of other receives, and messages may be received in another order. */
TEST(p2p_probe_mprobe, 2, "MPI-5.0 section 3.8.2", "MPI_Mprobe MPI_Mrecv MPI_Message") {
  enum { N = 4 };
  if (rank == 0) {
    for (int i = 0; i < N; i++) {
      int out = value(0, i);
      MPI_Send(&out, 1, MPI_INT, size - 1, 8, comm);
    }
  } else if (rank == size - 1) {
    MPI_Message messages[N - 1];
    MPI_Status status;
    int in = -1;
    for (int i = 0; i < N - 1; i++) {
      MPI_Mprobe(i == 1 ? MPI_ANY_SOURCE : 0, i == 2 ? MPI_ANY_TAG : 8, comm, &messages[i], &status);
      CHECK(messages[i] != MPI_MESSAGE_NULL && messages[i] != MPI_MESSAGE_NO_PROC);
      CHECK_STATUS(&status, 0, 8, MPI_INT, 1);
    }
    MPI_Recv(&in, 1, MPI_INT, 0, 8, comm, MPI_STATUS_IGNORE);
    CHECK_INT(in, value(0, N - 1));
    for (int i = N - 2; i >= 0; i--) {
      spoil(&status);
      MPI_Mrecv(&in, 1, MPI_INT, &messages[i], &status);
      CHECK(messages[i] == MPI_MESSAGE_NULL);
      CHECK_STATUS(&status, 0, 8, MPI_INT, 1);
      CHECK_INT(in, value(0, i));
    }
  }
}

TEST(p2p_probe_improbe, 1, "MPI-5.0 section 3.8.2", "MPI_Improbe MPI_Imrecv") {
  enum { N = 30000 };
  int *out = new_ints(N, 0), *in = new_ints(N, -1), flag = 1, right = (rank + 1) % size,
      left = (rank + size - 1) % size;
  MPI_Message message = MPI_MESSAGE_NULL;
  MPI_Request requests[2];
  MPI_Status status;
  for (int i = 0; i < N; i++) out[i] = value(rank, i);
  MPI_Improbe(MPI_ANY_SOURCE, MPI_ANY_TAG, comm, &flag, &message, &status);
  CHECK_INT(flag, 0);
  MPI_Barrier(comm);
  MPI_Issend(out, N, MPI_INT, right, 2, comm, &requests[0]);
  for (flag = 0; !flag;) MPI_Improbe(left, 2, comm, &flag, &message, &status);
  CHECK_STATUS(&status, left, 2, MPI_INT, N);
  MPI_Iprobe(left, 2, comm, &flag, MPI_STATUS_IGNORE);
  CHECK_INT(flag, 0); /* taken */
  MPI_Imrecv(in, N, MPI_INT, &message, &requests[1]);
  CHECK(message == MPI_MESSAGE_NULL);
  MPI_Status statuses[2];
  MPI_Waitall(2, requests, statuses);
  CHECK_STATUS(&statuses[1], left, 2, MPI_INT, N);
  for (int i = 0; i < N; i++) CHECK_INT(in[i], value(left, i));
  free(out);
  free(in);
}

/* Matched receives truncate like others. */
TEST(p2p_probe_mrecv_truncate, 2, "MPI-5.0 section 3.8.3", "MPI_Mrecv MPI_ERR_TRUNCATE") {
  errors_return_everywhere();
  int data[3] = {1, 2, 3};
  if (rank == 0) {
    MPI_Send(data, 3, MPI_INT, 1, 0, comm);
    MPI_Send(data, 1, MPI_INT, 1, 0, comm);
  } else if (rank == 1) {
    MPI_Message message;
    int in[4] = {0};
    MPI_Mprobe(0, 0, comm, &message, MPI_STATUS_IGNORE);
    CHECK_CLASS(MPI_Mrecv(in, 2, MPI_INT, &message, MPI_STATUS_IGNORE), MPI_ERR_TRUNCATE);
    CHECK_INT(in[2], 0);
    MPI_Recv(in, 1, MPI_INT, 0, 0, comm, MPI_STATUS_IGNORE);
    CHECK_INT(in[0], 1);
  }
}

TEST(p2p_probe_proc_null, 1, "MPI-5.0 section 3.8.2", "MPI_Probe MPI_Iprobe MPI_Mprobe MPI_MESSAGE_NO_PROC") {
  MPI_Status status;
  MPI_Message message = MPI_MESSAGE_NULL;
  MPI_Request request;
  int flag = 0, x = 3;
  spoil(&status);
  MPI_Probe(MPI_PROC_NULL, 1, comm, &status);
  CHECK_STATUS(&status, MPI_PROC_NULL, MPI_ANY_TAG, MPI_BYTE, 0);
  spoil(&status);
  MPI_Iprobe(MPI_PROC_NULL, 1, comm, &flag, &status);
  CHECK_INT(flag, 1);
  CHECK_STATUS(&status, MPI_PROC_NULL, MPI_ANY_TAG, MPI_BYTE, 0);
  spoil(&status);
  MPI_Mprobe(MPI_PROC_NULL, 1, comm, &message, &status);
  CHECK(message == MPI_MESSAGE_NO_PROC);
  CHECK_STATUS(&status, MPI_PROC_NULL, MPI_ANY_TAG, MPI_BYTE, 0);
  spoil(&status);
  MPI_Mrecv(&x, 1, MPI_INT, &message, &status);
  CHECK(message == MPI_MESSAGE_NULL);
  CHECK_STATUS(&status, MPI_PROC_NULL, MPI_ANY_TAG, MPI_INT, 0);
  flag = 0;
  MPI_Improbe(MPI_PROC_NULL, 1, comm, &flag, &message, &status);
  CHECK_INT(flag, 1);
  CHECK(message == MPI_MESSAGE_NO_PROC);
  MPI_Imrecv(&x, 1, MPI_INT, &message, &request);
  spoil(&status);
  MPI_Wait(&request, &status);
  CHECK(message == MPI_MESSAGE_NULL);
  CHECK_STATUS(&status, MPI_PROC_NULL, MPI_ANY_TAG, MPI_INT, 0);
  CHECK_INT(x, 3);
}

/* What a message has of a datatype: whole items, its parts, or MPI_UNDEFINED (MPI-5.0 sections 3.2.5 and 5.1.11). */
TEST(p2p_probe_counts, 1, "MPI-5.0 section 5.1.11", "MPI_Get_count MPI_Get_elements MPI_Get_elements_x") {
  MPI_Datatype pair, mixed, empty;
  MPI_Type_contiguous(2, MPI_INT, &pair);
  int lengths[2] = {1, 3};
  MPI_Aint at[2] = {0, sizeof(double)};
  MPI_Datatype types[2] = {MPI_DOUBLE, MPI_SHORT};
  MPI_Type_create_struct(2, lengths, at, types, &mixed);
  MPI_Type_contiguous(0, MPI_INT, &empty);
  MPI_Type_commit(&pair);
  MPI_Type_commit(&mixed);
  MPI_Type_commit(&empty);
  int right = (rank + 1) % size, left = (rank + size - 1) % size, out[8] = {0}, in[64], n = -1;
  for (int k = 0; k < 8; k++) {
    MPI_Status status;
    MPI_Count x = -1;
    MPI_Sendrecv(out, k, MPI_INT, right, 0, in, 4, pair, left, 0, comm, &status);
    MPI_Get_count(&status, pair, &n);
    CHECK_INT(n, k % 2 == 0 ? k / 2 : MPI_UNDEFINED);
    MPI_Get_elements(&status, pair, &n);
    CHECK_INT(n, k);
    MPI_Get_elements_x(&status, pair, &x);
    CHECK_INT(x, k);
    MPI_Get_count(&status, MPI_BYTE, &n);
    CHECK_INT(n, k * (int)sizeof(int));
    if (k == 0) {
      MPI_Get_count(&status, empty, &n);
      CHECK_INT(n, 0);
    }
  }
  MPI_Status status;
  MPI_Datatype head;
  int head_lengths[2] = {1, 2};
  MPI_Type_create_struct(2, head_lengths, at, types, &head);
  MPI_Type_commit(&head);
  char bytes[64] = {0};
  MPI_Sendrecv(bytes, 1, head, right, 0, in, 2, mixed, left, 0, comm, &status);
  MPI_Get_count(&status, mixed, &n);
  CHECK_INT(n, MPI_UNDEFINED);
  MPI_Get_elements(&status, mixed, &n);
  CHECK_INT(n, 3); /* a double and two shorts */
  MPI_Type_free(&pair);
  MPI_Type_free(&mixed);
  MPI_Type_free(&empty);
  MPI_Type_free(&head);
}

CHAPTER(p2p_probe, &p2p_probe_blocking, &p2p_probe_iprobe, &p2p_probe_first, &p2p_probe_mprobe, &p2p_probe_improbe,
        &p2p_probe_mrecv_truncate, &p2p_probe_proc_null, &p2p_probe_counts)
