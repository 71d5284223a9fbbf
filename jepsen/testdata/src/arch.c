/*
 * arch [STEPS [MS]]: what a processor may do in its own way. Every rank goes through STEPS steps (default 20) of MS milliseconds (default 50) with
 * double and float arithmetic, what is no number, infinities, conversions, integers of 64 bits, memory that grows, a deep stack, longjmp and an open file,
 * and prints the bits of all of it. The order of its output is the same on any placement.
 */
#include <inttypes.h>
#include <math.h>
#include <mpi.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static int rank, size;
static jmp_buf back;

static uint64_t bits(double x) {
  uint64_t b;
  memcpy(&b, &x, sizeof b);
  return b;
}

static uint32_t fbits(float x) {
  uint32_t b;
  memcpy(&b, &x, sizeof b);
  return b;
}

/* deep calls itself, sums what it finds on its stack on the way back, and lets the rank move at the bottom of it. */
static double deep(int n, double x, const struct timespec *pause) {
  volatile double here[4] = {x, x / 3, x / 7, (double)n};
  if (n == 0) {
    nanosleep(pause, NULL);
    MPI_Barrier(MPI_COMM_WORLD);
  } else {
    x = deep(n - 1, x * 1.0000001 + 1.0 / n, pause);
  }
  return x + here[0] + here[1] * 1e-3 - here[2] + here[3];
}

static void jump(int n) {
  int sum = 0;
  MPI_Allreduce(&n, &sum, 1, MPI_INT, MPI_SUM, MPI_COMM_WORLD); /* the rank may move with the place to jump to */
  longjmp(back, sum + 1);
}

static void floats(volatile double *d, volatile float *f, int step) {
  double x = *d;
  x = sin(x) * 3.7 + sqrt(fabs(x) + 1e-3) - x / (1.1 + step);
  x = fma(x, 1.0000001, 1e-17) + exp(-fabs(x)) + pow(1.5, x > 3 ? 3 : x) + floor(x * 7) / 11 + nearbyint(x * 2.5);
  *d = fmod(x, 17.0);
  float y = *f;
  y = y * 1.7f + sqrtf(fabsf(y) + 0.25f) - y / 3.3f + (float)*d + truncf(y) * 0.125f;
  *f = fmodf(y, 19.0f);
  double tiny = 4.9406564584124654e-324 * (step + 1), huge = 1.7e308 * (*d < 0 ? -1 : 1);
  printf("step %d: %016" PRIx64 " %.17g %08" PRIx32 " %.9g tiny %.17g huge %g\n", step, bits(*d), *d, fbits(*f), (double)*f, tiny * 0.5, huge * (1.0 + step));
}

static void nans(volatile double zero, volatile float fzero, double part, int step) {
  volatile double inf = 1 / zero;
  volatile double made[] = {zero / zero, -(zero / zero), inf - inf, inf * zero, sqrt(-1 - part * part), fmin(zero / zero, 1), zero / zero + part,
                            (double)(fzero / fzero), fmod(part, zero), log(-1 - part * part), copysign(1, zero / zero)};
  volatile float fmade[] = {fzero / fzero, sqrtf(-1.0f + fzero), (float)(zero / zero), (1 / fzero) - (1 / fzero)};
  printf("step %d: not a number", step);
  for (unsigned i = 0; i < sizeof made / sizeof *made; i++) printf(" %g=%016" PRIx64, made[i], bits(made[i]));
  for (unsigned i = 0; i < sizeof fmade / sizeof *fmade; i++) printf(" %g=%08" PRIx32, (double)fmade[i], fbits(fmade[i]));
  printf(" sign %d %d\n", !!signbit(made[0]), !!signbit(made[1]));
}

/* Conversions that C leaves open are left out: only what is in range. */
static void integers(volatile int64_t *n, double d, int step) {
  uint64_t u = (uint64_t)*n * 6364136223846793005u + 1442695040888963407u;
  *n = (int64_t)u;
  int64_t q = *n / (2 * step + 3), r = *n % (2 * step + 3), s = *n >> (step % 63), l = (int64_t)(u << (step % 63));
  printf("step %d: int64 %" PRId64 " %" PRId64 " %" PRId64 " %" PRId64 " %" PRId64 " clz %d ctz %d pop %d; %.17g %.9g %" PRId64 " %" PRIu64 " %d %u\n", step, *n, q, r, s,
         l, __builtin_clzll(u | 1), __builtin_ctzll(u | 1ull << 63), __builtin_popcountll(u), (double)u, (double)(float)*n, (int64_t)(d * 1e15),
         (uint64_t)(fabs(d) * 1e18), (int)(d * 1e7), (unsigned)(fabs(d) * 2e8));
}

