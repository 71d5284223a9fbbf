/* p2p_bsend: the buffer of buffered sends (MPI-5.0 section 3.6). */
#include "conformance.h"

/* room returns the bytes that n messages of so many ints need. */
static int room(int n, int ints) {
  int packed;
  MPI_Pack_size(ints, MPI_INT, comm, &packed);
  return n * (packed + MPI_BSEND_OVERHEAD);
}

/* Messages that do not fit are an error, and those that do arrive. */
TEST(p2p_bsend_exhausted, 2, "MPI-5.0 section 3.6", "MPI_Bsend MPI_ERR_BUFFER") {
  enum { N = 1000 };
  errors_return(comm);
  int *data = new_ints(N, 4), bytes = room(2, N);
  void *buffer = allocate((size_t)bytes), *detached;
  if (rank == 0) {
    MPI_Buffer_attach(buffer, bytes);
    MPI_Bsend(data, N, MPI_INT, 1, 0, comm);
    /* Whatever the first still takes, this needs more than the whole buffer. */
    int *big = new_ints(3 * N, 5);
    CHECK_CLASS(MPI_Bsend(big, 3 * N, MPI_INT, 1, 0, comm), MPI_ERR_BUFFER);
    free(big);
    MPI_Send(data, 1, MPI_INT, 1, 0, comm);
    MPI_Buffer_detach(&detached, &bytes);
  } else if (rank == 1) {
    MPI_Status status;
    MPI_Recv(data, N, MPI_INT, 0, 0, comm, &status);
    CHECK_STATUS(&status, 0, 0, MPI_INT, N);
    MPI_Recv(data, N, MPI_INT, 0, 0, comm, &status);
    CHECK_STATUS(&status, 0, 0, MPI_INT, 1);
  }
  free(buffer);
  free(data);
}

/* Without a buffer nothing fits. */
TEST(p2p_bsend_no_buffer, 1, "MPI-5.0 section 3.6", "MPI_Bsend MPI_ERR_BUFFER") {
  errors_return(comm);
  int x = 0;
  CHECK_CLASS(MPI_Bsend(&x, 1, MPI_INT, rank, 0, comm), MPI_ERR_BUFFER);
}

/* Detaching waits until all messages in the buffer have been delivered. */
TEST(p2p_bsend_detach_waits, 2, "MPI-5.0 section 3.6", "MPI_Buffer_detach MPI_Bsend") {
  enum { N = 70000 };
  int *data = new_ints(N, 0), bytes = room(1, N), attached = bytes;
  if (rank == 0) {
    void *buffer = allocate((size_t)bytes), *detached = NULL;
    for (int i = 0; i < N; i++) data[i] = value(0, i);
    MPI_Buffer_attach(buffer, bytes);
    MPI_Bsend(data, N, MPI_INT, 1, 0, comm);
    MPI_Send(NULL, 0, MPI_INT, 1, 1, comm);
    bytes = -1;
    MPI_Buffer_detach(&detached, &bytes);
    CHECK(detached == buffer);
    CHECK_INT(bytes, attached);
    memset(buffer, 0x55, (size_t)bytes); /* no longer in use */
    free(buffer);
  } else if (rank == 1) {
    MPI_Recv(NULL, 0, MPI_INT, 0, 1, comm, MPI_STATUS_IGNORE);
    MPI_Recv(data, N, MPI_INT, 0, 0, comm, MPI_STATUS_IGNORE);
    for (int i = 0; i < N; i++) CHECK_INT(data[i], value(0, i));
  }
  free(data);
}

