/* ftw.h: wasi-libc's, and the older function. */
#include_next <ftw.h>
#include <sys/types.h>

#ifndef GODWIT_FTW_H
#define GODWIT_FTW_H

#ifdef __cplusplus
extern "C" {
#endif

int ftw(const char *, int (*)(const char *, const struct stat *, int), int);

#ifdef __cplusplus
}
#endif

#endif /* GODWIT_FTW_H */
