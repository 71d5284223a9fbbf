/* p2p_matching: which receive gets which message (MPI-5.0 section 3.5). */
#include "conformance.h"

/* Messages of one sender that match the same receives are taken in the order sent, whatever their sizes. */
TEST(p2p_matching_order, 2, "MPI-5.0 section 3.5", "MPI_Isend MPI_Recv") {
  enum { N = 24, BIG = 60000 };
  if (rank == 0) {
    int *out = new_ints(N * BIG, 0);
    MPI_Request requests[N];
    for (int i = 0; i < N; i++) {
      out[i * BIG] = i;
      MPI_Isend(out + i * BIG, i % 3 == 1 ? BIG : i % 5, MPI_INT, 1, 4, comm, &requests[i]);
    }
    MPI_Waitall(N, requests, MPI_STATUSES_IGNORE);
    free(out);
  } else if (rank == 1) {
    int *in = new_ints(BIG, -1);
    for (int i = 0; i < N; i++) {
      MPI_Status status;
      in[0] = i;
      MPI_Recv(in, BIG, MPI_INT, i % 2 ? MPI_ANY_SOURCE : 0, i % 4 > 1 ? MPI_ANY_TAG : 4, comm, &status);
      CHECK_STATUS(&status, 0, 4, MPI_INT, i % 3 == 1 ? BIG : i % 5);
      CHECK_INT(in[0], i);
    }
    free(in);
  }
}

/* Receives that were posted first are matched first, also where one names the tag and the next takes any. */
TEST(p2p_matching_posted_order, 2, "MPI-5.0 section 3.5", "MPI_Irecv MPI_ANY_TAG MPI_ANY_SOURCE") {
  int in[4] = {-1, -1, -1, -1}, last = size - 1;
  MPI_Request requests[4];
  if (rank == 0) {
    MPI_Irecv(&in[0], 1, MPI_INT, last, 2, comm, &requests[0]);
    MPI_Irecv(&in[1], 1, MPI_INT, MPI_ANY_SOURCE, MPI_ANY_TAG, comm, &requests[1]);
    MPI_Irecv(&in[2], 1, MPI_INT, MPI_ANY_SOURCE, 2, comm, &requests[2]);
    MPI_Irecv(&in[3], 1, MPI_INT, last, MPI_ANY_TAG, comm, &requests[3]);
  }
  MPI_Barrier(comm);
  if (rank == last) {
    int out[4] = {10, 11, 12, 13}, tags[4] = {1, 2, 3, 2};
    for (int i = 0; i < 4; i++) MPI_Send(&out[i], 1, MPI_INT, 0, tags[i], comm);
  } else if (rank == 0) {
    MPI_Status s[4];
    MPI_Waitall(4, requests, s);
    int want[4] = {11, 10, 13, 12}, tags[4] = {2, 1, 2, 3}; /* tag 3 can match only the last */
    for (int i = 0; i < 4; i++) {
      CHECK_INT(in[i], want[i]);
      CHECK_STATUS(&s[i], last, tags[i], MPI_INT, 1);
    }
  }
}

/* A receive that names a tag passes over earlier messages with others. */
TEST(p2p_matching_tags_backwards, 2, "MPI-5.0 section 3.2.4", "MPI_Isend MPI_Recv") {
  enum { N = 32 };
  if (rank == 1) {
    int out[N];
    MPI_Request requests[N];
    for (int i = 0; i < N; i++) {
      out[i] = value(1, i);
      MPI_Isend(&out[i], 1, MPI_INT, 0, i * 3, comm, &requests[i]);
    }
    MPI_Waitall(N, requests, MPI_STATUSES_IGNORE);
  } else if (rank == 0) {
    for (int i = N - 1; i >= 0; i--) {
      int in = -1;
      MPI_Status status;
      MPI_Recv(&in, 1, MPI_INT, 1, i * 3, comm, &status);
      CHECK_INT(in, value(1, i));
      CHECK_STATUS(&status, 1, i * 3, MPI_INT, 1);
    }
  }
}

/* With any source, each sender's messages still come in its order. */
TEST(p2p_matching_any_source, 1, "MPI-5.0 section 3.5", "MPI_Recv MPI_ANY_SOURCE MPI_ANY_TAG") {
  enum { N = 40 };
  int root = size / 2, out[N];
  MPI_Request requests[N];
  for (int i = 0; i < N; i++) {
    out[i] = value(rank, i);
    MPI_Isend(&out[i], 1, MPI_INT, root, i, comm, &requests[i]);
  }
  if (rank == root) {
    int *next = new_ints(size, 0);
    for (int i = 0; i < N * size; i++) {
      int in;
      MPI_Status status;
      MPI_Recv(&in, 1, MPI_INT, MPI_ANY_SOURCE, MPI_ANY_TAG, comm, &status);
      int from = status.MPI_SOURCE;
      CHECK(from >= 0 && from < size);
      CHECK_STATUS(&status, from, next[from], MPI_INT, 1);
      CHECK_INT(in, value(from, next[from]));
      next[from]++;
    }
    for (int p = 0; p < size; p++) CHECK_INT(next[p], N);
    free(next);
  }
  MPI_Waitall(N, requests, MPI_STATUSES_IGNORE);
}

