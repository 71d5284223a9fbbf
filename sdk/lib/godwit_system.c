/*
 * What POSIX has of a machine, its users and other processes. A rank is the only process that it sees, of one user. It may move, and what it knows must stay true: only the
 * name of the machine is that of the host where it is when it asks. A program that brings its own wins.
 */
#include "godwit.h"

#include <err.h>
#include <errno.h>
#include <execinfo.h>
#include <grp.h>
#include <netdb.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/times.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>
#include <wasi/api.h>

#define OWN __attribute__((weak))

/* errno is a function's to tell where it is (include/errno.h); the variable is wasi-libc's. */
#pragma push_macro("errno")
#undef errno
OWN int *__errno_location(void) { return &errno; }
#pragma pop_macro("errno")

#pragma clang diagnostic ignored "-Wdeprecated-declarations"

static int refuse(int why) {
  errno = why;
  return -1;
}

/* Processes. */

OWN int system(const char *command) {
  if (command == NULL) return 0; /* is there a shell? */
  return refuse(ENOSYS);
}

OWN FILE *popen(const char *command, const char *mode) {
  (void)command, (void)mode;
  errno = ENOSYS;
  return NULL;
}

OWN int pclose(FILE *stream) {
  (void)stream;
  return refuse(EINVAL);
}

OWN pid_t wait(int *status) { return (void)status, refuse(ECHILD); }
OWN pid_t waitpid(pid_t pid, int *status, int options) { return (void)pid, (void)status, (void)options, refuse(ECHILD); }

/* A number by chance, so that ranks have different ones; the rank takes it along. */
OWN pid_t getpid(void) {
  static pid_t own;
  while (own <= 1) {
    uint32_t chance;
    if (getentropy(&chance, sizeof chance) != 0) chance = 42;
    own = (pid_t)(chance & 0x3fffffff);
  }
  return own;
}

OWN pid_t getppid(void) { return 1; }
OWN pid_t getpgrp(void) { return getpid(); }
OWN pid_t getpgid(pid_t pid) { return pid == 0 || pid == getpid() ? getpid() : refuse(ESRCH); }
OWN pid_t getsid(pid_t pid) { return getpgid(pid); }
OWN pid_t gettid(void) { return getpid(); }

/* Users. */

enum { the_uid = 1000 };
static char the_name[] = "godwit", no_word[] = "x", no_text[] = "", the_home[] = "/", the_shell[] = "/bin/sh";
static struct passwd the_user = {the_name, no_word, the_uid, the_uid, no_text, the_home, the_shell};
static char *the_members[] = {NULL};
static struct group the_group = {the_name, no_word, the_uid, the_members};

OWN uid_t getuid(void) { return the_uid; }
OWN uid_t geteuid(void) { return the_uid; }
OWN gid_t getgid(void) { return the_uid; }
OWN gid_t getegid(void) { return the_uid; }
OWN int issetugid(void) { return 0; }
OWN int getgroups(int size, gid_t *list) {
  if (size < 0) return refuse(EINVAL);
  if (size > 0) list[0] = the_uid;
  return 1;
}

OWN struct passwd *getpwuid(uid_t uid) { return uid == the_uid ? &the_user : NULL; }
OWN struct passwd *getpwnam(const char *name) { return strcmp(name, the_name) == 0 ? &the_user : NULL; }
static int into(struct passwd *found, struct passwd *user, struct passwd **result) {
  *result = NULL;
  if (found) *user = *found, *result = user; /* its texts are constant */
  return 0;
}
OWN int getpwuid_r(uid_t uid, struct passwd *user, char *buffer, size_t size, struct passwd **result) {
  return (void)buffer, (void)size, into(getpwuid(uid), user, result);
}
OWN int getpwnam_r(const char *name, struct passwd *user, char *buffer, size_t size, struct passwd **result) {
  return (void)buffer, (void)size, into(getpwnam(name), user, result);
}
static int users_listed;
OWN void setpwent(void) { users_listed = 0; }
OWN void endpwent(void) { users_listed = 0; }
OWN struct passwd *getpwent(void) { return users_listed++ ? NULL : &the_user; }

