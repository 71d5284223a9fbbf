/*
 * loops [ROUNDS]: loops of several kinds without any call of MPI: nested, with many locals, in a function that calls itself, in a comparison
 * that qsort calls, over memory that grows. Built with --preemptible: it can be stopped in each.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint64_t mix(uint64_t x) {
  for (int i = 0; i < 20; i++) {
    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
  }
  return x * 0x2545f4914f6cdd1dull;
}

static uint64_t deep(int depth, uint64_t x) {
  uint64_t kept[4] = {x, mix(x), mix(x + 1), mix(x + 2)};
  uint64_t below = depth > 0 ? deep(depth - 1, kept[depth % 4]) : 1;
  for (int i = 0; i < 4; i++) below = mix(below ^ kept[i]);
  return below;
}

static int compare(const void *a, const void *b) {
  uint64_t x = mix(*(const uint64_t *)a), y = mix(*(const uint64_t *)b);
  return x < y ? -1 : x > y;
}

int main(int argc, char **argv) {
  int rounds = argc > 1 ? atoi(argv[1]) : 20;
  uint64_t sum = 1;
  double product = 1;
  uint64_t *list = NULL;
  for (int round = 1; round <= rounds; round++) {
    list = realloc(list, sizeof *list * 1000 * (size_t)round);
    for (int i = 0; i < 1000 * round; i++) list[i] = sum = mix(sum + (uint64_t)i);
    qsort(list, 1000 * (size_t)round, sizeof *list, compare);
    sum += deep(50, list[round]);
    for (int i = 0; i < 100; i++) {
      float f = (float)i;
      for (int k = 0; k < 1000; k++) f = f * 0.99f + (float)(k & 7);
      product = product * 0.5 + f;
      if (i == 90) continue;
      sum ^= (uint64_t)product;
    }
    char text[64];
    snprintf(text, sizeof text, "round %d: %016llx %.6f", round, (unsigned long long)sum, product);
    puts(text);
  }
  free(list);
  return 0;
}
