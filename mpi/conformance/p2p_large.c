/* p2p_large: sizes up to and around the limits between protocols, and large messages that cross. */
#include "conformance.h"

/* pattern is cheap, so that megabytes can be checked, and has no period near a power of two. */
static unsigned char pattern(int seed, size_t i) {
  return (unsigned char)((i * 131 + (i >> 8) * 17 + (size_t)seed * 29) % 251);
}

static void fill(unsigned char *p, size_t n, int seed) {
  for (size_t i = 0; i < n; i++) p[i] = pattern(seed, i);
}

static void check_pattern(const unsigned char *p, size_t n, int seed) {
  for (size_t i = 0; i < n; i++)
    if (p[i] != pattern(seed, i)) CHECK_INT(p[i], pattern(seed, i));
}

/* Every size 2^k-1, 2^k and 2^k+1 up to 2 MiB. */
TEST(p2p_large_sizes, 2, "MPI-5.0 section 3.2", "MPI_Send MPI_Recv") {
  enum { MOST = (1 << 21) + 1 };
  if (rank > 1) return;
  unsigned char *data = allocate(MOST + 1);
  for (int k = 0; k <= 21; k++)
    for (int d = -1; d <= 1; d++) {
      int n = (1 << k) + d;
      if (rank == 0) {
        fill(data, (size_t)n, k + d);
        MPI_Send(data, n, MPI_BYTE, 1, k, comm);
      } else {
        MPI_Status status;
        data[n] = 255;
        MPI_Recv(data, MOST, MPI_BYTE, 0, k, comm, &status);
        CHECK_STATUS(&status, 0, k, MPI_BYTE, n);
        check_pattern(data, (size_t)n, k + d);
        CHECK_INT(data[n], 255);
      }
    }
  free(data);
}

/* Large messages in both directions at once, from and to each rank. */
TEST(p2p_large_exchange, 1, "MPI-5.0 section 3.10", "MPI_Sendrecv") {
  enum { N = 1500007 };
  unsigned char *out = allocate(N), *in = allocate(N);
  for (int d = 0; d < size && d < 4; d++) {
    int to = (rank + d) % size, from = (rank + size - d) % size;
    fill(out, N, rank + d);
    MPI_Sendrecv(out, N, MPI_BYTE, to, d, in, N, MPI_BYTE, from, d, comm, MPI_STATUS_IGNORE);
    check_pattern(in, N, from + d);
  }
  free(out);
  free(in);
}

/* Many megabytes that nobody receives yet must not stop a small message behind them. */
TEST(p2p_large_behind, 2, "MPI-5.0 section 3.5", "MPI_Isend MPI_Recv") {
  enum { MESSAGES = 6, N = 700001 };
  unsigned char *data = allocate((size_t)MESSAGES * N);
  if (rank == 0) {
    MPI_Request requests[MESSAGES];
    int x = 77;
    for (int m = 0; m < MESSAGES; m++) {
      fill(data + (size_t)m * N, N, m);
      MPI_Isend(data + (size_t)m * N, N, MPI_BYTE, 1, m, comm, &requests[m]);
    }
    MPI_Send(&x, 1, MPI_INT, 1, MESSAGES, comm);
    MPI_Waitall(MESSAGES, requests, MPI_STATUSES_IGNORE);
  } else if (rank == 1) {
    int x = 0;
    MPI_Recv(&x, 1, MPI_INT, 0, MESSAGES, comm, MPI_STATUS_IGNORE);
    CHECK_INT(x, 77);
    for (int m = MESSAGES - 1; m >= 0; m--) {
      MPI_Recv(data, N, MPI_BYTE, 0, m, comm, MPI_STATUS_IGNORE);
      check_pattern(data, N, m);
    }
  }
  free(data);
}

/* Everyone sends to one, which takes them as they come. */
TEST(p2p_large_fan_in, 1, "MPI-5.0 section 3.5", "MPI_Isend MPI_Recv MPI_ANY_SOURCE") {
  enum { N = 300007, EACH = 2 };
  unsigned char *out = allocate(N), *in = allocate(N);
  MPI_Request requests[EACH];
  int root = size - 1;
  fill(out, N, rank);
  for (int e = 0; e < EACH; e++) MPI_Isend(out, N, MPI_BYTE, root, e, comm, &requests[e]);
  if (rank == root) {
    int *seen = new_ints(size, 0);
    for (int i = 0; i < EACH * size; i++) {
      MPI_Status status;
      memset(in, 0, N);
      MPI_Recv(in, N, MPI_BYTE, MPI_ANY_SOURCE, MPI_ANY_TAG, comm, &status);
      CHECK_STATUS(&status, status.MPI_SOURCE, seen[status.MPI_SOURCE], MPI_BYTE, N);
      seen[status.MPI_SOURCE]++;
      check_pattern(in, N, status.MPI_SOURCE);
    }
    free(seen);
  }
  MPI_Waitall(EACH, requests, MPI_STATUSES_IGNORE);
  free(out);
  free(in);
}

/* Hundreds of megabytes in one message and in one datatype. */
TEST_BY_NAME(p2p_huge, 2, "MPI-5.0 section 3.2", "MPI_Send MPI_Recv") {
  const size_t n = (size_t)300 << 20;
  if (rank > 1) return;
  unsigned char *data = allocate(n);
  if (rank == 0) fill(data, n, 5);
  if (rank == 0) MPI_Send(data, (int)n, MPI_BYTE, 1, 0, comm);
  if (rank == 1) MPI_Recv(data, (int)n, MPI_BYTE, 0, 0, comm, MPI_STATUS_IGNORE);
  check_pattern(data, n, 5);
  MPI_Datatype mebibyte;
  MPI_Type_contiguous(1 << 20, MPI_BYTE, &mebibyte);
  MPI_Type_commit(&mebibyte);
  MPI_Status status;
  if (rank == 0) memset(data, 0, n);
  if (rank == 1) MPI_Send(data, 300, mebibyte, 0, 1, comm);
  if (rank == 0) {
    MPI_Recv(data, 300, mebibyte, 1, 1, comm, &status);
    CHECK_STATUS(&status, 1, 1, mebibyte, 300);
    check_pattern(data, n, 5);
  }
  MPI_Type_free(&mebibyte);
  free(data);
}

CHAPTER(p2p_large, &p2p_large_sizes, &p2p_large_exchange, &p2p_large_behind, &p2p_large_fan_in, &p2p_huge)
