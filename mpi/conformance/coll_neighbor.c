/*
 * coll_neighbor: collectives among neighbours (MPI-5.0 section 8.6). On a grid each rank has two neighbours a
 * dimension, the one below first; where there is none, its part of the buffers is left alone.
 */
#include "conformance.h"

enum { N = 7, MOST = 6 };

/* The neighbours of this rank, in the order of the buffers: sources are those that send to it. */
struct near {
  MPI_Comm c;
  int in, out, sources[MOST], targets[MOST];
};

static struct near grid(int ndims, const int *dims, int periodic) {
  struct near g = {MPI_COMM_NULL, 2 * ndims, 2 * ndims, {0}, {0}};
  int periods[MOST / 2] = {periodic, periodic, periodic};
  MPI_Cart_create(comm, ndims, dims, periods, 0, &g.c);
  for (int d = 0; d < ndims; d++) MPI_Cart_shift(g.c, d, 1, &g.sources[2 * d], &g.sources[2 * d + 1]);
  memcpy(g.targets, g.sources, sizeof g.targets);
  return g;
}

/* A graph with a loop, and with an edge that is there twice. */
static struct near adjacent(void) {
  struct near g = {MPI_COMM_NULL, 4, 4, {0}, {0}};
  int up = (rank + 1) % size, down = (rank + size - 1) % size;
  const int targets[] = {up, rank, up, down}, sources[] = {up, down, rank, down};
  memcpy(g.targets, targets, sizeof targets);
  memcpy(g.sources, sources, sizeof sources);
  MPI_Dist_graph_create_adjacent(comm, 4, sources, MPI_UNWEIGHTED, 4, targets, MPI_UNWEIGHTED, MPI_INFO_NULL, 0, &g.c);
  return g;
}

static void check_part(const int *got, int source, int from, int n) {
  for (int i = 0; i < N; i++) CHECK_INT(got[i], source == MPI_PROC_NULL || i >= n ? -1 : value(from, i));
}

/* Everyone gets the same from a neighbour: value(source, i). */
static void allgather(struct near *g) {
  int out[N], in[MOST * N], counts[MOST], at[MOST];
  for (int i = 0; i < N; i++) out[i] = value(rank, i);
  for (int k = 0; k < g->in; k++) {
    counts[k] = N;
    at[k] = (g->in - 1 - k) * N;
  }
  for (int i = 0; i < MOST * N; i++) in[i] = -1;
  MPI_Neighbor_allgather(out, N, MPI_INT, in, N, MPI_INT, g->c);
  for (int k = 0; k < g->in; k++) check_part(in + k * N, g->sources[k], g->sources[k], N);
  for (int i = 0; i < MOST * N; i++) in[i] = -1;
  MPI_Neighbor_allgatherv(out, N, MPI_INT, in, counts, at, MPI_INT, g->c);
  for (int k = 0; k < g->in; k++) check_part(in + at[k], g->sources[k], g->sources[k], N);
  MPI_Request request;
  for (int i = 0; i < MOST * N; i++) in[i] = -1;
  MPI_Ineighbor_allgather(out, N, MPI_INT, in, N, MPI_INT, g->c, &request);
  MPI_Wait(&request, MPI_STATUS_IGNORE);
  for (int k = 0; k < g->in; k++) check_part(in + k * N, g->sources[k], g->sources[k], N);
}

/*
 * Each edge carries its own data. All edges of a pair of ranks carry the same, so that it does not matter which of two
 * is which: that is another test.
 */
