/* topo_graph: graphs that all ranks know, and such that each knows its part of (MPI-5.0 sections 8.5.3 and 8.5.4). */
#include "conformance.h"

/* A wheel: rank 0 is joined to all others, and each other to itself and to 0. */
static MPI_Comm wheel(int nodes, int *index, int *edges) {
  int at = 0;
  for (int r = 0; r < nodes; r++) {
    if (r == 0)
      for (int p = nodes - 1; p > 0; p--) edges[at++] = p;
    if (r > 0) edges[at++] = 0, edges[at++] = r;
    index[r] = at;
  }
  MPI_Comm c;
  MPI_Graph_create(comm, nodes, index, edges, 0, &c);
  return c;
}

TEST(topo_graph_neighbors, 1, "MPI-5.0 section 8.5.5",
     "MPI_Graph_create MPI_Graph_neighbors MPI_Graph_neighbors_count MPI_Graphdims_get MPI_Graph_get") {
  int *index = new_ints(size, 0), *edges = new_ints(3 * size, 0), kind = -1, nodes = -1, n = -1;
  MPI_Comm c = wheel(size, index, edges);
  MPI_Topo_test(c, &kind);
  CHECK_INT(kind, MPI_GRAPH);
  MPI_Graphdims_get(c, &nodes, &n);
  CHECK_INT(nodes, size);
  CHECK_INT(n, index[size - 1]);
  int *got_index = new_ints(size, -1), *got_edges = new_ints(3 * size, -1);
  MPI_Graph_get(c, size, n, got_index, got_edges);
  for (int r = 0; r < size; r++) CHECK_INT(got_index[r], index[r]);
  for (int i = 0; i < n; i++) CHECK_INT(got_edges[i], edges[i]);
  for (int r = 0; r < size; r++) {
    int first = r == 0 ? 0 : index[r - 1], count = -1;
    MPI_Graph_neighbors_count(c, r, &count);
    CHECK_INT(count, index[r] - first);
    MPI_Graph_neighbors(c, r, count, got_edges);
    for (int i = 0; i < count; i++) CHECK_INT(got_edges[i], edges[first + i]);
  }
  MPI_Comm_free(&c);
  free(index);
  free(edges);
  free(got_index);
  free(got_edges);
}

TEST(topo_graph_smaller, 2, "MPI-5.0 section 8.5.3", "MPI_Graph_create MPI_COMM_NULL") {
  int *index = new_ints(size, 0), *edges = new_ints(3 * size, 0);
  MPI_Comm c = wheel(size - 1, index, edges);
  CHECK((c == MPI_COMM_NULL) == (rank == size - 1));
  if (c != MPI_COMM_NULL) MPI_Comm_free(&c);
  free(index);
  free(edges);
}

/* Neighbours may be named twice, and a rank may be its own. */
TEST(topo_graph_multi, 1, "MPI-5.0 section 8.5.3", "MPI_Graph_create MPI_Graph_neighbors") {
  int *index = new_ints(size, 0), *edges = new_ints(3 * size, 0), got[3] = {-1, -1, -1}, count = -1;
  for (int r = 0; r < size; r++) {
    index[r] = 3 * r + 3;
    edges[3 * r] = edges[3 * r + 2] = (r + 1) % size;
    edges[3 * r + 1] = r;
  }
  MPI_Comm c;
  MPI_Graph_create(comm, size, index, edges, 0, &c);
  MPI_Graph_neighbors_count(c, rank, &count);
  CHECK_INT(count, 3);
  MPI_Graph_neighbors(c, rank, 3, got);
  CHECK(got[0] == (rank + 1) % size && got[1] == rank && got[2] == (rank + 1) % size);
  MPI_Comm_free(&c);
  free(index);
  free(edges);
}

/* Each rank tells its own neighbours, in an order that is kept: two to the right, one to itself, with weights. */
TEST(topo_graph_adjacent, 1, "MPI-5.0 section 8.5.4",
     "MPI_Dist_graph_create_adjacent MPI_Dist_graph_neighbors MPI_Dist_graph_neighbors_count") {
  int in[3] = {(rank + 2 * size - 2) % size, (rank + size - 1) % size, rank}, in_weights[3] = {12, 11, 10};
  int out[3] = {(rank + 2) % size, (rank + 1) % size, rank}, out_weights[3] = {12, 11, 10}, kind = -1;
  MPI_Comm c;
  MPI_Dist_graph_create_adjacent(comm, 3, in, in_weights, 3, out, out_weights, MPI_INFO_NULL, 0, &c);
  MPI_Topo_test(c, &kind);
  CHECK_INT(kind, MPI_DIST_GRAPH);
  int n = -1, m = -1, weighted = -1, got[4][3];
  MPI_Dist_graph_neighbors_count(c, &n, &m, &weighted);
  CHECK(n == 3 && m == 3 && weighted);
  MPI_Dist_graph_neighbors(c, 3, got[0], got[1], 3, got[2], got[3]);
  for (int i = 0; i < 3; i++) {
    CHECK_INT(got[0][i], in[i]);
    CHECK_INT(got[1][i], in_weights[i]);
    CHECK_INT(got[2][i], out[i]);
    CHECK_INT(got[3][i], out_weights[i]);
  }
  MPI_Comm_free(&c);
  MPI_Dist_graph_create_adjacent(comm, 3, in, MPI_UNWEIGHTED, 3, out, MPI_UNWEIGHTED, MPI_INFO_NULL, 0, &c);
  MPI_Dist_graph_neighbors_count(c, &n, &m, &weighted);
  CHECK(n == 3 && m == 3 && !weighted);
  MPI_Dist_graph_neighbors(c, 3, got[0], MPI_UNWEIGHTED, 3, got[2], MPI_UNWEIGHTED);
  for (int i = 0; i < 3; i++) CHECK(got[0][i] == in[i] && got[2][i] == out[i]);
  MPI_Comm_free(&c);
  MPI_Dist_graph_create_adjacent(comm, 0, NULL, MPI_WEIGHTS_EMPTY, 0, NULL, MPI_WEIGHTS_EMPTY, MPI_INFO_NULL, 0, &c);
  MPI_Dist_graph_neighbors_count(c, &n, &m, &weighted);
  CHECK(n == 0 && m == 0);
  MPI_Comm_free(&c);
}

