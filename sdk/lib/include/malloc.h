/* malloc.h: wasi-libc's, and what it leaves out. There is nothing to set of malloc: mallopt says so. */
#include_next <malloc.h>
#include <stdio.h>

#ifndef GODWIT_MALLOC_H
#define GODWIT_MALLOC_H

#define M_MXFAST 1
#define M_TRIM_THRESHOLD (-1)
#define M_TOP_PAD (-2)
#define M_MMAP_THRESHOLD (-3)
#define M_MMAP_MAX (-4)
#define M_CHECK_ACTION (-5)
#define M_PERTURB (-6)
#define M_ARENA_TEST (-7)
#define M_ARENA_MAX (-8)

#ifdef __cplusplus
extern "C" {
#endif

void *memalign(size_t, size_t) __GODWIT_NOTHROW;
void *valloc(size_t) __GODWIT_NOTHROW;
int mallopt(int, int);

#ifdef __cplusplus
}
#endif

#endif /* GODWIT_MALLOC_H */
