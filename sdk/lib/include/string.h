/* string.h: wasi-libc's, and what GNU's has for C++, whose compilers have _GNU_SOURCE always. */
#include_next <string.h>

#if defined(__cplusplus) && !defined(GODWIT_STRING_H)
#define GODWIT_STRING_H
extern "C++" const char *basename(const char *) __asm__("basename"); /* beside that of libgen.h */
#endif