static unsigned mix(unsigned h, const unsigned char *p, size_t n) {
  for (size_t i = 0; i < n; i++) h = (h ^ p[i]) * 16777619u;
  return h;
}

int main(int argc, char **argv) {
  MPI_Init(&argc, &argv);
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  int steps = argc > 1 ? atoi(argv[1]) : 20, ms = argc > 2 ? atoi(argv[2]) : 50;
  struct timespec pause = {ms / 1000, (long)(ms % 1000) * 1000000};
  char name[32];
  snprintf(name, sizeof name, "arch%d", rank);
  FILE *file = fopen(name, "w+");
  if (!file) MPI_Abort(MPI_COMM_WORLD, 3);
  volatile double d = 0.5 + rank;
  volatile float f = 0.75f + (float)rank;
  volatile int64_t n = rank + 1;
  unsigned char *memory = NULL;
  size_t have = 0;
  for (int step = 0; step < steps; step++) {
    floats(&d, &f, step);
    nans(0.0, 0.0f, d, step);
    integers(&n, d, step);

    memory = realloc(memory, have + 65536);
    if (!memory) MPI_Abort(MPI_COMM_WORLD, 4);
    for (size_t i = 0; i < 65536; i += 8) memcpy(memory + have + i, (double[]){d + (double)i}, 8);
    have += 65536;
    printf("step %d: memory %08x\n", step, mix(2166136261u, memory, have));

    int jumped = setjmp(back);
    if (jumped == 0) jump(rank + step);
    printf("step %d: deep %016" PRIx64 " jumped %d\n", step, bits(deep(5000, d, &pause)), jumped);

    double all[3] = {d, (double)f, 0 * d}, sums[3], most[3];
    MPI_Allreduce(all, sums, 3, MPI_DOUBLE, MPI_SUM, MPI_COMM_WORLD);
    MPI_Allreduce(all, most, 3, MPI_DOUBLE, MPI_MAX, MPI_COMM_WORLD);
    long double wide = (long double)d / 3, product = 1;
    MPI_Allreduce(&wide, &product, 1, MPI_LONG_DOUBLE, MPI_PROD, MPI_COMM_WORLD);
    double parts[2] = {d, (double)f}, turned[2], endless = rank % 2 ? -INFINITY : INFINITY, none;
    MPI_Allreduce(parts, turned, 1, MPI_C_DOUBLE_COMPLEX, MPI_PROD, MPI_COMM_WORLD);
    MPI_Allreduce(&endless, &none, 1, MPI_DOUBLE, MPI_SUM, MPI_COMM_WORLD);
    printf("step %d: complex %016" PRIx64 " %016" PRIx64 " none %016" PRIx64 "\n", step, bits(turned[0]), bits(turned[1]), bits(none));
    int64_t other = 0;
    MPI_Sendrecv((int64_t *)&n, 1, MPI_INT64_T, (rank + 1) % size, 1, &other, 1, MPI_INT64_T, (rank + size - 1) % size, 1, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    n ^= other >> 3;
    printf("step %d: sums %016" PRIx64 " %016" PRIx64 " most %016" PRIx64 " product %.20Lg\n", step, bits(sums[0]), bits(sums[1]), bits(most[1]), product);

    fprintf(file, "%d %a %a\n", step, d, (double)f);
    fseek(file, 0, SEEK_SET);
    unsigned h = 2166136261u;
    for (int c; (c = getc(file)) != EOF;) h = mix(h, (unsigned char[]){(unsigned char)c}, 1);
    printf("step %d: file %08x of %ld\n", step, h, ftell(file));
    fflush(stdout);
  }
  fclose(file);
  free(memory);
  printf("rank %d of %d ends\n", rank, size);
  MPI_Finalize();
  return 0;
}
