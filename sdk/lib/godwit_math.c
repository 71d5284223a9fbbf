/*
 * Functions that C libraries have besides macros of the same names, which configure scripts and old programs link to, and others of GNU's. A program that brings its
 * own wins.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define OWN __attribute__((weak))

#undef isnan
#undef isinf
OWN int isnan(double x) { return x != x; }
OWN int isnanf(float x) { return x != x; }
OWN int isinf(double x) { return x == HUGE_VAL ? 1 : x == -HUGE_VAL ? -1 : 0; }
OWN int isinff(float x) { return isinf(x); }

OWN char *secure_getenv(const char *name) { return getenv(name); }

/* What clang calls for pow(2, i), by other names than the program's (sdk/madecalls.go). */
double godwit_ldexp(double x, int n) { return ldexp(x, n); }
float godwit_ldexpf(float x, int n) { return ldexpf(x, n); }
long double godwit_ldexpl(long double x, int n) { return ldexpl(x, n); }

static void exchange(unsigned char *a, unsigned char *b, size_t size) {
  while (size > 0) {
    unsigned char some[64];
    size_t n = size < sizeof some ? size : sizeof some;
    memcpy(some, a, n), memcpy(a, b, n), memcpy(b, some, n);
    a += n, b += n, size -= n;
  }
}

/* Sorts by a heap: nothing but the array is written, so that a comparison may throw, jump, or sort itself. */
OWN void qsort_r(void *base, size_t count, size_t size, int (*compare)(const void *, const void *, void *), void *argument) {
  unsigned char *a = base;
  for (size_t begin = count / 2, end = count; end > 1;) {
    if (begin > 0) begin--;
    else exchange(a, a + --end * size, size);
    for (size_t at = begin, child; (child = 2 * at + 1) < end; at = child) {
      if (child + 1 < end && compare(a + child * size, a + (child + 1) * size, argument) < 0) child++;
      if (compare(a + at * size, a + child * size, argument) >= 0) break;
      exchange(a + at * size, a + child * size, size);
    }
  }
}
