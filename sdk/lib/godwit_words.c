/*
 * The reason of the program's end, in the program's own words. The host reads them when the program has trapped: the bytes at
 * godwit_last_words, up to a zero.
 */
#include "godwit_words.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

char godwit_last_words[512];

void godwit_end(const char *words) {
  strncpy(godwit_last_words, words, sizeof godwit_last_words - 1);
  __builtin_trap();
}

void godwit_abort(const char *words) __attribute__((noreturn)); /* godwit_signal.c */
void godwit_program_abort(void) __attribute__((weak));          /* the program's own, if it has one: the link knows that (sdk/ownnames.go) */

/* The words are the last if no handler of SIGABRT leaves this by a jump. */
static void godwit_say(char words[sizeof godwit_last_words], const char *format, va_list arguments) {
  vsnprintf(words, sizeof godwit_last_words, format, arguments);
  fflush(stdout);
  fprintf(stderr, "%s\n", words);
}

extern int godwit_jumps __attribute__((weak)); /* godwit_try.c */

void godwit_die(const char *format, ...) {
  if (&godwit_jumps && godwit_jumps) {
    fflush(stdout);
    godwit_end("a longjmp out of std::terminate (as a handler of SIGABRT makes it) to a function that an exception has left, or that has called std::terminate by itself: there is no way back into it");
  }
  char words[sizeof godwit_last_words];
  va_list arguments;
  va_start(arguments, format);
  godwit_say(words, format, arguments);
  va_end(arguments);
  if (godwit_program_abort) godwit_program_abort();
  godwit_abort(words);
}

__attribute__((noreturn)) static void godwit_fail(const char *format, ...) {
  char words[sizeof godwit_last_words];
  va_list arguments;
  va_start(arguments, format);
  godwit_say(words, format, arguments);
  va_end(arguments);
  godwit_abort(words);
}

/* What assert calls: the sentence of other C libraries, whose abort is their own. */
__attribute__((noreturn)) void __assert_fail(const char *expression, const char *file, int line, const char *function) {
  godwit_fail("%s:%d: %s: Assertion `%s' failed.", file, line, function, expression);
}
