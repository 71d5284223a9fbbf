/* stdio.h: wasi-libc's, and what it leaves out. There are no other programs to be run: popen fails with ENOSYS. */
#define __deprecated__(why) /* wasi-libc's word for what it has not, and this has */
#include_next <stdio.h>
#undef __deprecated__

#ifndef GODWIT_STDIO_H
#define GODWIT_STDIO_H

#ifdef __cplusplus
extern "C" {
#endif

#ifndef L_tmpnam
#define L_tmpnam 20
#define TMP_MAX 10000
#define P_tmpdir "/tmp"
#endif

FILE *tmpfile(void);
char *tmpnam(char *);

#if defined(_POSIX_SOURCE) || defined(_POSIX_C_SOURCE) || defined(_XOPEN_SOURCE) || defined(_GNU_SOURCE) || defined(_BSD_SOURCE)
FILE *popen(const char *, const char *);
int pclose(FILE *);
void flockfile(FILE *);
int ftrylockfile(FILE *);
void funlockfile(FILE *);
#endif

#ifdef _GNU_SOURCE
int fcloseall(void);
#endif

#if (defined(_LARGEFILE64_SOURCE) || defined(_GNU_SOURCE)) && !defined(tmpfile64)
#define tmpfile64 tmpfile
#endif

#if defined(_XOPEN_SOURCE) || defined(_GNU_SOURCE) || defined(_BSD_SOURCE)
char *tempnam(const char *, const char *);
#endif

#ifdef __cplusplus
}
#endif

#endif /* GODWIT_STDIO_H */
