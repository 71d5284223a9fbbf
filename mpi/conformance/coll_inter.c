/* coll_inter: collectives between two groups (MPI-5.0 section 6.2.3): even ranks on one side, odd ones on the other. */
#include "conformance.h"

enum { N = 123 };

/* The root is always in the even group, or in the odd one, with this rank there. */
struct sides {
  MPI_Comm inter, local;
  int even, me, mine, theirs; /* my side, my rank there, the sizes */
};

static struct sides split(void) {
  struct sides s;
  s.inter = even_odd_intercomm(&s.local);
  s.even = rank % 2 == 0;
  MPI_Comm_rank(s.local, &s.me);
  MPI_Comm_size(s.local, &s.mine);
  MPI_Comm_remote_size(s.inter, &s.theirs);
  return s;
}

static void rejoin(struct sides *s) {
  MPI_Comm_free(&s->inter);
  MPI_Comm_free(&s->local);
}

/* root_argument is what this rank passes when the root is rank r of the even or of the odd side. */
static int root_argument(const struct sides *s, int root_even, int r) {
  if (s->even != root_even) return r;
  return s->me == r ? MPI_ROOT : MPI_PROC_NULL;
}

static int is_root(const struct sides *s, int root_even, int r) { return s->even == root_even && s->me == r; }

/* world rank of rank r of a side */
static int world(int even, int r) { return 2 * r + (even ? 0 : 1); }

static int side_size(int even) { return even ? (size + 1) / 2 : size / 2; }

TEST(coll_inter_barrier, 2, "MPI-5.0 section 6.3", "MPI_Barrier MPI_Intercomm_create") {
  struct sides s = split();
  for (int i = 0; i < 5; i++) MPI_Barrier(s.inter);
  rejoin(&s);
}

TEST(coll_inter_bcast, 2, "MPI-5.0 section 6.4", "MPI_Bcast MPI_ROOT MPI_PROC_NULL") {
  struct sides s = split();
  for (int even = 0; even < 2; even++)
    for (int r = 0; r < side_size(even); r++) {
      int data[N], root = is_root(&s, even, r);
      for (int i = 0; i < N; i++) data[i] = root ? value(world(even, r), i) : -1;
      MPI_Bcast(data, N, MPI_INT, root_argument(&s, even, r), s.inter);
      /* The rest of the root's group takes no part. */
      for (int i = 0; i < N; i++) CHECK_INT(data[i], root || s.even != even ? value(world(even, r), i) : -1);
    }
  rejoin(&s);
}

TEST(coll_inter_gather, 2, "MPI-5.0 section 6.5", "MPI_Gather MPI_Gatherv MPI_ROOT") {
  struct sides s = split();
  int *counts = new_ints(s.theirs, 0), *at = new_ints(s.theirs, 0), out[N];
  for (int p = 0; p < s.theirs; p++) {
    counts[p] = world(!s.even, p) * 3;
    at[p] = (s.theirs - 1 - p) * N;
  }
  for (int i = 0; i < N; i++) out[i] = value(rank, i);
  for (int even = 0; even < 2; even++)
    for (int r = 0; r < side_size(even); r++) {
      int *in = new_ints(N * s.theirs, -1), *inv = new_ints(N * s.theirs, -1);
      MPI_Gather(out, N, MPI_INT, in, N, MPI_INT, root_argument(&s, even, r), s.inter);
      MPI_Gatherv(out, rank * 3, MPI_INT, inv, counts, at, MPI_INT, root_argument(&s, even, r), s.inter);
      for (int p = 0; p < s.theirs && is_root(&s, even, r); p++)
        for (int i = 0; i < N; i++) {
          CHECK_INT(in[p * N + i], value(world(!even, p), i));
          CHECK_INT(inv[at[p] + i], i < counts[p] ? value(world(!even, p), i) : -1);
        }
      free(in);
      free(inv);
    }
  free(counts);
  free(at);
  rejoin(&s);
}

