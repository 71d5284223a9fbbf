/*
 * The reason of the program's end, in the program's own words. The host reads them when the program has trapped: the bytes at
 * godwit_last_words, up to a zero.
 */
#include "godwit_words.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

char godwit_last_words[512];

void godwit_die(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(godwit_last_words, sizeof godwit_last_words, format, arguments);
  va_end(arguments);
  fflush(stdout);
  fprintf(stderr, "%s\n", godwit_last_words);
  abort();
}

/* What assert calls: the sentence of other C libraries. */
__attribute__((noreturn)) void __assert_fail(const char *expression, const char *file, int line, const char *function) {
  godwit_die("%s:%d: %s: Assertion `%s' failed.", file, line, function, expression);
}
