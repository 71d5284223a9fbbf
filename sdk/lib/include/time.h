/* time.h: wasi-libc's, and the time zone, which TZ names in POSIX's form: without it a rank's is UTC on every host. */
#include_next <time.h>

#ifndef GODWIT_TIME_H
#define GODWIT_TIME_H

#ifdef __cplusplus
extern "C" {
#endif

#if defined(_POSIX_SOURCE) || defined(_POSIX_C_SOURCE) || defined(_XOPEN_SOURCE) || defined(_GNU_SOURCE) || defined(_BSD_SOURCE)
void tzset(void);
extern char *tzname[2];
#endif

#if defined(_XOPEN_SOURCE) || defined(_BSD_SOURCE) || defined(_GNU_SOURCE)
extern int daylight;
extern long timezone;
#endif

#if defined(_GNU_SOURCE) || defined(_BSD_SOURCE)
time_t timelocal(struct tm *);
#endif

#ifdef __cplusplus
}
#endif

#endif /* GODWIT_TIME_H */