TEST(coll_inter_scatter, 2, "MPI-5.0 section 6.6", "MPI_Scatter MPI_Scatterv MPI_ROOT") {
  struct sides s = split();
  int *counts = new_ints(s.theirs, 0), *at = new_ints(s.theirs, 0), *out = new_ints(N * s.theirs, 0);
  for (int p = 0; p < s.theirs; p++) {
    counts[p] = p % 2 ? 0 : 5 + p;
    at[p] = p * N + 1;
  }
  for (int i = 0; i < N * s.theirs; i++) out[i] = value(rank, i);
  for (int even = 0; even < 2; even++)
    for (int r = 0; r < side_size(even); r++) {
      int in[N], inv[N], n = s.me % 2 ? 0 : 5 + s.me, receives = s.even != even;
      for (int i = 0; i < N; i++) in[i] = inv[i] = -1;
      MPI_Scatter(out, N, MPI_INT, in, N, MPI_INT, root_argument(&s, even, r), s.inter);
      MPI_Scatterv(out, counts, at, MPI_INT, inv, n, MPI_INT, root_argument(&s, even, r), s.inter);
      for (int i = 0; i < N; i++) {
        CHECK_INT(in[i], receives ? value(world(even, r), s.me * N + i) : -1);
        CHECK_INT(inv[i], receives && i < n ? value(world(even, r), s.me * N + 1 + i) : -1);
      }
    }
  free(counts);
  free(at);
  free(out);
  rejoin(&s);
}

TEST(coll_inter_allgather, 2, "MPI-5.0 section 6.7", "MPI_Allgather MPI_Allgatherv") {
  struct sides s = split();
  int *in = new_ints(N * s.theirs, -1), *counts = new_ints(s.theirs, 0), *at = new_ints(s.theirs, 0), out[N];
  for (int i = 0; i < N; i++) out[i] = value(rank, i);
  MPI_Allgather(out, N, MPI_INT, in, N, MPI_INT, s.inter);
  for (int i = 0; i < N * s.theirs; i++) CHECK_INT(in[i], value(world(!s.even, i / N), i % N));
  for (int p = 0; p < s.theirs; p++) {
    counts[p] = world(!s.even, p) % 4 * 20;
    at[p] = p * N;
  }
  for (int i = 0; i < N * s.theirs; i++) in[i] = -1;
  MPI_Allgatherv(out, rank % 4 * 20, MPI_INT, in, counts, at, MPI_INT, s.inter);
  for (int p = 0; p < s.theirs; p++)
    for (int i = 0; i < N; i++) CHECK_INT(in[p * N + i], i < counts[p] ? value(world(!s.even, p), i) : -1);
  free(in);
  free(counts);
  free(at);
  rejoin(&s);
}

/* Sides may send different amounts: to the odd ranks goes nothing in the second call. */
TEST(coll_inter_alltoall, 2, "MPI-5.0 section 6.8", "MPI_Alltoall MPI_Alltoallv") {
  struct sides s = split();
  int *out = new_ints(N * s.theirs, 0), *in = new_ints(N * s.theirs, -1), *sends = new_ints(s.theirs, 0);
  int *gets = new_ints(s.theirs, 0), *at = new_ints(s.theirs, 0);
  for (int p = 0; p < s.theirs; p++) {
    int other = world(!s.even, p);
    at[p] = p * N;
    sends[p] = s.even ? 0 : (rank + other) % 7;
    gets[p] = s.even ? (rank + other) % 7 : 0;
    for (int i = 0; i < N; i++) out[p * N + i] = value(rank * size + other, i);
  }
  MPI_Alltoall(out, N, MPI_INT, in, N, MPI_INT, s.inter);
  for (int i = 0; i < N * s.theirs; i++) CHECK_INT(in[i], value(world(!s.even, i / N) * size + rank, i % N));
  for (int i = 0; i < N * s.theirs; i++) in[i] = -1;
  MPI_Alltoallv(out, sends, at, MPI_INT, in, gets, at, MPI_INT, s.inter);
  for (int p = 0; p < s.theirs; p++)
    for (int i = 0; i < N; i++) CHECK_INT(in[p * N + i], i < gets[p] ? value(world(!s.even, p) * size + rank, i) : -1);
  free(out);
  free(in);
  free(sends);
  free(gets);
  free(at);
  rejoin(&s);
}

static int sum_of_side(int even, int i) {
  int total = 0;
  for (int p = 0; p < side_size(even); p++) total += value(world(even, p), i);
  return total;
}

