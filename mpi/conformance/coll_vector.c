/* coll_vector: parts of different sizes at places of their own (MPI-5.0 sections 6.5 to 6.8). */
#include "conformance.h"

/* part is how much rank p has; some have nothing. */
static int part(int p) { return p % 4 == 2 ? 0 : 3 + p * 5 % 7; }

static int pair_part(int from, int to) { return (from * 3 + to * 5) % 6; }

/* spread lays the parts out from the last rank to the first, with a gap of two after each. */
static int spread(int *counts, int *at) {
  int total = 0;
  for (int p = size - 1; p >= 0; p--) {
    counts[p] = part(p);
    at[p] = total;
    total += counts[p] + 2;
  }
  return total;
}

static void check_spread(const int *got, const int *counts, const int *at) {
  for (int p = 0; p < size; p++) {
    for (int i = 0; i < counts[p]; i++) CHECK_INT(got[at[p] + i], value(p, i));
    CHECK_INT(got[at[p] + counts[p]], -1);
    CHECK_INT(got[at[p] + counts[p] + 1], -1);
  }
}

TEST(coll_vector_gatherv, 1, "MPI-5.0 section 6.5", "MPI_Gatherv") {
  int *counts = new_ints(size, 0), *at = new_ints(size, 0), total = spread(counts, at);
  for (int root = 0; root < size; root++) {
    int *out = new_ints(part(rank), 0), *in = new_ints(total, -1);
    for (int i = 0; i < part(rank); i++) out[i] = value(rank, i);
    if (rank == root) MPI_Gatherv(out, part(rank), MPI_INT, in, counts, at, MPI_INT, root, comm);
    if (rank != root) MPI_Gatherv(out, part(rank), MPI_INT, NULL, NULL, NULL, MPI_DATATYPE_NULL, root, comm);
    if (rank == root) check_spread(in, counts, at);
    free(out);
    free(in);
  }
  free(counts);
  free(at);
}

TEST(coll_vector_scatterv, 1, "MPI-5.0 section 6.6", "MPI_Scatterv") {
  int *counts = new_ints(size, 0), *at = new_ints(size, 0), total = spread(counts, at);
  for (int root = 0; root < size; root++) {
    int *out = new_ints(total, -1), *in = new_ints(part(rank) + 1, -1);
    for (int p = 0; p < size; p++)
      for (int i = 0; i < counts[p]; i++) out[at[p] + i] = value(p, i);
    if (rank == root) MPI_Scatterv(out, counts, at, MPI_INT, in, part(rank), MPI_INT, root, comm);
    if (rank != root) MPI_Scatterv(NULL, NULL, NULL, MPI_DATATYPE_NULL, in, part(rank), MPI_INT, root, comm);
    for (int i = 0; i < part(rank); i++) CHECK_INT(in[i], value(rank, i));
    CHECK_INT(in[part(rank)], -1);
    free(out);
    free(in);
  }
  free(counts);
  free(at);
}

/* In a scatter, parts may overlap: everybody gets a window of the root's array. */
TEST(coll_vector_scatterv_overlap, 1, "MPI-5.0 section 6.6", "MPI_Scatterv") {
  int *counts = new_ints(size, 4), *at = new_ints(size, 0), *out = new_ints(size + 3, 0), in[4];
  for (int p = 0; p < size; p++) at[p] = p;
  for (int i = 0; i < size + 3; i++) out[i] = value(0, i);
  MPI_Scatterv(out, counts, at, MPI_INT, in, 4, MPI_INT, 0, comm);
  for (int i = 0; i < 4; i++) CHECK_INT(in[i], value(0, rank + i));
  free(counts);
  free(at);
  free(out);
}

TEST(coll_vector_allgatherv, 1, "MPI-5.0 section 6.7", "MPI_Allgatherv") {
  int *counts = new_ints(size, 0), *at = new_ints(size, 0), total = spread(counts, at);
  int *out = new_ints(part(rank), 0), *in = new_ints(total, -1);
  for (int i = 0; i < part(rank); i++) out[i] = value(rank, i);
  MPI_Allgatherv(out, part(rank), MPI_INT, in, counts, at, MPI_INT, comm);
  check_spread(in, counts, at);
  free(out);
  free(in);
  free(counts);
  free(at);
}

