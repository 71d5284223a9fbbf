/*
 * Locks of files, between the ranks of an app: what they hold is listed in a file of the app's directory for the moment, which all of them see, wherever they are. Locks of records
 * (fcntl, lockf) are a rank's, and all that it has of a file go when it closes it; those of flock, and fcntl's for open files (F_OFD_), are a descriptor's. Other apps are not
 * kept out: with a volume they share files, but not this list.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#define OWN __attribute__((weak))

enum { most_locks = 4096, first_lock_wait = 200, last_lock_wait = 20000, turn_wait = 1000 /* us */, turn_tries = 600000 };
enum { record_lock = 1, file_lock = 2, record_wish = 3 }; /* they do not meet; a wish is what a rank waits for */

struct held {
  uint64_t owner, file;
  int64_t from, to; /* to is the last byte */
  int32_t fd;       /* -1: the rank's */
  int32_t pid;
  int16_t kind, type;
  int32_t dev;
};

static const char lock_list[] = "/tmp/.godwit-locks", lock_next[] = "/tmp/.godwit-locks-next", lock_turn[] = "/tmp/.godwit-locking";

static struct held *locks; /* most_locks */
static int lock_count, locks_own; /* of all in the list, when it was seen last; 0: none is this rank's */

int __real_close(int fd);

static uint64_t lock_owner(void) {
  static uint64_t chosen;
  while (chosen == 0) {
    if (getentropy(&chosen, sizeof chosen) != 0) chosen = (uint64_t)getpid();
  }
  return chosen;
}

/* take_turn has ranks do something one after the other: who has made the name does, until it removes it. A rank cannot be moved meanwhile. */
static int take_turn(const char *turn) {
  for (int tries = 0; tries < turn_tries; tries++) {
    int fd = open(turn, O_WRONLY | O_CREAT | O_EXCL, 0600);
    if (fd >= 0) return __real_close(fd);
    if (errno != EEXIST) return -1;
    usleep(turn_wait);
  }
  return refused(ETIMEDOUT);
}

/* take_locks reads the list, which is this rank's alone until give_locks. */
static int take_locks(void) {
  if (locks == NULL && (locks = malloc(most_locks * sizeof *locks)) == NULL) return refused(ENOLCK);
  if (take_turn(lock_turn) != 0) return refused(ENOLCK);
  size_t length = 0;
  ssize_t n = 0;
  lock_count = 0;
  int fd = open(lock_list, O_RDONLY);
  if (fd >= 0) {
    while ((n = read(fd, (char *)locks + length, most_locks * sizeof *locks - length)) > 0) length += (size_t)n;
    __real_close(fd);
  }
  if (n < 0 || length % sizeof *locks != 0 || (fd < 0 && errno != ENOENT)) {
    unlink(lock_turn);
    return refused(ENOLCK);
  }
  lock_count = (int)(length / sizeof *locks);
  return 0;
}

/* give_locks writes the list if it has changed. */
static int give_locks(int changed) {
  int fd = -1, before = errno, result = 0;
  if (changed) {
    size_t length = (size_t)lock_count * sizeof *locks;
    if ((fd = open(lock_next, O_WRONLY | O_CREAT | O_TRUNC, 0600)) < 0 || write(fd, locks, length) != (ssize_t)length) result = -1;
    if (fd >= 0) __real_close(fd);
    if (result == 0) result = rename(lock_next, lock_list);
  }
  unlink(lock_turn);
  errno = result ? ENOLCK : before;
  return result;
}

static int same_owner(const struct held *l, const struct held *other) { return l->owner == other->owner && l->fd == other->fd; }

static int locks_meet(const struct held *l, const struct held *other) {
  return l->kind == other->kind && l->dev == other->dev && l->file == other->file && l->from <= other->to && other->from <= l->to;
}

/* lock_against is who keeps a lock out, NULL if nobody does. */
static const struct held *lock_against(const struct held *wish) {
  for (int i = 0; i < lock_count; i++) {
    if (locks_meet(&locks[i], wish) && !same_owner(&locks[i], wish) && (wish->type == F_WRLCK || locks[i].type == F_WRLCK)) return &locks[i];
  }
  return NULL;
}

