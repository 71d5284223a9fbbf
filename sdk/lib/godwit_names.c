/* What programs call that is older than POSIX, or GNU's, and that wasi-libc has under another name, or not at all. A program that brings its own wins. */
#include <errno.h>
#include <error.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define OWN __attribute__((weak))

static int no(int why) {
  errno = why;
  return -1;
}

/* Groups. There is one (godwit_system.c), and its texts are constant. */
static int into_group(struct group *found, struct group *group, struct group **result) {
  *result = NULL;
  if (found) *group = *found, *result = group;
  return 0;
}
OWN int getgrgid_r(gid_t gid, struct group *group, char *buffer, size_t size, struct group **result) {
  return (void)buffer, (void)size, into_group(getgrgid(gid), group, result);
}
OWN int getgrnam_r(const char *name, struct group *group, char *buffer, size_t size, struct group **result) {
  return (void)buffer, (void)size, into_group(getgrnam(name), group, result);
}
static int groups_listed;
OWN void setgrent(void) { groups_listed = 0; }
OWN void endgrent(void) { groups_listed = 0; }
OWN struct group *getgrent(void) { return groups_listed++ ? NULL : getgrgid(getgid()); }
OWN int getgrouplist(const char *user, gid_t group, gid_t *list, int *count) {
  int room = *count;
  (void)user, *count = 1;
  if (room < 1) return -1;
  list[0] = group;
  return 1;
}

/* Signals, as System V and BSD had them. PLAIN is godwit_signal.c's. */
static int one_signal(int number, int how) {
  sigset_t set;
  sigemptyset(&set);
  return sigaddset(&set, number) != 0 ? -1 : sigprocmask(how, &set, NULL);
}
OWN int sighold(int number) { return one_signal(number, SIG_BLOCK); }
OWN int sigrelse(int number) { return one_signal(number, SIG_UNBLOCK); }
OWN int sigignore(int number) { return signal(number, SIG_IGN) == SIG_ERR ? -1 : 0; }
OWN void (*sigset(int number, void (*handler)(int)))(int) {
  sigset_t before;
  if (sigprocmask(SIG_BLOCK, NULL, &before) != 0) return SIG_ERR;
  int held = sigismember(&before, number);
  struct sigaction old, action = {.sa_flags = 0};
  if (held < 0) return SIG_ERR;
  if (handler == SIG_HOLD) {
    if (sigaction(number, NULL, &old) != 0 || sighold(number) != 0) return SIG_ERR;
  } else {
    action.PLAIN = handler;
    if (sigaction(number, &action, &old) != 0 || sigrelse(number) != 0) return SIG_ERR;
  }
  return held ? SIG_HOLD : old.PLAIN;
}
static int set_low_signals(int how, int mask) {
  sigset_t set, before;
  sigemptyset(&set);
  for (int i = 0; i < 32; i++)
    if ((unsigned)mask >> i & 1) sigaddset(&set, i + 1);
  if (sigprocmask(SIG_BLOCK, NULL, &before) != 0) return -1;
  unsigned old = 0;
  for (int i = 0; i < 32; i++)
    if (sigismember(&before, i + 1)) old |= 1u << i;
  return sigprocmask(how, &set, NULL) != 0 ? -1 : (int)old;
}
OWN int sigblock(int mask) { return set_low_signals(SIG_BLOCK, mask); }
OWN int sigsetmask(int mask) { return set_low_signals(SIG_SETMASK, mask); }
OWN int siggetmask(void) { return sigblock(0); }

/* Files. */
OWN char *getwd(char *path) { return getcwd(path, PATH_MAX); }
OWN void closefrom(int from) {
  for (int fd = from < 0 ? 0 : from; fd < getdtablesize(); fd++) close(fd);
}
OWN int fallocate(int fd, int mode, off_t at, off_t size) {
  if (mode != 0) return no(EOPNOTSUPP);
  int why = posix_fallocate(fd, at, size);
  return why ? no(why) : 0;
}
static void file_times(const struct timeval *from, struct timespec *to) {
  for (int i = 0; i < 2; i++) to[i].tv_sec = from[i].tv_sec, to[i].tv_nsec = from[i].tv_usec * 1000;
}
OWN int futimes(int fd, const struct timeval times[2]) {
  struct timespec precise[2];
  if (times) file_times(times, precise);
  return futimens(fd, times ? precise : NULL);
}
OWN int lutimes(const char *path, const struct timeval times[2]) {
  struct timespec precise[2];
  if (times) file_times(times, precise);
  return utimensat(AT_FDCWD, path, times ? precise : NULL, AT_SYMLINK_NOFOLLOW);
}
OWN int fcloseall(void) { return fflush(NULL); }

OWN ssize_t getrandom(void *to, size_t size, unsigned flags) {
  if (flags & ~7u) return no(EINVAL);
  for (size_t at = 0; at < size; at += 256)
    if (getentropy((char *)to + at, size - at < 256 ? size - at : 256) != 0) return -1;
  return (ssize_t)size;
}

OWN time_t timelocal(struct tm *tm) { return mktime(tm); }

/* GNU's errors. name_program is godwit_system.c's. */
OWN unsigned error_message_count;
OWN int error_one_per_line;
OWN void (*error_print_progname)(void);

static void tell_error(int code, int number, const char *file, unsigned line, const char *format, va_list arguments) {
  fflush(stdout);
  if (error_print_progname) error_print_progname();
  else name_program(), fprintf(stderr, file ? "%s:" : "%s: ", program_invocation_name);
  if (file) fprintf(stderr, "%s:%u: ", file, line);
  vfprintf(stderr, format, arguments);
  if (number) fprintf(stderr, ": %s", strerror(number));
  fputc('\n', stderr);
  error_message_count++;
  if (code) exit(code);
}
OWN void error(int code, int number, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  tell_error(code, number, NULL, 0, format, arguments);
  va_end(arguments);
}
OWN void error_at_line(int code, int number, const char *file, unsigned line, const char *format, ...) {
  static const char *last_file;
  static unsigned last_line;
  if (error_one_per_line && file && last_file && line == last_line && strcmp(file, last_file) == 0) return;
  last_file = file, last_line = line;
  va_list arguments;
  va_start(arguments, format);
  tell_error(code, number, file, line, format, arguments);
  va_end(arguments);
}
