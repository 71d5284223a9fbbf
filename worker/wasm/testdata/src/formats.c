/* Formats with a % that begins no conversion: they are printed as glibc does. */
#include <stdio.h>
#include <string.h>

static const char *const formats[] = {"50%, x=%d\n", "%%%Matrix %d\n", "%d%%, %y %s\n", "%5%|%d\n", "%d %q\n", "%-3~%d\n", "up to here %", "100%, %d\n"};

int main(void) {
  for (size_t i = 0; i < sizeof formats / sizeof formats[0]; i++) {
    char text[100];
    int n = printf(formats[i], 3, "text"), m = snprintf(text, sizeof text, formats[i], 3, "text");
    printf("%d, %d, %s", n, m, text);
  }
  for (size_t i = 0; i < sizeof formats / sizeof formats[0]; i++) printf("%d\n", fprintf(stdout, formats[i], 3, "text"));
  static const char *const old[] = {"%qd %Zu %s %,\n"};
  printf(old[0], 3LL, (size_t)4, "text");
  return 0;
}
