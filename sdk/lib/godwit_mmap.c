/*
 * Files in memory. A guest has one memory without pages, so a mapping is a copy: of what the file has at the mmap. What a program stores in a shared one goes to the file by
 * msync, by munmap, and when the program ends; only the bytes that it has changed, for other ranks may have others of the same file. What they write is seen after an
 * msync with MS_INVALIDATE. A mapping outlives the close of its file.
 */
#include "godwit_words.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <wasi/api.h>

#define OWN __attribute__((weak))

enum { page = 65536, linux_page = 4096, near = 512, first_kept = 512, last_kept = 1023 };

struct mapping {
  struct mapping *next;
  char *at, *was; /* its bytes, and what of them the file has: NULL unless they are to be written */
  size_t length;
  int fd, kept; /* fd < 0: no file; kept: the program has closed it */
  int kind;     /* MAP_SHARED or MAP_PRIVATE */
  off_t offset;
};

static struct mapping *mappings;

static size_t whole_pages(size_t length) { return (length + page - 1) / page * page; }

/*
 * Where mappings have their memory from. A program with its own malloc may have made it of mmap, so then it is whole pages of the guest's memory, which nobody else has had;
 * those that are given back are given again.
 */
#ifndef GODWIT_OWN_MALLOC
static void *take_pages(size_t bytes) { return godwit_alloc(bytes, page); }
static void give_pages(void *at, size_t bytes) { (void)bytes, godwit_free(at); }
static void *take(size_t bytes) { return malloc(bytes); }
static void give(void *at, size_t bytes) { (void)bytes, free(at); }
#else
struct span {
  struct span *next;
  size_t bytes;
};

static struct span *spans;

static void *take_pages(size_t bytes) {
  for (struct span **s = &spans; *s; s = &(*s)->next) {
    struct span *found = *s;
    if (found->bytes < bytes) continue;
    *s = found->next;
    if (found->bytes > bytes) {
      struct span *rest = (struct span *)((char *)found + bytes);
      *rest = (struct span){*s, found->bytes - bytes};
      *s = rest;
    }
    return found;
  }
  size_t had = __builtin_wasm_memory_grow(0, bytes / page);
  return had == SIZE_MAX ? NULL : (void *)(had * page);
}

static void give_pages(void *at, size_t bytes) {
  if (at == NULL) return;
  *(struct span *)at = (struct span){spans, bytes};
  spans = at;
}

static void *take(size_t bytes) { return take_pages(whole_pages(bytes)); }
static void give(void *at, size_t bytes) { give_pages(at, whole_pages(bytes)); }
#endif

static int unmappable(int why) {
  errno = why;
  return -1;
}

/* read_file brings the bytes from `from` on of what the file has. Beyond its end are zeros. */
static int read_file(int fd, char *to, size_t length, off_t from) {
  while (length > 0) {
    ssize_t n = pread(fd, to, length, from);
    if (n < 0) return -1;
    if (n == 0) break;
    to += n, length -= (size_t)n, from += n;
  }
  memset(to, 0, length);
  return 0;
}

static int write_file(int fd, const char *bytes, size_t length, off_t to) {
  while (length > 0) {
    ssize_t n = pwrite(fd, bytes, length, to);
    if (n < 0) return -1;
    bytes += n, length -= (size_t)n, to += n;
  }
  return 0;
}

/* run_from is the first changed byte from `from` on, `to` if there is none; *end is where its run ends: at `near` bytes that have not changed, or when it is a page long. */
static size_t run_from(const struct mapping *m, size_t from, size_t to, size_t *end, int *holes) {
  size_t seen = 0;
  while (from < to && m->at[from] == m->was[from]) from++;
  *end = from, *holes = 0;
  for (size_t i = from; i < to && i - from < page && i - *end < near; i++) {
    if (m->at[i] == m->was[i]) continue;
    seen++;
    *end = i + 1;
  }
  *holes = seen < *end - from;
  return from;
}

/* write_run gives the file the bytes from..end of a mapping that have changed, and what it has itself for the others. */
static int write_run(struct mapping *m, size_t from, size_t end, int holes) {
  static char merged[page];
  size_t length = end - from;
  off_t at = m->offset + (off_t)from;
  if (!holes) memcpy(merged, m->at + from, length);
  else if (read_file(m->fd, merged, length, at) != 0) return -1;
  for (size_t i = 0; holes && i < length; i++) {
    if (m->at[from + i] != m->was[from + i]) merged[i] = m->at[from + i];
  }
  if (write_file(m->fd, merged, length, at) != 0) return -1;
  memcpy(m->was + from, m->at + from, length);
  return 0;
}

/* write_back gives the file the bytes from..to of a mapping that have changed, but none beyond the file's end. Ranks do that one at a time, for what lies between their changes is
 * read and written again. */
