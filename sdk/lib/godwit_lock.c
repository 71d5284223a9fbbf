/*
 * Locks of files, between the ranks of an app, wherever they are: the host keeps them, with the app's files, and a rank that waits for one can be moved. Locks of records (fcntl, lockf) are
 * a rank's, and all that it has of a file go when it closes it; those of flock, and fcntl's for open files (F_OFD_), are an open file's. Other apps are not kept out: with a
 * volume they share files, but not these locks.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define OWN __attribute__((weak))

enum { lock_of_rank = 1, lock_of_open = 2, lock_whole = 3 }; /* kinds */
enum { lock_test = 1, lock_set = 2, lock_wait = 3, lock_close = 4, lock_apart = 5 }; /* what is asked; of the last two the descriptor stays, and is not the program's */
enum { lock_none = 0, lock_shared = 1, lock_exclusive = 2 }; /* types */
struct host_lock {
  int64_t from, to; /* to is the last byte */
  int32_t kind, type, process;
};

__attribute__((import_module("godwit_v1"), import_name("godwit_lock"))) int godwit_lock(int fd, int what, struct host_lock *lock);

enum { no_file = -1 }; /* in place of a descriptor: the app */

static int locked(int fd, int what, struct host_lock *lock) {
  if (fd < 0) return refused(EBADF);
  int why = godwit_lock(fd, what, lock);
  return why == 0 ? 0 : refused(why);
}

/* take_turn has ranks do something one after the other, until give_turn. */
static int take_turn(void) {
  int why = godwit_lock(no_file, lock_wait, &(struct host_lock){.to = INT64_MAX, .kind = lock_of_rank, .type = lock_exclusive});
  return why == 0 ? 0 : refused(why);
}

static void give_turn(void) { godwit_lock(no_file, lock_set, &(struct host_lock){.to = INT64_MAX, .kind = lock_of_rank, .type = lock_none}); }

/* lock_range is what l_whence, l_start and l_len say. */
static int lock_range(struct host_lock *l, int fd, int whence, off_t start, off_t length) {
  struct stat st;
  off_t base = 0;
  l->to = INT64_MAX;
  if (whence == SEEK_CUR && (base = lseek(fd, 0, SEEK_CUR)) < 0) return -1;
  if (whence == SEEK_END) base = fstat(fd, &st) == 0 ? st.st_size : 0;
  if (whence != SEEK_SET && whence != SEEK_CUR && whence != SEEK_END) return refused(EINVAL);
  if (__builtin_add_overflow(base, start, &l->from) || (length < 0 && __builtin_add_overflow(l->from, length, &base)) || (length > 0 && __builtin_add_overflow(l->from, length - 1, &base)))
    return refused(EOVERFLOW);
  if (length > 0) l->to = base;
  if (length < 0) l->to = l->from - 1, l->from = base;
  return l->from < 0 ? refused(EINVAL) : 0;
}

static int lock_record(int fd, struct flock *l, int what) {
  int asks = what == F_GETLK || what == F_OFD_GETLK, waits = what == F_SETLKW || what == F_OFD_SETLKW;
  int open_file = what == F_OFD_GETLK || what == F_OFD_SETLK || what == F_OFD_SETLKW;
  struct host_lock wish = {.kind = open_file ? lock_of_open : lock_of_rank, .process = getpid()};
  if (l->l_type != F_RDLCK && l->l_type != F_WRLCK && (asks || l->l_type != F_UNLCK)) return refused(EINVAL);
  if (open_file && l->l_pid != 0) return refused(EINVAL);
  if (fcntl(fd, F_GETFL) < 0 || lock_range(&wish, fd, l->l_whence, l->l_start, l->l_len) != 0) return -1;
  wish.type = l->l_type == F_WRLCK ? lock_exclusive : l->l_type == F_RDLCK ? lock_shared : lock_none;
  if (!asks) return locked(fd, waits ? lock_wait : lock_set, &wish);
  if (locked(fd, lock_test, &wish) != 0) return -1;
  if (wish.type == lock_none) return l->l_type = F_UNLCK, 0;
  *l = (struct flock){
      .l_type = wish.type == lock_exclusive ? F_WRLCK : F_RDLCK, .l_whence = SEEK_SET, .l_start = wish.from, .l_len = wish.to == INT64_MAX ? 0 : wish.to - wish.from + 1,
      .l_pid = wish.kind == lock_of_rank ? wish.process : -1};
  return 0;
}

/* truncate is not to close a file of the program's, as its locks would go. */
OWN int truncate(const char *path, off_t length) {
  int fd = open(path, O_WRONLY | O_CLOEXEC);
  if (fd < 0) return -1;
  godwit_lock(fd, lock_apart, NULL);
  int result = ftruncate(fd, length), why = errno;
  close(fd);
  errno = why;
  return result;
}

OWN int flock(int fd, int what) {
  struct host_lock wish = {.to = INT64_MAX, .kind = lock_whole, .process = getpid()};
  int way = what & ~LOCK_NB;
  if (way != LOCK_SH && way != LOCK_EX && way != LOCK_UN) return refused(EINVAL);
  wish.type = way == LOCK_SH ? lock_shared : way == LOCK_EX ? lock_exclusive : lock_none;
  return locked(fd, what & LOCK_NB ? lock_set : lock_wait, &wish);
}

OWN int lockf(int fd, int what, off_t size) {
  struct flock l = {.l_type = what == F_ULOCK ? F_UNLCK : F_WRLCK, .l_whence = SEEK_CUR, .l_len = size};
  switch (what) {
  case F_LOCK: return fcntl(fd, F_SETLKW, &l);
  case F_TLOCK:
  case F_ULOCK: return fcntl(fd, F_SETLK, &l);
  case F_TEST: return fcntl(fd, F_GETLK, &l) != 0 ? -1 : l.l_type == F_UNLCK ? 0 : refused(EAGAIN);
  default: return refused(EINVAL);
  }
}

/* fcntl is wasi-libc's, which knows no locks. */
int __real_fcntl(int fd, int what, ...);
int __wrap_fcntl(int fd, int what, ...) {
  va_list rest;
  int result;
  va_start(rest, what);
  switch (what) {
  case F_GETLK:
  case F_SETLK:
  case F_SETLKW:
  case F_OFD_GETLK:
  case F_OFD_SETLK:
  case F_OFD_SETLKW: result = lock_record(fd, va_arg(rest, struct flock *), what); break;
  case F_GETFD: result = __real_fcntl(fd, what) < 0 ? -1 : 0; break; /* nothing is ever executed: whether a file would be closed then is not kept */
  case F_SETFD:
  case F_SETFL: result = __real_fcntl(fd, what, va_arg(rest, int)); break;
  default: result = __real_fcntl(fd, what);
  }
  va_end(rest);
  return result;
}