/* put_lock gives the owner of a wish that lock in place of what it has there: F_UNLCK is none. If the list has no room for that, it is left as it is. */
static int put_lock(const struct held *wish) {
  int more = wish->type != F_UNLCK;
  for (int i = 0; i < lock_count; i++) {
    if (locks_meet(&locks[i], wish) && same_owner(&locks[i], wish)) more += (locks[i].from < wish->from) + (locks[i].to > wish->to) - 1;
  }
  if (lock_count + more > most_locks) return refused(ENOLCK);
  for (int i = lock_count - 1; i >= 0; i--) {
    struct held l = locks[i];
    if (!locks_meet(&l, wish) || !same_owner(&l, wish)) continue;
    locks[i] = locks[--lock_count];
    if (l.from < wish->from) locks[lock_count] = l, locks[lock_count++].to = wish->from - 1;
    if (l.to > wish->to) locks[lock_count] = l, locks[lock_count++].from = wish->to + 1;
  }
  if (wish->type != F_UNLCK) locks[lock_count++] = *wish, locks_own++;
  return 0;
}

/* drop_wish takes a rank's wish out of the list, if it is there. */
static int drop_wish(void) {
  for (int i = 0; i < lock_count; i++) {
    if (locks[i].kind == record_wish && locks[i].owner == lock_owner()) return locks[i] = locks[--lock_count], 1;
  }
  return 0;
}

/* wish_of is what the owner of a lock waits for, NULL if it does not. */
static const struct held *wish_of(const struct held *by) {
  for (int i = 0; i < lock_count; i++) {
    if (locks[i].kind == record_wish && same_owner(&locks[i], by)) return &locks[i];
  }
  return NULL;
}

/* lock_deadlock says whether who keeps a wish out waits for the one that has it, itself or by way of others. As on Linux, only locks that are a rank's are looked at. */
static int lock_deadlock(const struct held *wish) {
  const struct held *by = lock_against(wish), *its;
  for (int steps = 0; by != NULL && steps < lock_count && (its = wish_of(by)) != NULL; steps++) {
    struct held next = *its;
    next.kind = record_lock;
    if ((by = lock_against(&next)) != NULL && same_owner(by, wish)) return 1;
  }
  return 0;
}

/* await_lock is called, with the list, when a wish has to wait: 0 to go on with that. */
static int await_lock(const struct held *wish) {
  if (wish->kind != record_lock || wish->fd >= 0) return give_locks(0);
  if (lock_deadlock(wish)) return give_locks(drop_wish()) == 0 ? refused(EDEADLK) : -1;
  if (lock_count == most_locks || wish_of(wish) != NULL) return give_locks(0);
  locks[lock_count] = *wish, locks[lock_count++].kind = record_wish, locks_own++;
  return give_locks(1);
}

/* set_lock does what is wished, at once or, if it waits, when nobody is against it. */
static int set_lock(const struct held *wish, int waits) {
  for (useconds_t pause = first_lock_wait;; pause = pause < last_lock_wait / 2 ? 2 * pause : last_lock_wait) {
    if (take_locks() != 0) return -1;
    if (wish->type == F_UNLCK || lock_against(wish) == NULL) {
      int waited = drop_wish(), result = put_lock(wish);
      return give_locks(result == 0 || waited) == 0 ? result : -1;
    }
    int had = lock_count;
    if (wish->kind == file_lock) { /* one becomes another by way of none: else two ranks that share one would wait for each other */
      struct held none = *wish;
      none.type = F_UNLCK;
      put_lock(&none);
    }
    if ((lock_count != had || !waits ? give_locks(lock_count != had) : await_lock(wish)) != 0) return -1;
    if (!waits) return refused(EAGAIN);
    usleep(pause);
  }
}

/* lock_of fills in whose lock it is, and of which file. */
static int lock_of(struct held *l, int fd, int kind, int by_descriptor) {
  struct stat st;
  if (fstat(fd, &st) != 0) return -1;
  *l = (struct held){.owner = lock_owner(), .file = (uint64_t)st.st_ino, .fd = by_descriptor ? fd : -1, .pid = getpid(), .kind = (int16_t)kind, .dev = (int32_t)st.st_dev, .to = INT64_MAX};
  return 0;
}

