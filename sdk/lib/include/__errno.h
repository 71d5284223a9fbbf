/* What wasi-libc's errno.h has of errno: its own says thread_local, which C++ has since 2011 only. */
#ifndef __wasilibc___errno_h
#define __wasilibc___errno_h

#ifdef __cplusplus
extern "C" {
#endif

extern __thread int errno;
#define errno errno

#ifdef __cplusplus
}
#endif

#endif
