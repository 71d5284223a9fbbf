/* trap HOW [RANK]: rank RANK (default 0) traps: bounds, unreachable, divide, recursion, stack, indirect; or aborts (abort), or raises SIGTERM (raise); or uses a FILE that is NULL, by the function of that name. */
#include <mpi.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>

static volatile int zero = 0;

__attribute__((noinline)) static int recurse(volatile int *depth) {
  if (++*depth < zero) return 0;
  return recurse(depth) + *depth;
}

__attribute__((noinline)) static int consume(int depth) {
  volatile char frame[1024];
  if (depth < zero) return 0;
  frame[depth % 1024] = (char)depth;
  return consume(depth + 1) + frame[0];
}

static void trap(const char *how) {
  if (strcmp(how, "bounds") == 0) {
    *(volatile int *)(0xfffffff0u - (unsigned)zero) = 1;
  } else if (strcmp(how, "unreachable") == 0) {
    __builtin_trap();
  } else if (strcmp(how, "divide") == 0) {
    int numerator = 7 + zero;
    printf("%d\n", numerator / zero);
  } else if (strcmp(how, "recursion") == 0) {
    volatile int depth = 0;
    printf("%d\n", recurse(&depth));
  } else if (strcmp(how, "stack") == 0) {
    printf("%d\n", consume(0));
  } else if (strcmp(how, "indirect") == 0) {
    volatile unsigned nowhere = 0x7fff0000u;
    ((void (*)(int))nowhere)(zero);
  } else if (strcmp(how, "abort") == 0) {
    abort();
  } else if (strcmp(how, "raise") == 0) {
    raise(SIGTERM);
  } else {
    FILE *none = fopen("nosuch", "r");
    if (strcmp(how, "fprintf") == 0) fprintf(none, "%d", zero);
    if (strcmp(how, "fwprintf") == 0) fwprintf(none, L"%d", zero);
    if (strcmp(how, "getc_unlocked") == 0) getc_unlocked(none);
    if (strcmp(how, "fgetwc") == 0) fgetwc(none);
    if (strcmp(how, "freopen") == 0) freopen("other", "r", none);
  }
}

int main(int argc, char **argv) {
  MPI_Init(&argc, &argv);
  int rank;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  if (rank == (argc > 2 ? atoi(argv[2]) : 0)) trap(argc > 1 ? argv[1] : "unreachable");
  MPI_Barrier(MPI_COMM_WORLD);
  MPI_Finalize();
  return 0;
}