/* The parts are of a type with gaps; displacements are in its extent. */
TEST(coll_vector_allgatherv_derived, 1, "MPI-5.0 section 6.7", "MPI_Allgatherv MPI_Type_create_resized") {
  int *counts = new_ints(size, 0), *at = new_ints(size, 0), total = spread(counts, at);
  int *out = new_ints(part(rank), 0), *in = new_ints(2 * total, -1);
  MPI_Datatype wide;
  MPI_Type_create_resized(MPI_INT, 0, 2 * sizeof(int), &wide);
  MPI_Type_commit(&wide);
  for (int i = 0; i < part(rank); i++) out[i] = value(rank, i);
  MPI_Allgatherv(out, part(rank), MPI_INT, in, counts, at, wide, comm);
  for (int i = 0; i < total; i++) CHECK_INT(in[2 * i + 1], -1);
  for (int i = 0; i < total; i++) in[i] = in[2 * i];
  check_spread(in, counts, at);
  MPI_Type_free(&wide);
  free(out);
  free(in);
  free(counts);
  free(at);
}

TEST(coll_vector_alltoallv, 1, "MPI-5.0 section 6.8", "MPI_Alltoallv") {
  int *sent = new_ints(size, 0), *sent_at = new_ints(size, 0), *got = new_ints(size, 0), *got_at = new_ints(size, 0);
  int out_total = 0, in_total = 0;
  for (int p = 0; p < size; p++) {
    sent[p] = pair_part(rank, p);
    sent_at[p] = out_total;
    out_total += sent[p] + 1;
    got[p] = pair_part(p, rank);
  }
  for (int p = size - 1; p >= 0; p--) {
    got_at[p] = in_total;
    in_total += got[p] + 2;
  }
  int *out = new_ints(out_total, 0), *in = new_ints(in_total, -1);
  for (int p = 0; p < size; p++)
    for (int i = 0; i < sent[p]; i++) out[sent_at[p] + i] = value(rank * size + p, i);
  MPI_Alltoallv(out, sent, sent_at, MPI_INT, in, got, got_at, MPI_INT, comm);
  for (int p = 0; p < size; p++) {
    for (int i = 0; i < got[p]; i++) CHECK_INT(in[got_at[p] + i], value(p * size + rank, i));
    CHECK_INT(in[got_at[p] + got[p]], -1);
  }
  free(sent);
  free(sent_at);
  free(got);
  free(got_at);
  free(out);
  free(in);
}

/* Each pair of ranks has its own types: ints to even ranks in a row, to odd ones every other; at bytes. */
TEST(coll_vector_alltoallw, 1, "MPI-5.0 section 6.8", "MPI_Alltoallw") {
  enum { N = 4, ROOM = 2 * N };
  MPI_Datatype row, gaps, *out_types = allocate((size_t)size * sizeof row),
                          *in_types = allocate((size_t)size * sizeof row);
  MPI_Type_contiguous(N, MPI_INT, &row);
  MPI_Type_vector(N, 1, 2, MPI_INT, &gaps);
  MPI_Type_commit(&row);
  MPI_Type_commit(&gaps);
  int *ones = new_ints(size, 1), *at = new_ints(size, 0), *out = new_ints(size * ROOM, 0),
      *in = new_ints(size * ROOM, -1);
  for (int p = 0; p < size; p++) {
    at[p] = p * ROOM * (int)sizeof(int);
    out_types[p] = p % 2 ? gaps : row;
    in_types[p] = (p + rank) % 3 ? row : gaps;
    for (int i = 0; i < N; i++) out[p * ROOM + (p % 2 ? 2 * i : i)] = value(rank * size + p, i);
  }
  ones[(rank + 1) % size] = 0; /* nothing to the right: no data there */
  int *gets = new_ints(size, 1);
  gets[(rank + size - 1) % size] = 0;
  MPI_Alltoallw(out, ones, at, out_types, in, gets, at, in_types, comm);
  for (int p = 0; p < size; p++)
    for (int i = 0; i < N; i++) {
      int got = in[p * ROOM + ((p + rank) % 3 ? i : 2 * i)];
      CHECK_INT(got, gets[p] ? value(p * size + rank, i) : -1);
    }
  MPI_Type_free(&row);
  MPI_Type_free(&gaps);
  free(out_types);
  free(in_types);
  free(ones);
  free(gets);
  free(at);
  free(out);
  free(in);
}

CHAPTER(coll_vector, &coll_vector_gatherv, &coll_vector_scatterv, &coll_vector_scatterv_overlap,
        &coll_vector_allgatherv, &coll_vector_allgatherv_derived, &coll_vector_alltoallv, &coll_vector_alltoallw)
