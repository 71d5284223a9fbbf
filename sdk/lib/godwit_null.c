/*
 * A FILE that is NULL, because nobody looked at what fopen has returned. Natively the next use of it ends the program. Here memory begins at 0, so that it goes on: with a trap
 * somewhere inside the C library, or, worse, as if nothing was. So each function that takes a FILE looks (wrapped.txt has the linker call these in their places), and says
 * which file was not opened, and why.
 */
#include "godwit_words.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static char unopened[200]; /* the file that was not opened last; its end, if it is long */
static int unopened_why;

static FILE *opened(FILE *file, const char *path) {
  if (file == NULL && path != NULL) {
    size_t length = strlen(path), from = length < sizeof unopened ? 0 : length - (sizeof unopened - 1);
    unopened_why = errno;
    memcpy(unopened, path + from, length - from + 1);
    errno = unopened_why;
  }
  return file;
}

__attribute__((cold, noinline, noreturn)) static void null_file(const char *function) {
  if (*unopened) godwit_die("%s was called with a FILE that is NULL: an fopen before it failed (%s: %s)", function, unopened, strerror(unopened_why));
  godwit_die("%s was called with a FILE that is NULL", function);
}

/* result NAME(parameters), whose FILE is called file. */
#define LOOKS(result, name, parameters, arguments) \
  result __real_##name parameters;                 \
  result __wrap_##name parameters {                \
    if (file == NULL) null_file(#name);            \
    return __real_##name arguments;                \
  }

FILE *__real_fopen(const char *path, const char *mode);
FILE *__wrap_fopen(const char *path, const char *mode) { return opened(__real_fopen(path, mode), path); }

LOOKS(int, fclose, (FILE * file), (file))
LOOKS(size_t, fread, (void *to, size_t size, size_t count, FILE *file), (to, size, count, file))
LOOKS(size_t, fwrite, (const void *from, size_t size, size_t count, FILE *file), (from, size, count, file))
LOOKS(char *, fgets, (char *to, int size, FILE *file), (to, size, file))
LOOKS(int, fputs, (const char *text, FILE *file), (text, file))
LOOKS(int, fgetc, (FILE * file), (file))
LOOKS(int, getc, (FILE * file), (file))
LOOKS(int, fputc, (int c, FILE *file), (c, file))
LOOKS(int, putc, (int c, FILE *file), (c, file))
LOOKS(int, ungetc, (int c, FILE *file), (c, file))
LOOKS(ssize_t, getline, (char **line, size_t *size, FILE *file), (line, size, file))
LOOKS(ssize_t, getdelim, (char **line, size_t *size, int end, FILE *file), (line, size, end, file))
LOOKS(int, fseek, (FILE * file, long to, int from), (file, to, from))
LOOKS(int, fseeko, (FILE * file, off_t to, int from), (file, to, from))
LOOKS(long, ftell, (FILE * file), (file))
LOOKS(off_t, ftello, (FILE * file), (file))
LOOKS(int, fgetpos, (FILE * file, fpos_t *to), (file, to))
LOOKS(int, fsetpos, (FILE * file, const fpos_t *to), (file, to))
LOOKS(int, feof, (FILE * file), (file))
LOOKS(int, ferror, (FILE * file), (file))
LOOKS(int, fileno, (FILE * file), (file))
LOOKS(int, setvbuf, (FILE * file, char *buffer, int mode, size_t size), (file, buffer, mode, size))
LOOKS(int, vfprintf, (FILE * file, const char *format, va_list list), (file, format, list))
LOOKS(int, vfscanf, (FILE * file, const char *format, va_list list), (file, format, list))

#define LOOKS_VOID(name, parameters, arguments) \
  void __real_##name parameters;                \
  void __wrap_##name parameters {               \
    if (file == NULL) null_file(#name);         \
    __real_##name arguments;                    \
  }

LOOKS_VOID(rewind, (FILE * file), (file))
LOOKS_VOID(clearerr, (FILE * file), (file))
LOOKS_VOID(setbuf, (FILE * file, char *buffer), (file, buffer))

int __wrap_fprintf(FILE *file, const char *format, ...) {
  if (file == NULL) null_file("fprintf");
  va_list list;
  va_start(list, format);
  int result = __real_vfprintf(file, format, list);
  va_end(list);
  return result;
}

int __wrap_fscanf(FILE *file, const char *format, ...) {
  if (file == NULL) null_file("fscanf");
  va_list list;
  va_start(list, format);
  int result = __real_vfscanf(file, format, list);
  va_end(list);
  return result;
}
