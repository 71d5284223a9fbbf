/* A guest that jumps: by setjmp and longjmp, and their kin, with an MPI call, at which its rank may be moved, behind each setjmp. */
#include <mpi.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

static int passed, failed;

static void check(int ok, const char *what) {
  ok ? passed++ : failed++;
  if (!ok) printf("FAILED: %s\n", what);
}

static void meet(void) { MPI_Barrier(MPI_COMM_WORLD); }

static jmp_buf outer, inner;
static sigjmp_buf behind;

static __attribute__((noinline)) void down(int n, jmp_buf to, int value) {
  volatile char room[100];
  room[n % 100] = (char)n;
  meet();
  if (n == 0) longjmp(to, value);
  down(n - 1, to, value + room[n % 100] - (char)n);
}

static void simple(void) {
  volatile int times = 0;
  int value = setjmp(outer);
  times++;
  meet();
  if (value == 0) down(20, outer, 5);
  check(value == 5 && times == 2, "from deep down");
  switch (setjmp(outer)) {
    case 0: longjmp(outer, 0);
    case 1: passed++; break;
    default: check(0, "0 becomes 1");
  }
}

static void nested(void) {
  volatile int step = 0;
  if (setjmp(outer) == 0) {
    if (setjmp(inner) == 0) {
      step = 1;
      down(3, inner, 1);
    }
    check(step == 1, "to the inner");
    step = 2;
    down(3, outer, 1);
  }
  check(step == 2, "to the outer");
}

/* The loop of an interpreter: errors come back to its head. */
static void loop(void) {
  volatile int errors = 0, turns = 0;
  if (setjmp(outer)) errors++;
  while (turns < 200) {
    turns++;
    if (turns % 3 == 0) down(turns % 5, outer, 1);
  }
  check(errors == 66 && turns == 200, "in a loop");
}

static int compare(const void *a, const void *b) {
  (void)a, (void)b;
  longjmp(outer, 9);
}

static void through(void) {
  int values[] = {3, 1, 2}, value = setjmp(outer);
  if (value == 0) qsort(values, 3, sizeof values[0], compare);
  check(value == 9, "through qsort");
}

static void handler(int number) { siglongjmp(behind, number); }

static void signalled(void) {
  signal(SIGUSR1, handler);
  int number = sigsetjmp(behind, 1);
  if (number == 0) raise(SIGUSR1);
  check(number == SIGUSR1, "out of a handler");
}

int main(int argc, char **argv) {
  MPI_Init(&argc, &argv);
  if (argc > 1) longjmp(outer, 1);
  simple();
  nested();
  loop();
  through();
  signalled();
  printf("%d passed, %d failed\n", passed, failed);
  MPI_Finalize();
  return failed != 0;
}