/* A message on one communicator is never received on another, wildcards or not. */
TEST(p2p_matching_communicators, 1, "MPI-5.0 section 3.2.3", "MPI_Comm_dup MPI_Recv MPI_ANY_SOURCE") {
  MPI_Comm other;
  MPI_Comm_dup(comm, &other);
  int a = value(rank, 1), b = value(rank, 2), in = -1, right = (rank + 1) % size, left = (rank + size - 1) % size;
  MPI_Request requests[2];
  MPI_Isend(&a, 1, MPI_INT, right, 5, comm, &requests[0]);
  MPI_Isend(&b, 1, MPI_INT, right, 5, other, &requests[1]);
  MPI_Recv(&in, 1, MPI_INT, MPI_ANY_SOURCE, MPI_ANY_TAG, other, MPI_STATUS_IGNORE);
  CHECK_INT(in, value(left, 2));
  MPI_Recv(&in, 1, MPI_INT, MPI_ANY_SOURCE, MPI_ANY_TAG, comm, MPI_STATUS_IGNORE);
  CHECK_INT(in, value(left, 1));
  MPI_Waitall(2, requests, MPI_STATUSES_IGNORE);
  MPI_Comm_free(&other);
}

/* Point-to-point messages and collective calls on one communicator do not meet. */
TEST(p2p_matching_collectives, 1, "MPI-5.0 section 6.1", "MPI_Irecv MPI_Bcast MPI_Barrier") {
  int in = -1, out = value(rank, 0), x = 17, right = (rank + 1) % size, left = (rank + size - 1) % size;
  MPI_Request request;
  MPI_Status status;
  MPI_Irecv(&in, 1, MPI_INT, MPI_ANY_SOURCE, MPI_ANY_TAG, comm, &request);
  for (int root = 0; root < size; root++) {
    MPI_Bcast(&x, 1, MPI_INT, root, comm);
    MPI_Barrier(comm);
  }
  MPI_Send(&out, 1, MPI_INT, right, 6, comm);
  MPI_Wait(&request, &status);
  CHECK_STATUS(&status, left, 6, MPI_INT, 1);
  CHECK_INT(in, value(left, 0));
}

TEST(p2p_matching_tag_ub, 1, "MPI-5.0 section 9.1.2", "MPI_TAG_UB MPI_Sendrecv") {
  int *tag_ub = NULL, flag = 0, in = -1, out = value(rank, 3);
  MPI_Comm_get_attr(comm, MPI_TAG_UB, &tag_ub, &flag);
  CHECK_INT(flag, 1);
  CHECK(*tag_ub >= 32767);
  MPI_Status status;
  int right = (rank + 1) % size, left = (rank + size - 1) % size;
  MPI_Sendrecv(&out, 1, MPI_INT, right, *tag_ub, &in, 1, MPI_INT, left, *tag_ub, comm, &status);
  CHECK_STATUS(&status, left, *tag_ub, MPI_INT, 1);
  CHECK_INT(in, value(left, 3));
  errors_return(comm);
  if (*tag_ub < INT32_MAX) CHECK_CLASS(MPI_Send(&out, 1, MPI_INT, rank, *tag_ub + 1, comm), MPI_ERR_TAG);
}

/* Too long a message fills no more than the buffer, reports MPI_ERR_TRUNCATE, and leaves the next one intact. */
static void truncate(int n, int room) {
  if (rank == 0) {
    int *out = new_ints(n, 0);
    for (int i = 0; i < n; i++) out[i] = value(0, i);
    MPI_Send(out, n, MPI_INT, 1, 1, comm);
    MPI_Send(out, room, MPI_INT, 1, 1, comm);
    free(out);
  } else if (rank == 1) {
    int *in = new_ints(n + 1, -1);
    MPI_Status status;
    CHECK_CLASS(MPI_Recv(in, room, MPI_INT, 0, 1, comm, &status), MPI_ERR_TRUNCATE);
    CHECK_INT(status.MPI_SOURCE, 0);
    CHECK_INT(status.MPI_TAG, 1);
    for (int i = room; i <= n; i++) CHECK_INT(in[i], -1);
    MPI_Recv(in, room, MPI_INT, 0, 1, comm, &status);
    CHECK_STATUS(&status, 0, 1, MPI_INT, room);
    for (int i = 0; i < room; i++) CHECK_INT(in[i], value(0, i));
    free(in);
  }
}

TEST(p2p_matching_truncate, 2, "MPI-5.0 section 3.2.4", "MPI_Recv MPI_ERR_TRUNCATE") {
  errors_return(comm);
  truncate(2, 1);
  truncate(3, 0);
  truncate(100000, 99999);
  truncate(300000, 5);
}