static int compare_ints(const void *a, const void *b) { return *(const int *)a - *(const int *)b; }

/* Edges may be told by anyone: here each rank tells those that leave its right neighbour. */
TEST(topo_graph_general, 1, "MPI-5.0 section 8.5.4", "MPI_Dist_graph_create MPI_Dist_graph_neighbors") {
  int source = (rank + 1) % size, degree = 2, to[2] = {(source + 1) % size, (source + 3) % size};
  int weights[2] = {100 + source, 200 + source}, n = -1, m = -1, weighted = -1, got[4][2];
  MPI_Comm c;
  MPI_Dist_graph_create(comm, 1, &source, &degree, to, weights, MPI_INFO_NULL, 0, &c);
  MPI_Dist_graph_neighbors_count(c, &n, &m, &weighted);
  CHECK(n == 2 && m == 2 && weighted);
  MPI_Dist_graph_neighbors(c, 2, got[0], got[1], 2, got[2], got[3]);
  /* The order is the library's; weights stay with their edges: one of either hundred. */
  int by_weight[2][2] = {{-1, -1}, {-1, -1}};
  for (int i = 0; i < 2; i++) {
    CHECK(got[1][i] / 100 == 1 || got[1][i] / 100 == 2);
    CHECK_INT(got[1][i] % 100, got[0][i]);
    CHECK_INT(got[3][i] % 100, rank);
    by_weight[0][got[1][i] / 100 - 1] = got[0][i];
    by_weight[1][got[3][i] / 100 - 1] = got[2][i];
  }
  CHECK_INT(by_weight[0][0], (rank + size - 1) % size);
  CHECK_INT(by_weight[0][1], (rank + 3 * size - 3) % size);
  CHECK_INT(by_weight[1][0], (rank + 1) % size);
  CHECK_INT(by_weight[1][1], (rank + 3) % size);
  MPI_Comm_free(&c);
}

/* One rank may tell everything, the others nothing. */
TEST(topo_graph_told_by_one, 1, "MPI-5.0 section 8.5.4", "MPI_Dist_graph_create MPI_UNWEIGHTED") {
  int *sources = new_ints(size, 0), *degrees = new_ints(size, 0), *to = new_ints(size * size, 0), at = 0;
  for (int r = 0; r < size; r++) {
    sources[r] = r;
    for (int p = 0; p < size; p++)
      if ((r + p) % 3 == 0) to[at++] = p, degrees[r]++;
  }
  MPI_Comm c;
  MPI_Dist_graph_create(comm, rank == 0 ? size : 0, sources, degrees, to, MPI_UNWEIGHTED, MPI_INFO_NULL, 0, &c);
  int n = -1, m = -1, weighted = -1, *in = new_ints(size, -1), *out = new_ints(size, -1);
  MPI_Dist_graph_neighbors_count(c, &n, &m, &weighted);
  CHECK_INT(m, degrees[rank]);
  CHECK_INT(n, degrees[rank]); /* the graph is symmetric */
  CHECK_INT(weighted, 0);
  MPI_Dist_graph_neighbors(c, n, in, MPI_UNWEIGHTED, m, out, MPI_UNWEIGHTED);
  qsort(in, (size_t)n, sizeof *in, compare_ints);
  qsort(out, (size_t)m, sizeof *out, compare_ints);
  for (int p = 0, i = 0; p < size; p++)
    if ((rank + p) % 3 == 0) {
      CHECK_INT(in[i], p);
      CHECK_INT(out[i], p);
      i++;
    }
  MPI_Comm_free(&c);
  free(sources);
  free(degrees);
  free(to);
  free(in);
  free(out);
}

TEST(topo_graph_errors, 1, "MPI-5.0 section 9.4", "MPI_Graphdims_get MPI_Graph_neighbors_count MPI_ERR_TOPOLOGY") {
  errors_return_everywhere();
  int n, m, w;
  CHECK_CLASS(MPI_Graphdims_get(comm, &n, &m), MPI_ERR_TOPOLOGY);
  CHECK_CLASS(MPI_Graph_neighbors_count(comm, 0, &n), MPI_ERR_TOPOLOGY);
  CHECK_CLASS(MPI_Dist_graph_neighbors_count(comm, &n, &m, &w), MPI_ERR_TOPOLOGY);
}

CHAPTER(topo_graph, &topo_graph_neighbors, &topo_graph_smaller, &topo_graph_multi, &topo_graph_adjacent,
        &topo_graph_general, &topo_graph_told_by_one, &topo_graph_errors)
