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
#include <wchar.h>

static char unopened[200]; /* the file that was not opened last; its end, if it is long */
static int unopened_why;

static const char *unopened_by; /* by which function */

static FILE *opened(FILE *file, const char *by, const char *path) {
  if (file == NULL && path != NULL) {
    unopened_by = by;
    size_t length = strlen(path), from = length < sizeof unopened ? 0 : length - (sizeof unopened - 1);
    unopened_why = errno;
    memcpy(unopened, path + from, length - from + 1);
    errno = unopened_why;
  }
  return file;
}

__attribute__((cold, noinline, noreturn)) static void null_file(const char *function) {
  if (*unopened) godwit_die("%s was called with a FILE that is NULL: %s before it failed (%s: %s)", function, unopened_by, unopened, strerror(unopened_why));
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
FILE *__wrap_fopen(const char *path, const char *mode) { return opened(__real_fopen(path, mode), "an fopen", path); }
FILE *__real_fdopen(int fd, const char *mode);
FILE *__wrap_fdopen(int fd, const char *mode) { return opened(__real_fdopen(fd, mode), "an fdopen", mode); }
FILE *__real_tmpfile(void);
FILE *__wrap_tmpfile(void) { return opened(__real_tmpfile(), "a tmpfile", P_tmpdir); }
FILE *__real_freopen(const char *path, const char *mode, FILE *file);
FILE *__wrap_freopen(const char *path, const char *mode, FILE *file) {
  if (file == NULL) null_file("freopen");
  return opened(__real_freopen(path, mode, file), "a freopen", path ? path : mode);
}

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
LOOKS(int, getc_unlocked, (FILE * file), (file))
LOOKS(int, fgetc_unlocked, (FILE * file), (file))
LOOKS(int, putc_unlocked, (int c, FILE *file), (c, file))
LOOKS(int, fputc_unlocked, (int c, FILE *file), (c, file))
LOOKS(size_t, fread_unlocked, (void *to, size_t size, size_t count, FILE *file), (to, size, count, file))
LOOKS(size_t, fwrite_unlocked, (const void *from, size_t size, size_t count, FILE *file), (from, size, count, file))
LOOKS(char *, fgets_unlocked, (char *to, int size, FILE *file), (to, size, file))
LOOKS(int, fputs_unlocked, (const char *text, FILE *file), (text, file))
LOOKS(int, feof_unlocked, (FILE * file), (file))
LOOKS(int, ferror_unlocked, (FILE * file), (file))
LOOKS(wint_t, fgetwc, (FILE * file), (file))
LOOKS(wint_t, getwc, (FILE * file), (file))
LOOKS(wint_t, fputwc, (wchar_t c, FILE *file), (c, file))
LOOKS(wint_t, putwc, (wchar_t c, FILE *file), (c, file))
LOOKS(wint_t, ungetwc, (wint_t c, FILE *file), (c, file))
LOOKS(wchar_t *, fgetws, (wchar_t * to, int size, FILE *file), (to, size, file))
LOOKS(int, fputws, (const wchar_t *text, FILE *file), (text, file))
LOOKS(int, fwide, (FILE * file, int mode), (file, mode))
int __wrap_vfprintf(FILE *file, const char *format, va_list list); /* godwit_format.c */
LOOKS(int, vfwprintf, (FILE * file, const wchar_t *format, va_list list), (file, format, list))
LOOKS(int, vfwscanf, (FILE * file, const wchar_t *format, va_list list), (file, format, list))
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

/* NAME(file, format, ...), which is vNAME with a list. */
#define LOOKS_LIST(name, character)                              \
  int __wrap_##name(FILE *file, const character *format, ...) {  \
    if (file == NULL) null_file(#name);                          \
    va_list list;                                                \
    va_start(list, format);                                      \
    int result = __wrap_v##name(file, format, list);             \
    va_end(list);                                                \
    return result;                                               \
  }

LOOKS_LIST(fprintf, char)
LOOKS_LIST(fscanf, char)
LOOKS_LIST(fwprintf, wchar_t)
LOOKS_LIST(fwscanf, wchar_t)
