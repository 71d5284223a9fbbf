/*
 * heat2d [ROWS [COLUMNS [ITERATIONS [PRINT_EVERY]]]]: Jacobi iteration on a plate whose top edge is
 * hot (default 256 256 1000, progress after each tenth). Rows are dealt out in blocks; each iteration
 * exchanges one halo row with either neighbour. The checksum adds the cells row by row from rank 0
 * on, so it has the same bits for any number of ranks and any placement.
 */
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { UP = 1, DOWN = 2, SUM = 3 };

struct plate {
  int rank, size, up, down;
  int rows, columns;  /* of this rank, without halo; with both edges */
  int first;          /* global number of the first row */
  double *now, *next; /* rows + 2 by columns */
};

static double *cell(const struct plate *p, double *grid, int row, int column) {
  return grid + (size_t)row * (size_t)p->columns + column;
}

static void *allocate(size_t count) {
  void *memory = calloc(count, sizeof(double));
  if (memory == NULL) {
    fprintf(stderr, "heat2d: out of memory\n");
    MPI_Abort(MPI_COMM_WORLD, 3);
  }
  return memory;
}

static void set_up(struct plate *p, int rows, int columns) {
  MPI_Comm_rank(MPI_COMM_WORLD, &p->rank);
  MPI_Comm_size(MPI_COMM_WORLD, &p->size);
  p->up = p->rank == 0 ? MPI_PROC_NULL : p->rank - 1;
  p->down = p->rank == p->size - 1 ? MPI_PROC_NULL : p->rank + 1;
  p->first = (int)((long long)rows * p->rank / p->size);
  p->rows = (int)((long long)rows * (p->rank + 1) / p->size) - p->first;
  p->columns = columns;
  p->now = allocate((size_t)(p->rows + 2) * (size_t)columns);
  p->next = allocate((size_t)(p->rows + 2) * (size_t)columns);
  if (p->rank == 0) {
    for (int column = 0; column < columns; column++) {
      *cell(p, p->now, 0, column) = *cell(p, p->next, 0, column) = 100.0;
    }
  }
}

static void exchange(struct plate *p) {
  MPI_Sendrecv(cell(p, p->now, 1, 0), p->columns, MPI_DOUBLE, p->up, UP,
               cell(p, p->now, p->rows + 1, 0), p->columns, MPI_DOUBLE, p->down, UP,
               MPI_COMM_WORLD, MPI_STATUS_IGNORE);
  MPI_Sendrecv(cell(p, p->now, p->rows, 0), p->columns, MPI_DOUBLE, p->down, DOWN,
               cell(p, p->now, 0, 0), p->columns, MPI_DOUBLE, p->up, DOWN, MPI_COMM_WORLD,
               MPI_STATUS_IGNORE);
}

/* step computes one iteration. Afterwards p->next holds the values of the one before. */
static void step(struct plate *p) {
  for (int row = 1; row <= p->rows; row++) {
    const double *above = cell(p, p->now, row - 1, 0), *here = cell(p, p->now, row, 0);
    const double *below = cell(p, p->now, row + 1, 0);
    double *restrict out = cell(p, p->next, row, 0);
    for (int column = 1; column < p->columns - 1; column++) {
      out[column] = 0.25 * (above[column] + below[column] + here[column - 1] + here[column + 1]);
    }
  }
  double *swap = p->now;
  p->now = p->next;
  p->next = swap;
}

/* largest_change is the largest difference that the last step made to a cell of this rank. */
static double largest_change(const struct plate *p) {
  double largest = 0.0;
  for (int row = 1; row <= p->rows; row++) {
    const double *is = cell(p, p->now, row, 0), *was = cell(p, p->next, row, 0);
    for (int column = 1; column < p->columns - 1; column++) {
      double change = is[column] > was[column] ? is[column] - was[column] : was[column] - is[column];
      if (change > largest) largest = change;
    }
  }
  return largest;
}

/* checksum hands the running sum from rank to rank; the last one gives it to rank 0. */
static double checksum(struct plate *p) {
  double sum = 0.0;
  if (p->rank > 0) {
    MPI_Recv(&sum, 1, MPI_DOUBLE, p->rank - 1, SUM, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
  }
  for (int row = 1; row <= p->rows; row++) {
    for (int column = 0; column < p->columns; column++) sum += *cell(p, p->now, row, column);
  }
  if (p->rank < p->size - 1) MPI_Send(&sum, 1, MPI_DOUBLE, p->rank + 1, SUM, MPI_COMM_WORLD);
  MPI_Bcast(&sum, 1, MPI_DOUBLE, p->size - 1, MPI_COMM_WORLD);
  return sum;
}

static int argument(int argc, char **argv, int index, int fallback) {
  return argc > index ? atoi(argv[index]) : fallback;
}

int main(int argc, char **argv) {
  MPI_Init(&argc, &argv);
  int rows = argument(argc, argv, 1, 256), columns = argument(argc, argv, 2, 256);
  int iterations = argument(argc, argv, 3, 1000);
  int every = argument(argc, argv, 4, iterations >= 10 ? iterations / 10 : 1);

  struct plate plate;
  set_up(&plate, rows, columns);
  if (rows < plate.size || columns < 3) {
    if (plate.rank == 0) {
      fprintf(stderr, "heat2d: need at least one row a rank and 3 columns\n");
    }
    MPI_Finalize();
    return 2;
  }
  for (int i = 1; i <= iterations; i++) {
    exchange(&plate);
    step(&plate);
    if (every > 0 && i % every == 0) {
      double mine = largest_change(&plate), largest;
      MPI_Allreduce(&mine, &largest, 1, MPI_DOUBLE, MPI_MAX, MPI_COMM_WORLD);
      if (plate.rank == 0) {
        printf("iteration %d: largest change %.9e\n", i, largest);
        fflush(stdout);
      }
    }
  }
  double sum = checksum(&plate);
  if (plate.rank == 0) {
    unsigned long long bits;
    memcpy(&bits, &sum, sizeof bits);
    printf("heat2d %dx%d, %d iterations: checksum %016llx (%.9f)\n", rows, columns, iterations,
           bits, sum);
  }
  free(plate.now);
  free(plate.next);
  MPI_Finalize();
  return 0;
}
