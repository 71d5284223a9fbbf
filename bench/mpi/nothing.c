// Prints when it began, by the machine's clock in nanoseconds, if it has an argument; else it does nothing.
#include <stdio.h>
#include <time.h>

int main(int argc, char **argv) {
  (void)argv;
  if (argc > 1) {
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    printf("%lld\n", (long long)t.tv_sec * 1000000000 + t.tv_nsec);
  }
  return 0;
}
