/* What a call costs: plain, in a try that nothing leaves, with a destructor to be run, after setjmp, and a throw that is caught. In nanoseconds. */
#include <mpi.h>
#include <setjmp.h>

#include <cstdio>

static volatile long count;

__attribute__((noinline)) static void call(long i) {
  if (i < 0) throw i;
  count = count + i;
}

struct Guard {
  ~Guard() { count = count + 1; }
};

__attribute__((noinline)) static void plain(long n) {
  for (long i = 0; i < n; i++) call(i);
}

__attribute__((noinline)) static void tried(long n) {
  for (long i = 0; i < n; i++) {
    try {
      call(i);
    } catch (long) {
      count = 0;
    }
  }
}

__attribute__((noinline)) static void guarded(long n) {
  for (long i = 0; i < n; i++) {
    Guard guard;
    call(i);
  }
}

__attribute__((noinline)) static void thrown(long n) {
  for (long i = 0; i < n; i++) {
    try {
      call(-1);
    } catch (long) {
      count = count + 1;
    }
  }
}

__attribute__((noinline)) static void jumped(long n) {
  static jmp_buf place;
  for (volatile long i = 0; i < n; i = i + 1) {
    if (setjmp(place) == 0) call(i);
  }
}

static void measure(const char *name, void (*f)(long), long n) {
  f(n / 10);
  const double begun = MPI_Wtime();
  f(n);
  std::printf("%s: %.3f\n", name, (MPI_Wtime() - begun) / n * 1e9);
}

int main(int argc, char **argv) {
  MPI_Init(&argc, &argv);
  measure("a call", plain, 20'000'000);
  measure("a call in a try", tried, 20'000'000);
  measure("a call with a destructor behind it", guarded, 20'000'000);
  measure("a call after setjmp", jumped, 2'000'000);
  measure("a throw that is caught", thrown, 100'000);
  MPI_Finalize();
  return 0;
}