static int write_back(struct mapping *m, size_t from, size_t to) {
  struct stat st;
  size_t end;
  int holes, result = 0;
  if (m->was == NULL || memcmp(m->at + from, m->was + from, to - from) == 0) return 0;
  if (take_turn() != 0) return -1;
  if (fstat(m->fd, &st) != 0) result = -1, to = from;
  else if (st.st_size <= m->offset + (off_t)from) to = from;
  else if (st.st_size < m->offset + (off_t)to) to = (size_t)(st.st_size - m->offset);
  while (result == 0 && (from = run_from(m, from, to, &end, &holes)) < to) {
    result = write_run(m, from, end, holes);
    from = end;
  }
  int why = errno;
  give_turn();
  errno = why;
  return result;
}

/* At the program's end nobody is left who could hear of an error. */
static void write_all_back(void) {
  for (struct mapping *m = mappings; m; m = m->next) {
    if (write_back(m, 0, m->length) != 0) {
      mappings = NULL;
      godwit_die("what was stored in a file by mmap could not be written at the program's end: %s", strerror(errno));
    }
  }
}

/* renumber is wasi-libc's, whose own is not linked where only --wrap's name for it is used. */
static int renumber(int from, int to) {
  __wasi_errno_t why = __wasi_fd_renumber(from, to);
  return why == 0 ? 0 : unmappable(why);
}

/* users counts the mappings of a descriptor: of one that is kept, or of one that is not. */
static int users(int fd, int kept) {
  int n = 0;
  for (struct mapping *m = mappings; m; m = m->next) n += m->fd == fd && m->kept == kept;
  return n;
}

/* keep has a descriptor that the program closes stay open under a number of its own, if something is mapped from it: 1 if it does. */
static int keep(int fd) {
  int to = first_kept, before = errno;
  if (users(fd, 1) > 0) return unmappable(EBADF); /* it is closed to the program */
  if (users(fd, 0) == 0) return 0;
  while (to <= last_kept && fcntl(to, F_GETFL) >= 0) to++;
  if (to > last_kept) return unmappable(EMFILE);
  errno = before;
  if (renumber(fd, to) != 0) return -1;
  godwit_lock(to, lock_close, NULL);
  for (struct mapping *m = mappings; m; m = m->next) {
    if (m->fd == fd) m->fd = to, m->kept = 1;
  }
  return 1;
}

/* Set by the first mmap: a program that maps nothing has none of this. They are not static: the compiler would see what they may be, and call it by name. */
int (*godwit_before_close)(int);
void (*godwit_before_end)(void);

int __real_close(int fd);
int __wrap_close(int fd) {
  int had = godwit_before_close ? godwit_before_close(fd) : 0;
  return had < 0 ? -1 : had > 0 ? 0 : __real_close(fd);
}

int __wrap___wasilibc_fd_renumber(int from, int to) {
  if (from != to && godwit_before_close && godwit_before_close(to) < 0) return -1;
  return renumber(from, to);
}

void godwit_write_back(void) {
  if (godwit_before_end) godwit_before_end();
}

__attribute__((noreturn)) void __real__Exit(int code);
__attribute__((noreturn)) void __wrap__Exit(int code) {
  godwit_write_back();
  __real__Exit(code);
}
__attribute__((noreturn)) void __wrap__exit(int code) { __wrap__Exit(code); }

/* mappable says why a file cannot be mapped so, 0 if it can. */
static int mappable(int fd, int prot, int kind, off_t offset) {
  struct stat st;
  if (users(fd, 1) > 0) return EBADF;
  if (fstat(fd, &st) != 0) return errno;
  if (offset < 0 || offset % linux_page != 0) return EINVAL;
  if (!S_ISREG(st.st_mode) && !S_ISCHR(st.st_mode)) return ENODEV;
  int mode = fcntl(fd, F_GETFL) & O_ACCMODE;
  if (mode == O_WRONLY || (kind == MAP_SHARED && prot & PROT_WRITE && mode != O_RDWR)) return EACCES;
  return 0;
}

static void forget(struct mapping *m) {
  if (m == NULL) return;
  give_pages(m->at, whole_pages(m->length));
  give(m->was, m->length);
  give(m, sizeof *m);
}

static struct mapping *mapping_of(size_t length, int prot, int kind, int fd, off_t offset) {
  struct mapping *m = take(sizeof *m);
  if (m == NULL) return NULL;
  *m = (struct mapping){.length = length, .fd = fd, .kind = kind, .offset = offset};
  m->at = take_pages(whole_pages(length));
  if (m->at && fd >= 0 && kind == MAP_SHARED && prot & PROT_WRITE) m->was = take(length);
  if (m->at == NULL || (fd >= 0 && kind == MAP_SHARED && prot & PROT_WRITE && m->was == NULL)) {
    errno = ENOMEM;
    return forget(m), NULL;
  }
  size_t read = fd < 0 ? 0 : length;
  if (read_file(fd, m->at, read, offset) != 0) return forget(m), NULL;
  memset(m->at + read, 0, whole_pages(length) - read);
  if (m->was) memcpy(m->was, m->at, length);
  return m;
}

