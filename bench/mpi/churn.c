/*
 * churn MIB PERCENT: fills MIB MiB with numbers that do not compress, says so, and then writes to so many percent of their pages a second, a
 * thousandth of that each millisecond, until it is stopped.
 */
#include <mpi.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { PAGE = 4096 / sizeof(uint64_t) };

int main(int argc, char **argv) {
  MPI_Init(&argc, &argv);
  size_t words = (size_t)(argc > 1 ? atoi(argv[1]) : 64) << 17;
  double percent = argc > 2 ? atof(argv[2]) : 0;
  uint64_t *data = malloc(words * sizeof *data), x = 88172645463325252ull;
  if (data == NULL) MPI_Abort(MPI_COMM_WORLD, 1);
  for (size_t i = 0; i < words; i++) {
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    data[i] = x;
  }
  puts("filled");
  fflush(stdout);
  size_t pages = words / PAGE, next = 0;
  double owed = 0, before = MPI_Wtime();
  for (;;) {
    struct timespec pause = {0, 1000000};
    nanosleep(&pause, NULL);
    double now = MPI_Wtime(); /* it may stop here */
    owed += (double)pages * percent / 100 * (now - before);
    before = now;
    if (owed > (double)pages) owed = (double)pages;
    for (; owed >= 1; owed--) {
      data[next * PAGE]++;
      next = (next + 7919) % pages;
    }
  }
}