OWN struct group *getgrgid(gid_t gid) { return gid == the_uid ? &the_group : NULL; }
OWN struct group *getgrnam(const char *name) { return strcmp(name, the_name) == 0 ? &the_group : NULL; }

OWN char *getlogin(void) { return the_name; }
OWN int getlogin_r(char *name, size_t size) {
  if (size < sizeof the_name) return ERANGE;
  memcpy(name, the_name, sizeof the_name);
  return 0;
}

/* The machine. */

OWN int gethostname(char *name, size_t size) {
  size_t length = godwit_host_name(name, size);
  if (length == 0) {
    length = sizeof the_name - 1;
    memcpy(name, the_name, length < size ? length : size);
  }
  if (length >= size) return refuse(ENAMETOOLONG);
  name[length] = 0;
  return 0;
}

OWN int uname(struct utsname *out) {
  memset(out, 0, sizeof *out);
  strcpy(out->sysname, "wasi");
  if (gethostname(out->nodename, sizeof out->nodename) != 0) out->nodename[sizeof out->nodename - 1] = 0;
  strcpy(out->release, "0.0.0");
  strcpy(out->version, "0.0.0");
  strcpy(out->machine, "wasm32");
  return 0;
}

OWN int getdomainname(char *name, size_t size) {
  if (size == 0) return refuse(EINVAL);
  *name = 0;
  return 0;
}

OWN int getpagesize(void) { return 65536; }
OWN int getdtablesize(void) { return 1024; }

/* What wasi-libc's sysconf does not know, or takes from a kernel that is not there. */
long __real_sysconf(int what);
long __wrap_sysconf(int what) {
  enum { pages = 32767 }; /* of which a long has the bytes: one page more and the product of the two is below 0 */
  switch (what) {
    case _SC_OPEN_MAX: return getdtablesize();
    case _SC_LINE_MAX: return 2048;
    case _SC_PHYS_PAGES: return pages;
    case _SC_AVPHYS_PAGES: {
      long free = 65536 - (long)__builtin_wasm_memory_size(0);
      return free < pages ? free : pages;
    }
    default: return __real_sysconf(what);
  }
}

OWN int getloadavg(double *loads, int count) {
  (void)loads, (void)count;
  return -1;
}

/* hundredths is a clock's time in the ticks that sysconf tells. */
static clock_t hundredths(clockid_t clock) {
  struct timespec now;
  return clock_gettime(clock, &now) == 0 ? (clock_t)now.tv_sec * 100 + now.tv_nsec / 10000000 : -1;
}

OWN clock_t times(struct tms *used) {
  clock_t now = hundredths(CLOCK_MONOTONIC), busy = hundredths(CLOCK_PROCESS_CPUTIME_ID);
  if (used) *used = (struct tms){.tms_utime = busy < 0 ? now : busy};
  return now;
}

OWN int getrusage(int who, struct rusage *usage) {
  memset(usage, 0, sizeof *usage);
  if (who == RUSAGE_CHILDREN) return 0;
  if (who != RUSAGE_SELF && who != RUSAGE_THREAD) return refuse(EINVAL);
  struct timespec now;
  if (clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now) != 0 && clock_gettime(CLOCK_MONOTONIC, &now) != 0) return -1;
  usage->ru_utime.tv_sec = now.tv_sec;
  usage->ru_utime.tv_usec = now.tv_nsec / 1000;
  usage->ru_maxrss = (long)(__builtin_wasm_memory_size(0) * 64);
  return 0;
}

OWN int getrlimit(int what, struct rlimit *limit) {
  if (what < 0 || what >= RLIM_NLIMITS) return refuse(EINVAL);
  limit->rlim_cur = limit->rlim_max = what == RLIMIT_AS || what == RLIMIT_DATA ? 1ULL << 32 : what == RLIMIT_NOFILE ? 1024 : RLIM_INFINITY;
  return 0;
}

OWN int setrlimit(int what, const struct rlimit *limit) {
  struct rlimit now;
  if (getrlimit(what, &now) != 0) return -1;
  return limit->rlim_cur == now.rlim_cur ? 0 : refuse(EPERM);
}