OWN void *mmap(void *address, size_t length, int prot, int flags, int fd, off_t offset) {
  int kind = flags & MAP_TYPE, why = 0;
  (void)address;
  if (length == 0 || (kind != MAP_PRIVATE && kind != MAP_SHARED) || flags & (MAP_FIXED | MAP_FIXED_NOREPLACE | MAP_SYNC)) why = EINVAL;
  else if (prot == PROT_NONE || prot & ~(PROT_READ | PROT_WRITE)) why = ENOTSUP;
  else if (length > SIZE_MAX - page) why = ENOMEM;
  else if (flags & MAP_ANON) fd = -1;
  else why = mappable(fd, prot, kind, offset);
  if (why) {
    errno = why;
    return MAP_FAILED;
  }
  struct mapping *m = mapping_of(length, prot, kind, fd, offset);
  if (m == NULL) return MAP_FAILED;
  godwit_before_close = keep, godwit_before_end = write_all_back;
  m->next = mappings;
  mappings = m;
  return m->at;
}

OWN int munmap(void *address, size_t length) {
  struct mapping **at = &mappings;
  while (*at && (*at)->at != address) at = &(*at)->next;
  struct mapping *m = *at;
  if (m == NULL || length == 0 || length > SIZE_MAX - page || whole_pages(length) != whole_pages(m->length)) return unmappable(EINVAL); /* all of one, or nothing */
  if (write_back(m, 0, m->length) != 0) return -1;
  *at = m->next;
  if (m->kept && users(m->fd, 1) == 0) __real_close(m->fd);
  forget(m);
  return 0;
}

/* What is done with the bytes from..to of a mapping. */
typedef int treatment(struct mapping *m, size_t from, size_t to, int how);

/* ranged treats all mappings of a range; ENOMEM if there is anything in it that is not mapped. */
static int ranged(void *address, size_t length, treatment *treat, int how) {
  uintptr_t from = (uintptr_t)address, covered = 0;
  if (from % linux_page != 0) return unmappable(EINVAL);
  if (length > SIZE_MAX - page || from + length < from) return unmappable(ENOMEM);
  for (struct mapping *m = mappings; m; m = m->next) {
    uintptr_t start = (uintptr_t)m->at, end = start + whole_pages(m->length), low = from > start ? from : start, high = from + length < end ? from + length : end;
    if (low >= high) continue;
    covered += high - low;
    size_t first = low - start, last = high - start < m->length ? high - start : m->length;
    if (first < last && treat(m, first, last, how) != 0) return -1;
  }
  return covered >= length ? 0 : unmappable(ENOMEM);
}

static int synchronize(struct mapping *m, size_t from, size_t to, int how) {
  if (write_back(m, from, to) != 0) return -1;
  if (how & MS_SYNC && m->was && fdatasync(m->fd) != 0) return -1;
  if (!(how & MS_INVALIDATE) || m->fd < 0 || m->kind != MAP_SHARED) return 0;
  if (read_file(m->fd, m->at + from, to - from, m->offset + (off_t)from) != 0) return -1;
  if (m->was) memcpy(m->was + from, m->at + from, to - from);
  return 0;
}

OWN int msync(void *address, size_t length, int flags) {
  if (flags & ~(MS_ASYNC | MS_INVALIDATE | MS_SYNC) || (flags & MS_ASYNC && flags & MS_SYNC)) return unmappable(EINVAL);
  return ranged(address, length, synchronize, flags);
}

/* drop makes a private mapping's bytes what they were at first. */
static int drop(struct mapping *m, size_t from, size_t to, int how) {
  (void)how;
  if (m->fd >= 0 && m->kind == MAP_PRIVATE) return read_file(m->fd, m->at + from, to - from, m->offset + (off_t)from);
  if (m->fd < 0) memset(m->at + from, 0, to - from);
  return 0;
}

OWN int madvise(void *address, size_t length, int advice) {
  switch (advice) {
  case MADV_DONTNEED: return ranged(address, length, drop, 0);
  case MADV_REMOVE:
  case MADV_WIPEONFORK: return unmappable(EINVAL);
  default: return advice < 0 ? unmappable(EINVAL) : 0; /* a hint */
  }
}

OWN int posix_madvise(void *address, size_t length, int advice) {
  (void)length;
  return (uintptr_t)address % linux_page != 0 || advice < POSIX_MADV_NORMAL || advice > POSIX_MADV_DONTNEED ? EINVAL : 0;
}
