/*
 * collectives [MILLISECONDS [NAME[:BYTES]...]]: each collective many times back to back, the root going round as in the
 * Intel MPI Benchmarks. Rank 0 prints the time of one call, the longest of all ranks. The size is what a rank
 * contributes; in an alltoall, what it has for each rank. Calls are doubled until two runs in succession take
 * MILLISECONDS (default 20).
 */
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct bench {
  int rank, size;
  double *in, *out; /* the elements of a call: n, or n for each rank */
};

static void barrier(struct bench *b, int root, int n) {
  (void)b, (void)root, (void)n;
  MPI_Barrier(MPI_COMM_WORLD);
}

static void bcast(struct bench *b, int root, int n) {
  MPI_Bcast(b->rank == root ? b->in : b->out, n, MPI_DOUBLE, root, MPI_COMM_WORLD);
}

static void reduce(struct bench *b, int root, int n) {
  MPI_Reduce(b->in, b->out, n, MPI_DOUBLE, MPI_SUM, root, MPI_COMM_WORLD);
}

static void allreduce(struct bench *b, int root, int n) {
  (void)root;
  MPI_Allreduce(b->in, b->out, n, MPI_DOUBLE, MPI_SUM, MPI_COMM_WORLD);
}

static void alltoall(struct bench *b, int root, int n) {
  (void)root;
  MPI_Alltoall(b->in, n, MPI_DOUBLE, b->out, n, MPI_DOUBLE, MPI_COMM_WORLD);
}

static void allgather(struct bench *b, int root, int n) {
  (void)root;
  MPI_Allgather(b->in, n, MPI_DOUBLE, b->out, n, MPI_DOUBLE, MPI_COMM_WORLD);
}

static void gather(struct bench *b, int root, int n) {
  MPI_Gather(b->in, n, MPI_DOUBLE, b->out, n, MPI_DOUBLE, root, MPI_COMM_WORLD);
}

static void scatter(struct bench *b, int root, int n) {
  MPI_Scatter(b->in, n, MPI_DOUBLE, b->out, n, MPI_DOUBLE, root, MPI_COMM_WORLD);
}

static const struct collective {
  const char *name;
  void (*call)(struct bench *, int root, int n);
  enum { NOTHING, FROM_LAST, PART, SUM, OF_EACH } gives; /* what is in out after the call with the last rank as root */
  int at_root;                                     /* only the root has it */
} collectives[] = {
    {"barrier", barrier, NOTHING, 0},     {"bcast", bcast, FROM_LAST, 0},     {"reduce", reduce, SUM, 1},
    {"allreduce", allreduce, SUM, 0},     {"alltoall", alltoall, OF_EACH, 0}, {"allgather", allgather, OF_EACH, 0},
    {"gather", gather, OF_EACH, 1},       {"scatter", scatter, PART, 0},
};

/* length is how many elements each buffer of a call has. */
static int length(struct bench *b, const struct collective *c, int n) {
  return c->gives == OF_EACH || c->gives == PART ? n * b->size : n;
}

/* check aborts if a call does not give what it should: a rank's elements are all its rank + 1. */
static void check(struct bench *b, const struct collective *c, int n) {
  int last = b->size - 1;
  for (int i = 0; i < length(b, c, n); i++) b->out[i] = -1.0;
  c->call(b, last, n);
  if (c->gives == NOTHING || (c->at_root && b->rank != last)) return;
  if (c->gives == FROM_LAST && b->rank == last) return; /* it has sent */
  for (int i = 0; i < (c->gives == PART ? n : length(b, c, n)); i++) {
    double want = i / n + 1;
    if (c->gives == FROM_LAST || c->gives == PART) want = b->size;
    if (c->gives == SUM) want = b->size * (b->size + 1) / 2.0;
    if (b->out[i] == want) continue;
    fprintf(stderr, "%s: element %d is %g, not %g\n", c->name, i, b->out[i], want);
    MPI_Abort(MPI_COMM_WORLD, 4);
  }
}

/* repeat returns the seconds of one call of so many, the longest of all ranks, at rank 0. */
static double repeat(struct bench *b, const struct collective *c, int n, int rounds) {
  MPI_Barrier(MPI_COMM_WORLD);
  double start = MPI_Wtime();
  for (int i = 0; i < rounds; i++) c->call(b, i % b->size, n);
  double mine = (MPI_Wtime() - start) / rounds, longest = 0.0;
  MPI_Reduce(&mine, &longest, 1, MPI_DOUBLE, MPI_MAX, 0, MPI_COMM_WORLD);
  return longest;
}

/* measure prints what one call of n elements takes. */
static void measure(struct bench *b, const struct collective *c, int n, double shortest) {
  double seconds = 0.0;
  for (int rounds = 4, enough = 0; enough < 2; rounds *= 2) {
    seconds = repeat(b, c, n, rounds);
    enough = seconds * rounds < shortest ? 0 : enough + 1;
    MPI_Bcast(&enough, 1, MPI_INT, 0, MPI_COMM_WORLD);
  }
  if (b->rank == 0) printf("%s %d %.4g us\n", c->name, n * (int)sizeof(double), seconds * 1e6);
  fflush(stdout);
}

/* run checks and measures what an argument names. */
static void run(struct bench *b, const char *what, double shortest) {
  const char *colon = strchr(what, ':');
  size_t name = colon != NULL ? (size_t)(colon - what) : strlen(what);
  int n = colon != NULL ? atoi(colon + 1) / (int)sizeof(double) : 0;
  const struct collective *c = collectives, *end = c + sizeof collectives / sizeof *collectives;
  while (c < end && (strlen(c->name) != name || strncmp(c->name, what, name) != 0)) c++;
  if (c == end) {
    fprintf(stderr, "no collective %s\n", what);
    MPI_Abort(MPI_COMM_WORLD, 2);
  }
  size_t bytes = (size_t)length(b, c, n) * sizeof(double);
  b->in = malloc(bytes + 1);
  b->out = malloc(bytes + 1);
  if (b->in == NULL || b->out == NULL) MPI_Abort(MPI_COMM_WORLD, 3);
  for (int i = 0; i < length(b, c, n); i++) b->in[i] = b->rank + 1;
  check(b, c, n);
  measure(b, c, n, shortest);
  free(b->in);
  free(b->out);
}

int main(int argc, char **argv) {
  static char *usual[] = {
      "barrier",    "bcast:8",        "bcast:65536", "reduce:8",       "reduce:65536", "allreduce:8", "allreduce:65536",
      "alltoall:8", "alltoall:65536", "allgather:8", "allgather:65536", "gather:8", "gather:65536", "scatter:8",
      "scatter:65536",
  };
  MPI_Init(&argc, &argv);
  struct bench b;
  char **calls = argc > 2 ? argv + 2 : usual;
  int count = argc > 2 ? argc - 2 : (int)(sizeof usual / sizeof *usual);
  double shortest = argc > 1 ? atoi(argv[1]) / 1e3 : 0.02;
  MPI_Comm_rank(MPI_COMM_WORLD, &b.rank);
  MPI_Comm_size(MPI_COMM_WORLD, &b.size);
  for (int i = 0; i < count; i++) run(&b, calls[i], shortest);
  MPI_Finalize();
  return 0;
}