static void alltoall(struct near *g) {
  int out[MOST * N], in[MOST * N], at[MOST], counts[MOST], got[MOST];
  MPI_Aint bytes_at[MOST];
  MPI_Datatype types[MOST];
  for (int k = 0; k < MOST; k++) {
    at[k] = k * N;
    bytes_at[k] = k * N * (MPI_Aint)sizeof(int);
    types[k] = MPI_INT;
    int to = k < g->out ? g->targets[k] : MPI_PROC_NULL, from = k < g->in ? g->sources[k] : MPI_PROC_NULL;
    counts[k] = to == MPI_PROC_NULL ? N : (rank + to) % N;
    got[k] = from == MPI_PROC_NULL ? N : (rank + from) % N;
    for (int i = 0; i < N; i++) out[k * N + i] = value(rank * size + (to < 0 ? 0 : to), i);
  }
  for (int variant = 0; variant < 3; variant++) {
    for (int i = 0; i < MOST * N; i++) in[i] = -1;
    if (variant == 0) MPI_Neighbor_alltoall(out, N, MPI_INT, in, N, MPI_INT, g->c);
    if (variant == 1) MPI_Neighbor_alltoallv(out, counts, at, MPI_INT, in, got, at, MPI_INT, g->c);
    if (variant == 2) MPI_Neighbor_alltoallw(out, counts, bytes_at, types, in, got, bytes_at, types, g->c);
    for (int k = 0; k < g->in; k++)
      check_part(in + k * N, g->sources[k], g->sources[k] * size + rank, variant == 0 ? N : got[k]);
  }
  MPI_Request request;
  for (int i = 0; i < MOST * N; i++) in[i] = -1;
  MPI_Ineighbor_alltoallv(out, counts, at, MPI_INT, in, got, at, MPI_INT, g->c, &request);
  MPI_Wait(&request, MPI_STATUS_IGNORE);
  for (int k = 0; k < g->in; k++) check_part(in + k * N, g->sources[k], g->sources[k] * size + rank, got[k]);
}

static void both(struct near g) {
  allgather(&g);
  alltoall(&g);
  MPI_Comm_free(&g.c);
}

TEST(coll_neighbor_line, 1, "MPI-5.0 section 8.6",
     "MPI_Neighbor_allgather MPI_Neighbor_allgatherv MPI_Neighbor_alltoall MPI_Neighbor_alltoallv "
     "MPI_Neighbor_alltoallw") {
  both(grid(1, (int[]){size}, 0));
}

TEST(coll_neighbor_grid, 1, "MPI-5.0 section 8.6",
     "MPI_Neighbor_alltoall MPI_Ineighbor_allgather MPI_Ineighbor_alltoallv MPI_PROC_NULL") {
  int dims[3] = {0, 0, 0};
  MPI_Dims_create(size, 3, dims);
  both(grid(3, dims, 0));
}

TEST(coll_neighbor_ring, 1, "MPI-5.0 section 8.6", "MPI_Neighbor_allgather MPI_Neighbor_alltoall MPI_Cart_create") {
  both(grid(1, (int[]){size}, 1));
}

/* With periodic dimensions of size 1 a rank is its own neighbour, and with size 2 one rank is both neighbours. */
TEST(coll_neighbor_torus, 1, "MPI-5.0 section 8.6", "MPI_Neighbor_allgather MPI_Neighbor_alltoall MPI_Cart_create") {
  both(grid(3, (int[]){1, size, 1}, 1));
  int dims[2] = {size % 2 == 0 ? 2 : 1, 0};
  MPI_Dims_create(size, 2, dims);
  both(grid(2, dims, 1));
}

/*
 * Both neighbours are one rank, and the data differs: what is sent down arrives in the sender's "up" slot at the
 * receiver. MPI-5.0 section 8.6, with MPI-4.0's clarification: the k-th edge is the other end's edge in the other
 * direction.
 */
