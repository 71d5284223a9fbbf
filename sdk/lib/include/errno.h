/* errno.h: wasi-libc's, with errno as the macro that Linux has: a program that says `extern int errno` besides, as old ones do, declares the function once more. */
#ifndef GODWIT_ERRNO_H
#define GODWIT_ERRNO_H

#include_next <errno.h>

#ifdef __cplusplus
extern "C" {
#endif

__attribute__((const)) int *__errno_location(void);

#ifdef __cplusplus
}
#endif

#undef errno
#define errno (*__errno_location())

#endif /* GODWIT_ERRNO_H */