TEST(coll_inter_reduce, 2, "MPI-5.0 section 6.9.1", "MPI_Reduce MPI_ROOT") {
  struct sides s = split();
  int out[N];
  for (int i = 0; i < N; i++) out[i] = value(rank, i);
  for (int even = 0; even < 2; even++)
    for (int r = 0; r < side_size(even); r++) {
      int in[N];
      for (int i = 0; i < N; i++) in[i] = -1;
      MPI_Reduce(out, in, N, MPI_INT, MPI_SUM, root_argument(&s, even, r), s.inter);
      for (int i = 0; i < N; i++) CHECK_INT(in[i], is_root(&s, even, r) ? sum_of_side(!even, i) : -1);
    }
  rejoin(&s);
}

/* Each side gets the other's reduction. */
TEST(coll_inter_allreduce, 2, "MPI-5.0 section 6.9.6", "MPI_Allreduce") {
  struct sides s = split();
  int out[N], in[N];
  for (int i = 0; i < N; i++) out[i] = value(rank, i);
  MPI_Allreduce(out, in, N, MPI_INT, MPI_SUM, s.inter);
  for (int i = 0; i < N; i++) CHECK_INT(in[i], sum_of_side(!s.even, i));
  rejoin(&s);
}

/* The reduction of the other side is scattered over this one, so the totals must be the same. */
TEST(coll_inter_reduce_scatter, 2, "MPI-5.0 section 6.10", "MPI_Reduce_scatter MPI_Reduce_scatter_block") {
  struct sides s = split();
  int total = side_size(0) * side_size(1) * 3, block = total / s.mine;
  int *out = new_ints(total, 0), *in = new_ints(total, -1), *counts = new_ints(s.mine, block);
  for (int i = 0; i < total; i++) out[i] = value(rank, i);
  MPI_Reduce_scatter_block(out, in, block, MPI_INT, MPI_SUM, s.inter);
  for (int i = 0; i < block; i++) CHECK_INT(in[i], sum_of_side(!s.even, s.me * block + i));
  CHECK_INT(in[block < total ? block : 0], block < total ? -1 : sum_of_side(!s.even, 0));
  counts[0] = total - (s.mine - 1); /* the first gets most of it */
  for (int p = 1; p < s.mine; p++) counts[p] = 1;
  MPI_Reduce_scatter(out, in, counts, MPI_INT, MPI_SUM, s.inter);
  int at = s.me == 0 ? 0 : counts[0] + s.me - 1;
  for (int i = 0; i < counts[s.me]; i++) CHECK_INT(in[i], sum_of_side(!s.even, at + i));
  free(out);
  free(in);
  free(counts);
  rejoin(&s);
}

TEST(coll_inter_nonblocking, 2, "MPI-5.0 section 6.12", "MPI_Ibcast MPI_Iallreduce MPI_Iallgather MPI_Ibarrier") {
  struct sides s = split();
  int out[N], in[N], cast[N], *all = new_ints(N * s.theirs, -1);
  MPI_Request requests[4];
  for (int i = 0; i < N; i++) {
    out[i] = value(rank, i);
    cast[i] = is_root(&s, 1, 0) ? value(9, i) : -1;
  }
  MPI_Ibcast(cast, N, MPI_INT, root_argument(&s, 1, 0), s.inter, &requests[0]);
  MPI_Iallreduce(out, in, N, MPI_INT, MPI_SUM, s.inter, &requests[1]);
  MPI_Iallgather(out, N, MPI_INT, all, N, MPI_INT, s.inter, &requests[2]);
  MPI_Ibarrier(s.inter, &requests[3]);
  MPI_Waitall(4, requests, MPI_STATUSES_IGNORE);
  for (int i = 0; i < N; i++) {
    CHECK_INT(in[i], sum_of_side(!s.even, i));
    CHECK_INT(cast[i], is_root(&s, 1, 0) || !s.even ? value(9, i) : -1);
  }
  for (int i = 0; i < N * s.theirs; i++) CHECK_INT(all[i], value(world(!s.even, i / N), i % N));
  free(all);
  rejoin(&s);
}

CHAPTER(coll_inter, &coll_inter_barrier, &coll_inter_bcast, &coll_inter_gather, &coll_inter_scatter,
        &coll_inter_allgather, &coll_inter_alltoall, &coll_inter_reduce, &coll_inter_allreduce,
        &coll_inter_reduce_scatter, &coll_inter_nonblocking)