TEST(coll_neighbor_two_ways, 1, "MPI-5.0 section 8.6.2",
     "MPI_Neighbor_alltoall MPI_Neighbor_alltoallv MPI_Neighbor_alltoallw") {
  int dims[1] = {size}, out[2] = {value(rank, 0), value(rank, 1)}, in[2], ones[2] = {1, 1}, at[2] = {0, 1};
  MPI_Aint bytes[2] = {0, sizeof(int)};
  MPI_Datatype types[2] = {MPI_INT, MPI_INT};
  struct near g = grid(1, dims, 1);
  int down = g.sources[0], up = g.sources[1];
  for (int variant = 0; variant < 3; variant++) {
    in[0] = in[1] = -1;
    if (variant == 0) MPI_Neighbor_alltoall(out, 1, MPI_INT, in, 1, MPI_INT, g.c);
    if (variant == 1) MPI_Neighbor_alltoallv(out, ones, at, MPI_INT, in, ones, at, MPI_INT, g.c);
    if (variant == 2) MPI_Neighbor_alltoallw(out, ones, bytes, types, in, ones, bytes, types, g.c);
    CHECK_INT(in[0], value(down, 1)); /* from below comes what it sent up */
    CHECK_INT(in[1], value(up, 0));
  }
  MPI_Comm_free(&g.c);
}

TEST(coll_neighbor_dist_graph, 1, "MPI-5.0 section 8.6",
     "MPI_Neighbor_allgather MPI_Neighbor_alltoall MPI_Dist_graph_create_adjacent") {
  both(adjacent());
}

/* In and out degrees differ: a star, where all send to rank 0 and it sends to nobody. */
TEST(coll_neighbor_star, 1, "MPI-5.0 section 8.6", "MPI_Neighbor_allgather MPI_Dist_graph_create_adjacent") {
  int *sources = new_ints(size, 0), zero = 0, out = value(rank, 2), *in = new_ints(size, -1), n = rank == 0 ? size : 0;
  for (int p = 0; p < size; p++) sources[p] = size - 1 - p;
  MPI_Comm c;
  MPI_Dist_graph_create_adjacent(comm, n, sources, MPI_UNWEIGHTED, 1, &zero, MPI_UNWEIGHTED, MPI_INFO_NULL, 0, &c);
  MPI_Neighbor_allgather(&out, 1, MPI_INT, in, 1, MPI_INT, c);
  for (int p = 0; p < size; p++) CHECK_INT(in[p], rank == 0 ? value(size - 1 - p, 2) : -1);
  MPI_Comm_free(&c);
  free(sources);
  free(in);
}

/* On a graph communicator the neighbours are those of MPI_Graph_neighbors, both ways. */
TEST(coll_neighbor_graph, 1, "MPI-5.0 section 8.6", "MPI_Neighbor_allgather MPI_Graph_create") {
  int *index = new_ints(size, 0), *edges = new_ints(2 * size, 0), out = value(rank, 4), in[2] = {-1, -1};
  for (int r = 0; r < size; r++) {
    index[r] = 2 * r + 2;
    edges[2 * r] = (r + 1) % size;
    edges[2 * r + 1] = (r + size - 1) % size;
  }
  MPI_Comm c;
  MPI_Graph_create(comm, size, index, edges, 0, &c);
  MPI_Neighbor_allgather(&out, 1, MPI_INT, in, 1, MPI_INT, c);
  CHECK_INT(in[0], value((rank + 1) % size, 4));
  CHECK_INT(in[1], value((rank + size - 1) % size, 4));
  MPI_Comm_free(&c);
  free(index);
  free(edges);
}

