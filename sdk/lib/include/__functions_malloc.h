/* What stdlib.h and malloc.h declare of memory: wasi-libc's, which throw nothing in C++, so that a program's own may be declared as elsewhere, with noexcept and throw() and without. */
#ifndef __wasilibc___functions_malloc_h
#define __wasilibc___functions_malloc_h

#define __need_size_t
#define __need_wchar_t
#define __need_NULL
#include <stddef.h>

#ifndef __cplusplus
#define __GODWIT_NOTHROW
#elif __cplusplus >= 201103L
#define __GODWIT_NOTHROW noexcept
#else
#define __GODWIT_NOTHROW throw()
#endif

#ifdef __cplusplus
extern "C" {
#endif

void *malloc(size_t) __GODWIT_NOTHROW __attribute__((__malloc__, __warn_unused_result__));
void free(void *) __GODWIT_NOTHROW;
void *calloc(size_t, size_t) __GODWIT_NOTHROW __attribute__((__malloc__, __warn_unused_result__));
void *realloc(void *, size_t) __GODWIT_NOTHROW __attribute__((__warn_unused_result__));
void *aligned_alloc(size_t, size_t) __GODWIT_NOTHROW;
int posix_memalign(void **, size_t, size_t) __GODWIT_NOTHROW;

#if defined(_GNU_SOURCE) || defined(_BSD_SOURCE)
void *reallocarray(void *, size_t, size_t) __GODWIT_NOTHROW __attribute__((__warn_unused_result__));
#endif

#ifdef __cplusplus
}
#endif

#endif