OWN int getpriority(int which, id_t who) { return (void)which, (void)who, 0; }
OWN int setpriority(int which, id_t who, int priority) { return (void)which, (void)who, priority >= 0 ? 0 : refuse(EACCES); }
OWN int nice(int by) { return by >= 0 ? 0 : refuse(EPERM); }

/* Names of hosts. */

OWN int h_errno;
OWN struct hostent *gethostbyname(const char *name) {
  (void)name;
  h_errno = HOST_NOT_FOUND;
  return NULL;
}
OWN int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints, struct addrinfo **result) {
  (void)name, (void)service, (void)hints, (void)result;
  return EAI_NONAME;
}
OWN void freeaddrinfo(struct addrinfo *list) { (void)list; }
OWN const char *gai_strerror(int code) { return code == EAI_NONAME ? "a rank has no network but MPI: no name is known" : "unknown error"; }
OWN const char *hstrerror(int code) { return code == HOST_NOT_FOUND ? "a rank has no network but MPI: no host is known" : "unknown error"; }
OWN void herror(const char *text) { fprintf(stderr, "%s%s%s\n", text ? text : "", text && *text ? ": " : "", hstrerror(h_errno)); }

/* Messages. */

static const char *log_name;
static int log_mask = 0xff;
OWN void openlog(const char *name, int options, int facility) {
  (void)options, (void)facility;
  log_name = name;
}
OWN void closelog(void) { log_name = NULL; }
OWN int setlogmask(int mask) {
  int old = log_mask;
  if (mask) log_mask = mask;
  return old;
}
OWN void vsyslog(int priority, const char *format, va_list arguments) {
  int error = errno;
  if (!(log_mask & LOG_MASK(LOG_PRI(priority)))) return;
  if (log_name) fprintf(stderr, "%s: ", log_name);
  errno = error; /* for %m */
  vfprintf(stderr, format, arguments);
  fputc('\n', stderr);
}
OWN void syslog(int priority, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  vsyslog(priority, format, arguments);
  va_end(arguments);
}

/* name_program has what wasi-libc leaves empty: the name that the program was called by. */
#ifdef GODWIT_NAMED /* the program asks for it */
__attribute__((constructor(61)))
#endif
static void name_program(void) {
  size_t count, size;
  if (program_invocation_name || __wasi_args_sizes_get(&count, &size) != 0 || count == 0) return;
  char **all = malloc((count + 1) * sizeof *all + size);
  if (all == NULL || __wasi_args_get((uint8_t **)all, (uint8_t *)(all + count + 1)) != 0) return;
  char *slash = strrchr(all[0], '/');
  program_invocation_name = all[0];
  program_invocation_short_name = slash ? slash + 1 : all[0];
}

static void complain(const char *format, va_list arguments, const char *error) {
  name_program();
  fprintf(stderr, "%s: ", program_invocation_short_name);
  if (format) vfprintf(stderr, format, arguments);
  if (error) fprintf(stderr, "%s%s", format ? ": " : "", error);
  fputc('\n', stderr);
}
OWN void vwarn(const char *format, va_list arguments) { complain(format, arguments, strerror(errno)); }
OWN void vwarnx(const char *format, va_list arguments) { complain(format, arguments, NULL); }
OWN void verr(int code, const char *format, va_list arguments) {
  vwarn(format, arguments);
  exit(code);
}
OWN void verrx(int code, const char *format, va_list arguments) {
  vwarnx(format, arguments);
  exit(code);
}
OWN void warn(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  vwarn(format, arguments);
  va_end(arguments);
}
OWN void warnx(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  vwarnx(format, arguments);
  va_end(arguments);
}
OWN void err(int code, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  verr(code, format, arguments);
}
OWN void errx(int code, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  verrx(code, format, arguments);
}

OWN int backtrace(void **frames, int size) {
  (void)frames, (void)size;
  return 0;
}
OWN char **backtrace_symbols(void *const *frames, int size) {
  (void)frames, (void)size;
  return calloc(1, sizeof(char *));
}
OWN void backtrace_symbols_fd(void *const *frames, int size, int fd) { (void)frames, (void)size, (void)fd; }

OWN void flockfile(FILE *stream) { (void)stream; }
OWN int ftrylockfile(FILE *stream) { return (void)stream, 0; }
OWN void funlockfile(FILE *stream) { (void)stream; }