/* The same for the nonblocking calls. */
TEST(coll_neighbor_two_ways_nonblocking, 1, "MPI-5.0 section 8.7.2",
     "MPI_Ineighbor_alltoall MPI_Ineighbor_alltoallv MPI_Ineighbor_alltoallw") {
  int out[2] = {value(rank, 0), value(rank, 1)}, in[2], ones[2] = {1, 1}, at[2] = {0, 1};
  MPI_Aint bytes[2] = {0, sizeof(int)};
  MPI_Datatype types[2] = {MPI_INT, MPI_INT};
  MPI_Request request;
  struct near g = grid(1, (int[]){size}, 1);
  for (int variant = 0; variant < 3; variant++) {
    in[0] = in[1] = -1;
    if (variant == 0) MPI_Ineighbor_alltoall(out, 1, MPI_INT, in, 1, MPI_INT, g.c, &request);
    if (variant == 1) MPI_Ineighbor_alltoallv(out, ones, at, MPI_INT, in, ones, at, MPI_INT, g.c, &request);
    if (variant == 2) MPI_Ineighbor_alltoallw(out, ones, bytes, types, in, ones, bytes, types, g.c, &request);
    MPI_Wait(&request, MPI_STATUS_IGNORE);
    CHECK_INT(in[0], value(g.sources[0], 1));
    CHECK_INT(in[1], value(g.sources[1], 0));
  }
  MPI_Comm_free(&g.c);
}

enum { IN = 5, W = IN + 2 };

static MPI_Aint place(int i, int j) { return (MPI_Aint)sizeof(int) * (i * W + j); }

/* edge_value is what a ghost cell holds after the exchange: nothing where the grid ends. */
static int edge_value(int from, int i, int j) { return from == MPI_PROC_NULL ? -1 : value(from, i * W + j); }

/* A halo exchange by faces of a 2D field, each side with its own datatype: no copies anywhere. */
TEST(coll_neighbor_halo, 1, "MPI-5.0 section 8.6.2", "MPI_Neighbor_alltoallw MPI_Ineighbor_alltoallw MPI_Type_vector") {
  int field[W][W], dims[2] = {0, 0};
  MPI_Dims_create(size, 2, dims);
  struct near g = grid(2, dims, 0);
  MPI_Datatype row, column;
  MPI_Type_contiguous(IN, MPI_INT, &row);
  MPI_Type_vector(IN, 1, W, MPI_INT, &column);
  MPI_Type_commit(&row);
  MPI_Type_commit(&column);
  const int ones[4] = {1, 1, 1, 1};
  const MPI_Datatype types[4] = {row, row, column, column};
  const MPI_Aint out[4] = {place(1, 1), place(IN, 1), place(1, 1), place(1, IN)};
  const MPI_Aint in[4] = {place(0, 1), place(W - 1, 1), place(1, 0), place(1, W - 1)};
  for (int blocking = 0; blocking < 2; blocking++) {
    MPI_Request request = MPI_REQUEST_NULL;
    for (int i = 0; i < W; i++)
      for (int j = 0; j < W; j++) field[i][j] = i > 0 && i <= IN && j > 0 && j <= IN ? value(rank, i * W + j) : -1;
    if (blocking) MPI_Neighbor_alltoallw(field, ones, out, types, field, ones, in, types, g.c);
    if (!blocking) MPI_Ineighbor_alltoallw(field, ones, out, types, field, ones, in, types, g.c, &request);
    MPI_Wait(&request, MPI_STATUS_IGNORE);
    for (int k = 1; k <= IN; k++) {
      CHECK_INT(field[0][k], edge_value(g.sources[0], IN, k));
      CHECK_INT(field[W - 1][k], edge_value(g.sources[1], 1, k));
      CHECK_INT(field[k][0], edge_value(g.sources[2], k, IN));
      CHECK_INT(field[k][W - 1], edge_value(g.sources[3], k, 1));
    }
    CHECK(field[0][0] == -1 && field[W - 1][W - 1] == -1);
  }
  MPI_Type_free(&row);
  MPI_Type_free(&column);
  MPI_Comm_free(&g.c);
}

CHAPTER(coll_neighbor, &coll_neighbor_line, &coll_neighbor_grid, &coll_neighbor_ring, &coll_neighbor_torus,
        &coll_neighbor_two_ways, &coll_neighbor_two_ways_nonblocking, &coll_neighbor_dist_graph, &coll_neighbor_star,
        &coll_neighbor_graph, &coll_neighbor_halo)
