/* type_pack: packing into one buffer, piece by piece (MPI-5.0 section 5.2). */
#include "conformance.h"

TEST(type_pack_pieces, 1, "MPI-5.0 section 5.2", "MPI_Pack MPI_Unpack MPI_PACKED") {
  char buffer[400];
  int position = 0, n = 3, numbers[3] = {value(rank, 0), -5, 7}, right = (rank + 1) % size,
      left = (rank + size - 1) % size;
  double reals[2] = {rank + 0.5, -1e300};
  MPI_Pack(&n, 1, MPI_INT, buffer, sizeof buffer, &position, comm);
  int first = position;
  CHECK(first > 0);
  MPI_Pack(numbers, n, MPI_INT, buffer, sizeof buffer, &position, comm);
  MPI_Pack(reals, 2, MPI_DOUBLE, buffer, sizeof buffer, &position, comm);
  MPI_Pack("hello", 5, MPI_CHAR, buffer, sizeof buffer, &position, comm);
  MPI_Pack(reals, 0, MPI_DOUBLE, buffer, sizeof buffer, &position, comm);
  char in[400], word[5];
  int got = 0, length;
  MPI_Status status;
  MPI_Sendrecv(buffer, position, MPI_PACKED, right, 0, in, sizeof in, MPI_PACKED, left, 0, comm, &status);
  MPI_Get_count(&status, MPI_PACKED, &length);
  CHECK_INT(length, position);
  memset(numbers, 0, sizeof numbers);
  memset(reals, 0, sizeof reals);
  position = 0;
  MPI_Unpack(in, length, &position, &got, 1, MPI_INT, comm);
  CHECK_INT(got, 3);
  MPI_Unpack(in, length, &position, numbers, got, MPI_INT, comm);
  MPI_Unpack(in, length, &position, reals, 2, MPI_DOUBLE, comm);
  MPI_Unpack(in, length, &position, word, 5, MPI_CHAR, comm);
  CHECK_INT(position, length);
  CHECK(numbers[0] == value(left, 0) && numbers[1] == -5 && numbers[2] == 7);
  CHECK(reals[0] == left + 0.5 && reals[1] == -1e300);
  CHECK(memcmp(word, "hello", 5) == 0);
}

/* A packed message may be received by a type that has its signature, and the other way round. */
TEST(type_pack_signature, 1, "MPI-5.0 section 5.2", "MPI_PACKED MPI_Send MPI_Recv") {
  char buffer[200];
  int position = 0, out[4] = {1, 2, rank, 4}, in[4] = {0}, right = (rank + 1) % size, left = (rank + size - 1) % size;
  MPI_Pack(out, 2, MPI_INT, buffer, sizeof buffer, &position, comm);
  MPI_Pack(out + 2, 2, MPI_INT, buffer, sizeof buffer, &position, comm);
  MPI_Status status;
  MPI_Sendrecv(buffer, position, MPI_PACKED, right, 0, in, 4, MPI_INT, left, 0, comm, &status);
  CHECK_STATUS(&status, left, 0, MPI_INT, 4);
  CHECK(in[0] == 1 && in[1] == 2 && in[2] == left && in[3] == 4);
  int bytes;
  MPI_Sendrecv(out, 4, MPI_INT, right, 1, buffer, sizeof buffer, MPI_PACKED, left, 1, comm, &status);
  MPI_Get_count(&status, MPI_PACKED, &bytes);
  memset(in, 0, sizeof in);
  position = 0;
  MPI_Unpack(buffer, bytes, &position, in, 4, MPI_INT, comm);
  CHECK(in[0] == 1 && in[1] == 2 && in[2] == left && in[3] == 4);
}

