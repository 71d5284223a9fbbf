/* stdlib.h: wasi-libc's, and what it leaves out. */
#include_next <stdlib.h>
#if defined(_GNU_SOURCE) || defined(_BSD_SOURCE)
#include <sys/types.h>
#endif

#ifndef GODWIT_STDLIB_H
#define GODWIT_STDLIB_H

#ifdef __cplusplus
extern "C" {
#endif

#if defined(_POSIX_SOURCE) || defined(_POSIX_C_SOURCE) || defined(_XOPEN_SOURCE) || defined(_GNU_SOURCE) || defined(_BSD_SOURCE)
int mkstemp(char *);
int mkostemp(char *, int);
char *mkdtemp(char *);
#endif

#if defined(_XOPEN_SOURCE) || defined(_GNU_SOURCE) || defined(_BSD_SOURCE)
char *realpath(const char *__restrict, char *__restrict);
#endif

#if defined(_GNU_SOURCE) || defined(_BSD_SOURCE)
int mkstemps(char *, int);
int mkostemps(char *, int, int);
char *mktemp(char *);
int getloadavg(double *, int);
#endif

#ifdef _GNU_SOURCE
void qsort_r(void *, size_t, size_t, int (*)(const void *, const void *, void *), void *);
char *secure_getenv(const char *);
#endif

#ifdef __cplusplus
}
#endif

#endif /* GODWIT_STDLIB_H */
