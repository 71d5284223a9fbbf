/*
 * cg [N [ITERATIONS [PRINT_EVERY]]]: conjugate gradient on a generated sparse, symmetric, positive
 * definite matrix of N rows (default 4000 200 20). Row i couples to i-1, i+1, i-7, i+7, i-61, i+61,
 * round the end. Rank r owns a block of rows; the whole search direction is gathered at each
 * iteration, and dot products are summed in rank order, so the bits depend on the number of ranks
 * only.
 */
#include <math.h>
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BANDS = 3 };
static const int band[BANDS] = {1, 7, 61};

struct problem {
  int rank, size;
  int n, block, first, rows; /* rows of all ranks, of a full block, of this rank */
  double *direction;         /* size * block: the whole vector */
  double *parts;             /* one dot product a rank */
};

/* weight is the coupling of rows i and i + band b: negative, at most 1 in size, from a hash. */
static double weight(int i, int b) {
  unsigned x = (unsigned)i * 2654435761u + (unsigned)b * 40503u;
  x ^= x >> 13;
  x *= 2246822519u;
  x ^= x >> 16;
  return -(double)(x & 0xffff) / 65536.0;
}

static double dot(struct problem *p, const double *a, const double *b) {
  double mine = 0.0, sum = 0.0;
  for (int i = 0; i < p->rows; i++) mine += a[i] * b[i];
  MPI_Allgather(&mine, 1, MPI_DOUBLE, p->parts, 1, MPI_DOUBLE, MPI_COMM_WORLD);
  for (int r = 0; r < p->size; r++) sum += p->parts[r];
  return sum;
}

/* multiply sets out to the matrix times the whole vector, for the rows of this rank. */
static void multiply(struct problem *p, double *out) {
  for (int row = 0; row < p->rows; row++) {
    int i = p->first + row;
    double sum = 0.0, diagonal = 0.01;
    for (int b = 0; b < BANDS; b++) {
      int right = (i + band[b]) % p->n, left = (i + p->n - band[b] % p->n) % p->n;
      double to_right = weight(i, b), to_left = weight(left, b);
      sum += to_right * p->direction[right] + to_left * p->direction[left];
      diagonal -= to_right + to_left;
    }
    out[row] = sum + diagonal * p->direction[i];
  }
}

static double *vector(int length) {
  double *v = calloc((size_t)length + 1, sizeof *v);
  if (v == NULL) {
    fprintf(stderr, "cg: out of memory\n");
    MPI_Abort(MPI_COMM_WORLD, 3);
  }
  return v;
}

static void solve(struct problem *p, int iterations, int every) {
  double *x = vector(p->block), *residual = vector(p->block);
  double *mine = vector(p->block), *product = vector(p->block);
  for (int i = 0; i < p->rows; i++) residual[i] = mine[i] = 1.0 + (p->first + i) % 17 / 16.0;
  double rr = dot(p, residual, residual);
  for (int iteration = 1; iteration <= iterations; iteration++) {
    MPI_Allgather(mine, p->block, MPI_DOUBLE, p->direction, p->block, MPI_DOUBLE, MPI_COMM_WORLD);
    multiply(p, product);
    double curvature = dot(p, mine, product);
    double alpha = curvature != 0.0 ? rr / curvature : 0.0;
    for (int i = 0; i < p->rows; i++) {
      x[i] += alpha * mine[i];
      residual[i] -= alpha * product[i];
    }
    double next = dot(p, residual, residual);
    double beta = rr != 0.0 ? next / rr : 0.0;
    for (int i = 0; i < p->rows; i++) mine[i] = residual[i] + beta * mine[i];
    rr = next;
    if (p->rank == 0 && every > 0 && iteration % every == 0) {
      printf("iteration %d: residual %.12e\n", iteration, sqrt(rr));
      fflush(stdout);
    }
  }
  double norm = sqrt(dot(p, x, x));
  if (p->rank == 0) {
    unsigned long long bits;
    memcpy(&bits, &norm, sizeof bits);
    printf("cg of %d rows, %d iterations: norm %016llx (%.9f)\n", p->n, iterations, bits, norm);
  }
  free(x);
  free(residual);
  free(mine);
  free(product);
}

int main(int argc, char **argv) {
  MPI_Init(&argc, &argv);
  struct problem p;
  MPI_Comm_rank(MPI_COMM_WORLD, &p.rank);
  MPI_Comm_size(MPI_COMM_WORLD, &p.size);
  p.n = argc > 1 ? atoi(argv[1]) : 4000;
  int iterations = argc > 2 ? atoi(argv[2]) : 200;
  int every = argc > 3 ? atoi(argv[3]) : 20;
  if (p.n < 2) p.n = 2;

  p.block = (p.n + p.size - 1) / p.size;
  p.first = p.rank * p.block;
  p.rows = p.n - p.first;
  if (p.rows > p.block) p.rows = p.block;
  if (p.rows < 0) p.rows = 0;
  p.direction = vector(p.block * p.size);
  p.parts = vector(p.size);
  solve(&p, iterations, every);
  free(p.direction);
  free(p.parts);
  MPI_Finalize();
  return 0;
}