TEST(type_pack_derived, 1, "MPI-5.0 section 5.2", "MPI_Pack MPI_Pack_size MPI_Type_vector") {
  enum { N = 40 };
  int out[2 * N], in[3 * N], bytes = 0, position = 0;
  MPI_Datatype twos, threes;
  MPI_Type_vector(N, 1, 2, MPI_INT, &twos);
  MPI_Type_vector(N, 1, 3, MPI_INT, &threes);
  MPI_Type_commit(&twos);
  MPI_Type_commit(&threes);
  for (int i = 0; i < 2 * N; i++) out[i] = value(rank, i);
  for (int i = 0; i < 3 * N; i++) in[i] = -1;
  MPI_Pack_size(1, twos, comm, &bytes);
  CHECK(bytes >= N * (int)sizeof(int));
  char *buffer = allocate((size_t)bytes);
  MPI_Pack(out, 1, twos, buffer, bytes, &position, comm);
  int end = position;
  position = 0;
  MPI_Unpack(buffer, end, &position, in, 1, threes, comm);
  for (int i = 0; i < 3 * N; i++) CHECK_INT(in[i], i % 3 == 0 ? value(rank, i / 3 * 2) : -1);
  MPI_Type_free(&twos);
  MPI_Type_free(&threes);
  free(buffer);
}

/* Packed data is one array of bytes in a collective too. */
TEST(type_pack_collective, 1, "MPI-5.0 section 5.2", "MPI_Pack MPI_Bcast MPI_Gather MPI_PACKED") {
  enum { ROOM = 100 };
  char buffer[ROOM], *all = allocate(ROOM * (size_t)size);
  int position = 0, x = rank, root = size - 1;
  double d = rank / 4.0;
  memset(buffer, 0, sizeof buffer);
  MPI_Pack(&x, 1, MPI_INT, buffer, ROOM, &position, comm);
  MPI_Pack(&d, 1, MPI_DOUBLE, buffer, ROOM, &position, comm);
  MPI_Gather(buffer, ROOM, MPI_PACKED, all, ROOM, MPI_PACKED, root, comm);
  for (int p = 0; p < size && rank == root; p++) {
    position = 0;
    MPI_Unpack(all + p * ROOM, ROOM, &position, &x, 1, MPI_INT, comm);
    MPI_Unpack(all + p * ROOM, ROOM, &position, &d, 1, MPI_DOUBLE, comm);
    CHECK(x == p && d == p / 4.0);
  }
  MPI_Bcast(buffer, ROOM, MPI_PACKED, root, comm);
  position = 0;
  MPI_Unpack(buffer, ROOM, &position, &x, 1, MPI_INT, comm);
  CHECK_INT(x, root);
  free(all);
}

TEST(type_pack_errors, 1, "MPI-5.0 section 9.4", "MPI_Pack MPI_Pack_size MPI_ERR_TYPE MPI_ERR_COUNT") {
  errors_return(comm);
  char buffer[64];
  int x[8] = {0}, position = 0, bytes;
  CHECK_CLASS(MPI_Pack_size(1, MPI_DATATYPE_NULL, comm, &bytes), MPI_ERR_TYPE);
  CHECK_CLASS(MPI_Pack(x, -1, MPI_INT, buffer, 64, &position, comm), MPI_ERR_COUNT);
}

TEST(type_pack_overflow, 1, "MPI-5.0 section 5.2", "MPI_Pack MPI_Unpack MPI_ERR_TRUNCATE MPI_ERR_ARG") {
  errors_return(comm);
  char buffer[64];
  int x[8] = {0}, position = 0;
  CHECK_CLASS2(MPI_Pack(x, 8, MPI_INT, buffer, 8, &position, comm), MPI_ERR_ARG, MPI_ERR_TRUNCATE);
  position = 0;
  CHECK_CLASS2(MPI_Unpack(buffer, 8, &position, x, 8, MPI_INT, comm), MPI_ERR_ARG, MPI_ERR_TRUNCATE);
}

CHAPTER(type_pack, &type_pack_pieces, &type_pack_signature, &type_pack_derived, &type_pack_collective,
        &type_pack_errors, &type_pack_overflow)
