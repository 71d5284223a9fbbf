/* sys/time.h: wasi-libc's, and times of files as BSD sets them. */
#include_next <sys/time.h>

#ifndef GODWIT_SYS_TIME_H
#define GODWIT_SYS_TIME_H

#if defined(_GNU_SOURCE) || defined(_BSD_SOURCE)
#ifdef __cplusplus
extern "C" {
#endif

int futimes(int, const struct timeval[2]);
int lutimes(const char *, const struct timeval[2]);

#ifdef __cplusplus
}
#endif
#endif

#endif /* GODWIT_SYS_TIME_H */