/* lock_range is what l_whence, l_start and l_len say. */
static int lock_range(struct held *l, int fd, int whence, off_t start, off_t length) {
  struct stat st;
  off_t base = 0;
  if (whence == SEEK_CUR && (base = lseek(fd, 0, SEEK_CUR)) < 0) return -1;
  if (whence == SEEK_END) base = fstat(fd, &st) == 0 ? st.st_size : 0;
  if (whence != SEEK_SET && whence != SEEK_CUR && whence != SEEK_END) return refused(EINVAL);
  if (__builtin_add_overflow(base, start, &l->from) || (length < 0 && __builtin_add_overflow(l->from, length, &base)) || (length > 0 && __builtin_add_overflow(l->from, length - 1, &base)))
    return refused(EOVERFLOW);
  if (length > 0) l->to = base;
  if (length < 0) l->to = l->from - 1, l->from = base;
  return l->from < 0 ? refused(EINVAL) : 0;
}

static int may_lock(int fd, int type) {
  int mode = fcntl(fd, F_GETFL) & O_ACCMODE;
  return (type == F_WRLCK && mode == O_RDONLY) || (type == F_RDLCK && mode == O_WRONLY) ? refused(EBADF) : 0;
}

static int lock_record(int fd, struct flock *l, int what) {
  int asks = what == F_GETLK || what == F_OFD_GETLK, waits = what == F_SETLKW || what == F_OFD_SETLKW;
  int open_file = what == F_OFD_GETLK || what == F_OFD_SETLK || what == F_OFD_SETLKW;
  struct held wish;
  if (l->l_type != F_RDLCK && l->l_type != F_WRLCK && (asks || l->l_type != F_UNLCK)) return refused(EINVAL);
  if (open_file && l->l_pid != 0) return refused(EINVAL);
  if (lock_of(&wish, fd, record_lock, open_file) != 0 || lock_range(&wish, fd, l->l_whence, l->l_start, l->l_len) != 0) return -1;
  wish.type = l->l_type;
  if (!asks) return may_lock(fd, l->l_type) != 0 ? -1 : set_lock(&wish, waits);
  if (take_locks() != 0) return -1;
  const struct held *by = lock_against(&wish);
  if (by == NULL) l->l_type = F_UNLCK;
  else *l = (struct flock){.l_type = by->type, .l_whence = SEEK_SET, .l_start = by->from, .l_len = by->to == INT64_MAX ? 0 : by->to - by->from + 1, .l_pid = by->fd < 0 ? by->pid : -1};
  return give_locks(0);
}

/* unlock_closed lets go of what the rank has of a file that it closes; of all, if there is none: it ends. */
static void unlock_closed(int fd) {
  struct held wish;
  int before = errno, changed = 0, left = 0;
  if (fd < 0) wish.owner = lock_owner();
  if (locks_own == 0 || (fd >= 0 && lock_of(&wish, fd, 0, 0) != 0) || take_locks() != 0) {
    errno = before;
    return;
  }
  for (int i = lock_count - 1; i >= 0; i--) {
    if (locks[i].owner != wish.owner) continue;
    if (fd < 0 || (locks[i].file == wish.file && locks[i].dev == wish.dev && (locks[i].fd == fd || locks[i].fd < 0))) locks[i] = locks[--lock_count], changed = 1;
    else left++;
  }
  if (give_locks(changed) == 0) locks_own = left; /* else the next close tries again, and the end */
  errno = before;
}

/* Set by the first lock: a program that locks nothing does none of this. */
void (*godwit_unlock_closed)(int);

OWN int flock(int fd, int what) {
  struct held wish;
  int way = what & ~LOCK_NB;
  if (way != LOCK_SH && way != LOCK_EX && way != LOCK_UN) return refused(EINVAL);
  if (lock_of(&wish, fd, file_lock, 1) != 0) return -1;
  wish.type = way == LOCK_SH ? F_RDLCK : way == LOCK_EX ? F_WRLCK : F_UNLCK;
  godwit_unlock_closed = unlock_closed;
  return set_lock(&wish, !(what & LOCK_NB));
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
  case F_OFD_SETLKW:
    godwit_unlock_closed = unlock_closed;
    result = lock_record(fd, va_arg(rest, struct flock *), what);
    break;
  case F_SETFD:
  case F_SETFL: result = __real_fcntl(fd, what, va_arg(rest, int)); break;
  default: result = __real_fcntl(fd, what);
  }
  va_end(rest);
  return result;
}
