/* Reads its standard input in several ways, and says what it has read. It waits for it in the midst of a deep stack. */
#include <stdio.h>
#include <unistd.h>

static int add(int depth) {
  int x, sum = depth;
  if (depth > 0) return add(depth - 1) + depth;
  while (scanf("%d", &x) == 1 && x != 0) sum += x;
  return sum;
}

int main(void) {
  char line[80], byte;
  if (!fgets(line, sizeof line, stdin)) return 1;
  printf("line: %s", line);
  printf("sum: %d\n", add(10));
  if (getchar() != '\n' || read(0, &byte, 1) != 1) return 2;
  printf("byte: %c\n", byte);
  return read(0, &byte, 1) == 0 ? 0 : 3;
}
