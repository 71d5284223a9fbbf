/*
 * stencil [N [ITERATIONS]]: a 5-point Jacobi iteration on N by N points (default 256 50) whose border is held. The
 * points are laid over a grid of ranks; every iteration each rank exchanges its edges with its four neighbours: rows
 * as they lie, columns as a vector type. Rank 0 prints the points updated in a second and the sum of all points.
 */
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>

struct grid {
  MPI_Comm comm;
  int up, down, left, right;
  int top, first, rows, columns; /* this rank's part of all the points */
  int stride;                    /* columns and two for the halo */
  MPI_Datatype column;
};

/* part gives rank i of n its share of the points: how many, and the first. */
static int part(int points, int i, int n, int *first) {
  int from = (int)((long long)points * i / n), to = (int)((long long)points * (i + 1) / n);
  *first = from;
  return to - from;
}

static struct grid make_grid(int points) {
  struct grid g;
  int size, rank, dims[2] = {0, 0}, periods[2] = {0, 0}, at[2];
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  MPI_Dims_create(size, 2, dims);
  MPI_Cart_create(MPI_COMM_WORLD, 2, dims, periods, 0, &g.comm);
  MPI_Comm_rank(g.comm, &rank);
  MPI_Cart_coords(g.comm, rank, 2, at);
  MPI_Cart_shift(g.comm, 0, 1, &g.up, &g.down);
  MPI_Cart_shift(g.comm, 1, 1, &g.left, &g.right);
  g.rows = part(points, at[0], dims[0], &g.top);
  g.columns = part(points, at[1], dims[1], &g.first);
  g.stride = g.columns + 2;
  MPI_Type_vector(g.rows, 1, g.stride, MPI_DOUBLE, &g.column);
  MPI_Type_commit(&g.column);
  return g;
}

/* points returns this rank's points with their halo: 0 on the border, a pattern inside. */
static double *points(const struct grid *g) {
  double *u = calloc((size_t)(g->rows + 2) * (size_t)g->stride, sizeof *u);
  if (u == NULL) MPI_Abort(MPI_COMM_WORLD, 3);
  for (int i = 1; i <= g->rows; i++) {
    for (int j = 1; j <= g->columns; j++) u[i * g->stride + j] = ((g->top + i) * 31 + (g->first + j) * 17) % 97 / 97.0;
  }
  return u;
}

static void exchange(const struct grid *g, double *u) {
  MPI_Request r[8];
  double *row = u + g->stride + 1, *last = u + g->rows * g->stride + 1;
  MPI_Irecv(row - g->stride, g->columns, MPI_DOUBLE, g->up, 0, g->comm, &r[0]);
  MPI_Irecv(last + g->stride, g->columns, MPI_DOUBLE, g->down, 1, g->comm, &r[1]);
  MPI_Irecv(row - 1, 1, g->column, g->left, 2, g->comm, &r[2]);
  MPI_Irecv(row + g->columns, 1, g->column, g->right, 3, g->comm, &r[3]);
  MPI_Isend(last, g->columns, MPI_DOUBLE, g->down, 0, g->comm, &r[4]);
  MPI_Isend(row, g->columns, MPI_DOUBLE, g->up, 1, g->comm, &r[5]);
  MPI_Isend(row + g->columns - 1, 1, g->column, g->right, 2, g->comm, &r[6]);
  MPI_Isend(row, 1, g->column, g->left, 3, g->comm, &r[7]);
  MPI_Waitall(8, r, MPI_STATUSES_IGNORE);
}

static void update(const struct grid *g, const double *restrict u, double *restrict next) {
  int s = g->stride;
  for (int i = 1; i <= g->rows; i++) {
    const double *p = u + i * s;
    double *q = next + i * s;
    for (int j = 1; j <= g->columns; j++) q[j] = 0.2 * (p[j] + p[j - 1] + p[j + 1] + p[j - s] + p[j + s]);
  }
}

/* iterate returns the seconds of this rank; the result is in *u. */
static double iterate(const struct grid *g, double **u, double **next, int iterations) {
  MPI_Barrier(g->comm);
  double start = MPI_Wtime();
  for (int i = 0; i < iterations; i++) {
    exchange(g, *u);
    update(g, *u, *next);
    double *old = *u;
    *u = *next;
    *next = old;
  }
  return MPI_Wtime() - start;
}

int main(int argc, char **argv) {
  MPI_Init(&argc, &argv);
  int rank, n = argc > 1 ? atoi(argv[1]) : 256, iterations = argc > 2 ? atoi(argv[2]) : 50;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  if (n < 1 || iterations < 1) MPI_Abort(MPI_COMM_WORLD, 3);
  struct grid g = make_grid(n);
  double *u = points(&g), *next = points(&g);
  iterate(&g, &u, &next, iterations / 10 + 1); /* connections, caches */
  double mine = iterate(&g, &u, &next, iterations), seconds = 0.0, sum = 0.0, total = 0.0;
  for (int i = 1; i <= g.rows; i++) {
    for (int j = 1; j <= g.columns; j++) sum += u[i * g.stride + j];
  }
  MPI_Reduce(&mine, &seconds, 1, MPI_DOUBLE, MPI_MAX, 0, MPI_COMM_WORLD);
  MPI_Reduce(&sum, &total, 1, MPI_DOUBLE, MPI_SUM, 0, MPI_COMM_WORLD);
  if (rank == 0) {
    printf("stencil %d %.4g Mupdates/s\n", n, (double)n * n * iterations / seconds / 1e6);
    printf("stencil %d %.15g checksum\n", n, total);
  }
  free(u);
  free(next);
  MPI_Type_free(&g.column);
  MPI_Comm_free(&g.comm);
  MPI_Finalize();
  return 0;
}
