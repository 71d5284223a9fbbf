/* nompi [CODE [WORD...]]: a plain WASI program: prints its words, NOMPI from its environment, and a line of stdin; exits with CODE. */
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv) {
  for (int i = 2; i < argc; i++) printf("%s\n", argv[i]);
  const char *value = getenv("NOMPI");
  if (value != NULL) printf("NOMPI=%s\n", value);
  char line[256];
  if (fgets(line, sizeof line, stdin) != NULL) printf("stdin: %s", line);
  return argc > 1 ? atoi(argv[1]) : 0;
}
