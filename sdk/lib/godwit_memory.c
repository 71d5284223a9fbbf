/*
 * What the host needs of a guest beyond its memory: room in its heap, for MPI_Alloc_mem, windows and the operands of
 * the program's reductions.
 *
 * It also takes the first place of the function table, which no callback of the program may have: the
 * standard gives MPI_COMM_DUP_FN and its kin the value 1. Hence this file is linked first.
 */
#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

static void reserved(void) {}

/* Function pointers are numbered in the order in which the linker meets them, from 1 on. */
__attribute__((used)) void (*const godwit_reserved)(void) = reserved;

#ifndef GODWIT_OWN_MALLOC
__attribute__((export_name("godwit_alloc"))) void *godwit_alloc(uint32_t size, uint32_t align) {
  /* aligned_alloc wants a size that is a multiple of the alignment. */
  if (align <= _Alignof(max_align_t)) return malloc(size);
  if (size > UINT32_MAX - align) return NULL;
  return aligned_alloc(align, (size + align - 1) / align * align);
}

__attribute__((export_name("godwit_free"))) void godwit_free(void *memory) { free(memory); }

/* What malloc grows by, in whole pages. wasi-libc's calls abort for other sizes, so that malloc would be of what can reach a handler of the program's, and instrumented. */
__attribute__((weak)) void *sbrk(intptr_t more) {
  enum { page = 65536 };
  size_t had = more < 0 ? SIZE_MAX : __builtin_wasm_memory_grow(0, ((size_t)more + page - 1) / page);
  if (had != SIZE_MAX) return (void *)(had * page);
  errno = ENOMEM;
  return (void *)-1;
}

/*
 * The library's malloc grows by less than 2 GiB at a time, and so has no larger block, if that is not there already. Two that lie side by side are one when they are free again:
 * so godwit_room makes room for one, and the functions below ask once more.
 */
void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *old, size_t size);
void *__real_aligned_alloc(size_t align, size_t size);
int __real_posix_memalign(void **memory, size_t align, size_t size);
size_t malloc_usable_size(void *memory);

enum { godwit_growth = 0x7fe00000 }; /* malloc grows by this and more */

/* had is errno as it was. */
static int godwit_room(size_t size, int had) {
  if (size < godwit_growth) return 0;
  void *first = __real_malloc(size / 2), *second = first ? __real_malloc(size - size / 2) : NULL;
  free(second), free(first);
  if (second) errno = had;
  return second != NULL;
}

void *__wrap_malloc(size_t size) {
  int had = errno;
  void *memory = __real_malloc(size);
  return memory || !godwit_room(size, had) ? memory : __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size) {
  size_t bytes;
  int had = errno;
  void *memory = __real_calloc(n, size);
  return memory || __builtin_mul_overflow(n, size, &bytes) || !godwit_room(bytes, had) ? memory : __real_calloc(n, size);
}

void *__wrap_realloc(void *old, size_t size) {
  int had = errno;
  void *memory = __real_realloc(old, size);
  if (memory || size < godwit_growth) return memory;
  size_t there = old ? malloc_usable_size(old) : 0;
  if (there > 0 && size > there) { /* the last block grows where it is, if what it lacks is there */
    free(__wrap_malloc(size - there));
    if ((memory = __real_realloc(old, size)) != NULL) {
      errno = had;
      return memory;
    }
  }
  return godwit_room(size, had) ? __real_realloc(old, size) : NULL;
}

void *__wrap_aligned_alloc(size_t align, size_t size) {
  size_t bytes;
  int had = errno;
  void *memory = __real_aligned_alloc(align, size);
  return memory || __builtin_add_overflow(align, size, &bytes) || !godwit_room(bytes, had) ? memory : __real_aligned_alloc(align, size);
}