/* In a Waitall the truncated message alone is marked, in its status (MPI-5.0 section 3.7.5). */
TEST(p2p_matching_truncate_waitall, 2, "MPI-5.0 section 3.7.5", "MPI_Waitall MPI_ERR_IN_STATUS") {
  errors_return_everywhere();
  enum { N = 5 };
  int data[N][4];
  MPI_Request requests[N];
  MPI_Status statuses[N];
  if (rank == 1) {
    for (int i = 0; i < N; i++) MPI_Irecv(data[i], 2, MPI_INT, 0, i, comm, &requests[i]);
    MPI_Barrier(comm);
    CHECK_CLASS(MPI_Waitall(N, requests, statuses), MPI_ERR_IN_STATUS);
    for (int i = 0; i < N; i++) {
      /* A request that is not done is MPI_ERR_PENDING, and stays. */
      int class;
      MPI_Error_class(statuses[i].MPI_ERROR, &class);
      if (class == MPI_ERR_PENDING) {
        MPI_Wait(&requests[i], &statuses[i]);
        CHECK(i != 3);
        class = MPI_SUCCESS;
      }
      CHECK_INT(class, i == 3 ? MPI_ERR_TRUNCATE : MPI_SUCCESS);
      CHECK_INT(statuses[i].MPI_SOURCE, 0);
      CHECK_INT(statuses[i].MPI_TAG, i);
      if (i == 3) continue;
      CHECK_INT(data[i][0], 100 * i);
      CHECK_INT(data[i][1], 100 * i + 1);
    }
  } else {
    MPI_Barrier(comm);
    for (int i = 0; i < N && rank == 0; i++) {
      for (int j = 0; j < 4; j++) data[i][j] = 100 * i + j;
      MPI_Send(data[i], i == 3 ? 4 : 2, MPI_INT, 1, i, comm);
    }
  }
}

/* Sources other than the named one wait. */
TEST(p2p_matching_source, 3, "MPI-5.0 section 3.2.4", "MPI_Recv") {
  int out = value(rank, 8);
  if (rank != 0) {
    MPI_Send(&out, 1, MPI_INT, 0, 1, comm);
    MPI_Barrier(comm);
    return;
  }
  MPI_Barrier(comm);
  for (int from = size - 1; from > 0; from--) {
    int in = -1;
    MPI_Status status;
    MPI_Recv(&in, 1, MPI_INT, from, 1, comm, &status);
    CHECK_INT(in, value(from, 8));
    CHECK_STATUS(&status, from, 1, MPI_INT, 1);
  }
}

/* The shortest chain of causes that could overtake: 0 tells 2 before it tells 1, and 1 passes it on to 2. */
TEST(p2p_matching_two_paths, 3, "MPI-5.0 section 3.5", "MPI_Send MPI_Recv") {
  enum { ROUNDS = 20 };
  for (int i = 0; i < ROUNDS; i++) {
    int x = value(0, i), in = -1;
    if (rank == 0) {
      MPI_Send(&x, 1, MPI_INT, 2, 1, comm);
      MPI_Send(&x, 1, MPI_INT, 1, 2, comm);
    } else if (rank == 1) {
      MPI_Recv(&in, 1, MPI_INT, 0, 2, comm, MPI_STATUS_IGNORE);
      MPI_Send(&in, 1, MPI_INT, 2, 3, comm);
    } else if (rank == 2) {
      MPI_Recv(&in, 1, MPI_INT, 1, 3, comm, MPI_STATUS_IGNORE);
      CHECK_INT(in, x);
      in = -1;
      MPI_Recv(&in, 1, MPI_INT, 0, 1, comm, MPI_STATUS_IGNORE);
      CHECK_INT(in, x);
    }
  }
}

/* A message that nobody has received does not keep a pair of ranks from talking with another tag. */
TEST(p2p_matching_unexpected, 2, "MPI-5.0 section 3.5", "MPI_Isend MPI_Recv") {
  enum { N = 500, LAST = 1000 };
  if (rank == 0) {
    int out[N];
    MPI_Request requests[N];
    for (int i = 0; i < N; i++) {
      out[i] = value(0, i);
      MPI_Isend(&out[i], 1, MPI_INT, 1, i, comm, &requests[i]);
    }
    MPI_Send(&out[7], 1, MPI_INT, 1, LAST, comm);
    MPI_Waitall(N, requests, MPI_STATUSES_IGNORE);
  } else if (rank == 1) {
    int in = -1;
    MPI_Recv(&in, 1, MPI_INT, 0, LAST, comm, MPI_STATUS_IGNORE);
    CHECK_INT(in, value(0, 7));
    for (int i = 0; i < N; i++) {
      int j = (i * 7 + 3) % N; /* 7 and N have no common factor: each once */
      MPI_Recv(&in, 1, MPI_INT, 0, j, comm, MPI_STATUS_IGNORE);
      CHECK_INT(in, value(0, j));
    }
  }
}

CHAPTER(p2p_matching, &p2p_matching_order, &p2p_matching_posted_order, &p2p_matching_tags_backwards,
        &p2p_matching_any_source, &p2p_matching_communicators, &p2p_matching_collectives, &p2p_matching_tag_ub,
        &p2p_matching_truncate, &p2p_matching_truncate_waitall, &p2p_matching_source, &p2p_matching_two_paths,
        &p2p_matching_unexpected)