/* Space comes back as messages are received: many pass through a buffer for a few. */
TEST(p2p_bsend_reuse, 2, "MPI-5.0 section 3.6", "MPI_Bsend MPI_Ibsend") {
  enum { FIT = 3, MANY = 30, N = 500 };
  int data[N], bytes = room(FIT, N);
  void *buffer = allocate((size_t)bytes), *detached;
  MPI_Buffer_attach(buffer, bytes);
  for (int i = 0; i < MANY; i++) {
    if (rank == 0) {
      for (int j = 0; j < N; j++) data[j] = value(i, j);
      if (i % 2 == 0) {
        MPI_Bsend(data, N, MPI_INT, size - 1, i, comm);
      } else {
        MPI_Request request;
        MPI_Ibsend(data, N, MPI_INT, size - 1, i, comm, &request);
        memset(data, 0, 0);
        MPI_Wait(&request, MPI_STATUS_IGNORE);
      }
      memset(data, 0, sizeof data);
      MPI_Recv(data, 1, MPI_INT, size - 1, i, comm, MPI_STATUS_IGNORE);
      if (i % FIT == 0) { /* by now the message is out: detach and attach leave an empty buffer */
        MPI_Buffer_detach(&detached, &bytes);
        MPI_Buffer_attach(buffer, bytes);
      }
    } else if (rank == size - 1) {
      MPI_Recv(data, N, MPI_INT, 0, i, comm, MPI_STATUS_IGNORE);
      for (int j = 0; j < N; j++) CHECK_INT(data[j], value(i, j));
      MPI_Send(data, 1, MPI_INT, 0, i, comm);
    }
  }
  MPI_Buffer_detach(&detached, &bytes);
  CHECK(detached == buffer);
  free(buffer);
}

/* The bound of the standard: as many messages as the buffer was sized for are sent with no receive. */
TEST(p2p_bsend_fits_exactly, 1, "MPI-5.0 section 3.6", "MPI_Pack_size MPI_BSEND_OVERHEAD MPI_Bsend") {
  enum { N = 7 };
  static const int lengths[N] = {0, 1, 3, 17, 128, 1001, 5000};
  int bytes = 0, all[5000], right = (rank + 1) % size, left = (rank + size - 1) % size;
  for (int i = 0; i < N; i++) bytes += room(1, lengths[i]);
  void *buffer = allocate((size_t)bytes), *detached;
  MPI_Buffer_attach(buffer, bytes);
  for (int i = 0; i < N; i++) {
    for (int j = 0; j < lengths[i]; j++) all[j] = value(rank + i, j);
    MPI_Bsend(all, lengths[i], MPI_INT, right, 1, comm);
  }
  MPI_Barrier(comm);
  for (int i = 0; i < N; i++) {
    MPI_Status status;
    MPI_Recv(all, 5000, MPI_INT, left, 1, comm, &status);
    CHECK_STATUS(&status, left, 1, MPI_INT, lengths[i]);
    for (int j = 0; j < lengths[i]; j++) CHECK_INT(all[j], value(left + i, j));
  }
  MPI_Buffer_detach(&detached, &bytes);
  free(buffer);
}

/* Derived types are packed into the buffer. */
TEST(p2p_bsend_derived, 1, "MPI-5.0 section 3.6", "MPI_Bsend MPI_Type_vector") {
  enum { N = 100 };
  int out[2 * N], in[N], bytes, right = (rank + 1) % size, left = (rank + size - 1) % size;
  MPI_Datatype every_other;
  MPI_Type_vector(N, 1, 2, MPI_INT, &every_other);
  MPI_Type_commit(&every_other);
  MPI_Pack_size(1, every_other, comm, &bytes);
  bytes += MPI_BSEND_OVERHEAD;
  void *buffer = allocate((size_t)bytes), *detached;
  MPI_Buffer_attach(buffer, bytes);
  for (int i = 0; i < 2 * N; i++) out[i] = value(rank, i);
  MPI_Bsend(out, 1, every_other, right, 0, comm);
  MPI_Type_free(&every_other);
  memset(out, 0, sizeof out);
  MPI_Recv(in, N, MPI_INT, left, 0, comm, MPI_STATUS_IGNORE);
  for (int i = 0; i < N; i++) CHECK_INT(in[i], value(left, 2 * i));
  MPI_Buffer_detach(&detached, &bytes);
  free(buffer);
}

CHAPTER(p2p_bsend, &p2p_bsend_exhausted, &p2p_bsend_no_buffer, &p2p_bsend_detach_waits, &p2p_bsend_reuse,
        &p2p_bsend_fits_exactly, &p2p_bsend_derived)