int __wrap_posix_memalign(void **memory, size_t align, size_t size) {
  size_t bytes;
  int had = errno, why = __real_posix_memalign(memory, align, size);
  return why != ENOMEM || __builtin_add_overflow(align, size, &bytes) || !godwit_room(bytes, had) ? why : __real_posix_memalign(memory, align, size);
}
#else
/* Of the program's own functions these take malloc and free alone: what malloc has given stands before what is given here. */
__attribute__((export_name("godwit_alloc"))) void *godwit_alloc(uint32_t size, uint32_t align) {
  if (align < _Alignof(max_align_t)) align = _Alignof(max_align_t);
  if (size > UINT32_MAX - align - sizeof(void *)) return NULL;
  char *all = malloc(size + align + sizeof(void *));
  if (all == NULL) return NULL;
  void **at = (void **)(((uintptr_t)all + sizeof(void *) + align - 1) / align * align);
  at[-1] = all;
  return at;
}

__attribute__((export_name("godwit_free"))) void godwit_free(void *memory) {
  if (memory != NULL) free(((void **)memory)[-1]);
}

/*
 * A program that has no functions for aligned memory of its own gets it from its malloc, as far as that aligns: whoever asks for it, as the C++ library for what is
 * thrown, gives it to the program's free. Beyond that there is none.
 */
__attribute__((weak)) int posix_memalign(void **memory, size_t align, size_t size) {
  if (align < sizeof(void *) || (align & (align - 1)) != 0) return EINVAL;
  if (align > _Alignof(max_align_t)) return ENOMEM;
  void *at = malloc(size);
  if (at == NULL) return ENOMEM;
  *memory = at;
  return 0;
}

__attribute__((weak)) void *aligned_alloc(size_t align, size_t size) {
  void *memory = NULL;
  int why = posix_memalign(&memory, align < sizeof(void *) ? sizeof(void *) : align, size);
  if (why != 0) errno = why;
  return memory;
}

/* Who has malloc and free alone is asked by calloc and realloc, too: the library's own would give what the program's free does not know. How much there was nobody knows: what is copied beyond it means nothing. */
__attribute__((weak)) void *calloc(size_t n, size_t size) {
  size_t bytes;
  if (__builtin_mul_overflow(n, size, &bytes)) {
    errno = ENOMEM;
    return NULL;
  }
  volatile char *at = malloc(bytes); /* volatile: or the compiler would call calloc */
  for (size_t i = 0; at && i < bytes; i++) at[i] = 0;
  return (void *)at;
}

__attribute__((weak)) void *realloc(void *old, size_t size) {
  if (old == NULL) return malloc(size);
  char *at = malloc(size);
  if (at == NULL) return NULL;
  size_t there = __builtin_wasm_memory_size(0) * 65536 - (uintptr_t)old;
  __builtin_memcpy(at, old, size < there ? size : there);
  free(old);
  return at;
}

/* Such a malloc may have its memory by sbrk: of any size, as elsewhere. Memory that others have taken in between ends it. */
__attribute__((weak)) void *sbrk(intptr_t more) {
  enum { page = 65536, ahead = 16 };
  static uintptr_t first, at, end;
  if (end == 0) first = at = end = __builtin_wasm_memory_size(0) * page;
  if (more < 0 ? (uintptr_t)-more > at - first : (uintptr_t)more > UINT32_MAX - at) {
    errno = ENOMEM;
    return (void *)-1;
  }
  if (more > 0 && (uintptr_t)more > end - at) {
    uintptr_t pages = ((uintptr_t)more - (end - at) + page - 1) / page;
    uintptr_t taken = pages < ahead ? ahead : pages;
    size_t had = __builtin_wasm_memory_grow(0, taken);
    if (had == SIZE_MAX && taken > pages) had = __builtin_wasm_memory_grow(0, taken = pages);
    if (had == SIZE_MAX || had * page != end) {
      errno = ENOMEM;
      return (void *)-1;
    }
    end += taken * page;
  }
  void *was = (void *)at;
  at += (uintptr_t)more;
  return was;
}
#endif

/* Old names, and GNU's. */
__attribute__((weak)) void *memalign(size_t align, size_t size) { return aligned_alloc(align, size); }
__attribute__((weak)) void *valloc(size_t size) { return aligned_alloc(65536, size); }
__attribute__((weak)) int mallopt(int what, int value) { return (void)what, (void)value, 0; }
