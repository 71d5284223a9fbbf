/*
 * What POSIX has of files and WASI leaves out. Files have no owners but the user, and no modes of their own: to set them does nothing where the file is there, and may be changed. A program that
 * brings its own wins.
 */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <unistd.h>
#include <wasi/api.h>

#define OWN __attribute__((weak))

static int refused(int why) {
  errno = why;
  return -1;
}

static int exists(const char *path, int flags) {
  struct stat st;
  return fstatat(AT_FDCWD, path, &st, flags);
}

static int is_open(int fd) {
  struct stat st;
  return fstat(fd, &st);
}

/* with_rest adds what WASI does not say: the mode is by a file's kind what umask 022 leaves, and the blocks are by its size. */
static int with_rest(int failed, struct stat *st) {
  if (failed != 0) return failed;
  st->st_mode |= S_ISDIR(st->st_mode) ? 0755 : S_ISLNK(st->st_mode) ? 0777 : S_ISREG(st->st_mode) ? 0644 : 0666;
  st->st_uid = getuid(), st->st_gid = getgid();
  st->st_blksize = 4096;
  st->st_blocks = S_ISREG(st->st_mode) || S_ISDIR(st->st_mode) ? (st->st_size + 511) / 512 : 0;
  return 0;
}

/* On Linux O_RDONLY is 0, so files are opened to be read where nobody says for what; WASI has a bit for it. */
int __real___wasilibc_nocwd_openat_nomode(int at, const char *path, int flags);
int __wrap___wasilibc_nocwd_openat_nomode(int at, const char *path, int flags) {
  return __real___wasilibc_nocwd_openat_nomode(at, path, flags & O_ACCMODE ? flags : flags | O_RDONLY);
}

int __real_fstat(int fd, struct stat *st);
int __wrap_fstat(int fd, struct stat *st) { return with_rest(__real_fstat(fd, st), st); }

/* What stat, lstat and fstatat ask. */
int __real___wasilibc_nocwd_fstatat(int at, const char *path, struct stat *st, int flags);
int __wrap___wasilibc_nocwd_fstatat(int at, const char *path, struct stat *st, int flags) {
  return with_rest(__real___wasilibc_nocwd_fstatat(at, path, st, flags), st);
}

/* access asks the host, which says what its user may do. */
__attribute__((import_module("godwit_v1"), import_name("godwit_access"))) int godwit_access(int at, const char *path, size_t length, int mode, int follow);
_Static_assert(F_OK == 0 && X_OK == 1 && W_OK == 2 && R_OK == 4, "the host's");
int __wrap___wasilibc_nocwd_faccessat(int at, const char *path, int mode, int flags) {
  if (mode & ~(R_OK | W_OK | X_OK) || flags & ~(AT_EACCESS | AT_SYMLINK_NOFOLLOW)) return refused(EINVAL);
  int why = godwit_access(at, path, strlen(path), mode, !(flags & AT_SYMLINK_NOFOLLOW));
  return why == 0 ? 0 : refused(why);
}

/* Times, as POSIX has them: wasi-libc takes UTIME_NOW and UTIME_OMIT for wrong ones. */
enum { time_given = 1, time_now = 2, time_changed = 2 /* bits further on */ };
static int time_of(const struct timespec *t, uint64_t *at, unsigned *flags, int shift) {
  *at = 0;
  if (t == NULL || t->tv_nsec == UTIME_NOW) return *flags |= time_now << shift, 0;
  if (t->tv_nsec == UTIME_OMIT) return 0;
  if (t->tv_nsec < 0 || t->tv_nsec > 999999999 || t->tv_sec < 0 || __builtin_mul_overflow((uint64_t)t->tv_sec, 1000000000, at) || __builtin_add_overflow(*at, (uint64_t)t->tv_nsec, at))
    return refused(EINVAL);
  return *flags |= time_given << shift, 0;
}
static int times_of(const struct timespec *times, uint64_t at[2], unsigned *flags) {
  *flags = 0;
  if (time_of(times, &at[0], flags, 0) != 0) return -1;
  return time_of(times ? times + 1 : NULL, &at[1], flags, time_changed);
}
int __wrap___wasilibc_nocwd_utimensat(int at, const char *path, const struct timespec *times, int flags) {
  uint64_t stamps[2];
  unsigned which;
  if (flags & ~AT_SYMLINK_NOFOLLOW) return refused(EINVAL);
  if (times_of(times, stamps, &which) != 0) return -1;
  int why = __wasi_path_filestat_set_times(at, flags & AT_SYMLINK_NOFOLLOW ? 0 : __WASI_LOOKUPFLAGS_SYMLINK_FOLLOW, path, stamps[0], stamps[1], (__wasi_fstflags_t)which);
  return why == 0 ? 0 : refused(why);
}
OWN int futimens(int fd, const struct timespec *times) {
  uint64_t stamps[2];
  unsigned which;
  if (times_of(times, stamps, &which) != 0) return -1;
  int why = __wasi_fd_filestat_set_times(fd, stamps[0], stamps[1], (__wasi_fstflags_t)which);
  return why == 0 ? 0 : refused(why);
}

/* unchanged is what becomes of a new mode or owner: nothing, but where nothing is changed. To set no times asks for that. */
static const struct timespec no_times[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_nsec = UTIME_OMIT}};
static int unchanged(int at, const char *path, int flags) { return utimensat(at, path, no_times, flags); }
static int unchanged_open(int fd) { return futimens(fd, no_times) != 0 && errno == EROFS ? -1 : is_open(fd); }

OWN int chmod(const char *path, mode_t mode) { return (void)mode, unchanged(AT_FDCWD, path, 0); }
OWN int lchmod(const char *path, mode_t mode) { return (void)mode, unchanged(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW); }
OWN int fchmod(int fd, mode_t mode) { return (void)mode, unchanged_open(fd); }
OWN int fchmodat(int at, const char *path, mode_t mode, int flags) { return (void)mode, unchanged(at, path, flags); }
OWN int chown(const char *path, uid_t user, gid_t group) { return (void)user, (void)group, unchanged(AT_FDCWD, path, 0); }
OWN int lchown(const char *path, uid_t user, gid_t group) { return (void)user, (void)group, unchanged(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW); }
OWN int fchown(int fd, uid_t user, gid_t group) { return (void)user, (void)group, unchanged_open(fd); }

OWN mode_t umask(mode_t mask) {
  static mode_t now = 022;
  mode_t old = now;
  now = mask & 0777;
  return old;
}

OWN int mkfifo(const char *path, mode_t mode) { return (void)path, (void)mode, refused(ENOSYS); }
OWN int mknodat(int at, const char *path, mode_t mode, dev_t device) {
  (void)device;
  if (S_ISFIFO(mode)) return refused(ENOSYS);
  if (mode & S_IFMT && !S_ISREG(mode)) return refused(EPERM);
  int fd = openat(at, path, O_WRONLY | O_CREAT | O_EXCL, mode & 0777);
  return fd < 0 ? -1 : close(fd);
}
OWN int mknod(const char *path, mode_t mode, dev_t device) { return mknodat(AT_FDCWD, path, mode, device); }
OWN int statvfs(const char *path, struct statvfs *out) { return (void)path, (void)out, refused(ENOSYS); }
OWN int fstatvfs(int fd, struct statvfs *out) { return (void)fd, (void)out, refused(ENOSYS); }
OWN int statfs(const char *path, struct statfs *out) { return (void)path, (void)out, refused(ENOSYS); }
OWN int fstatfs(int fd, struct statfs *out) { return (void)fd, (void)out, refused(ENOSYS); }
OWN void sync(void) {}
OWN int syncfs(int fd) { return fsync(fd); }
OWN int euidaccess(const char *path, int mode) { return access(path, mode); }
OWN int eaccess(const char *path, int mode) { return access(path, mode); }

OWN char *ttyname(int fd) {
  if (is_open(fd) == 0) errno = ENOTTY;
  return NULL;
}
OWN int ttyname_r(int fd, char *name, size_t size) { return (void)name, (void)size, is_open(fd) == 0 ? ENOTTY : errno; }

OWN char *get_current_dir_name(void) { return getcwd(NULL, 0); }

/* realpath follows the links of a path, one part after another. */
OWN char *realpath(const char *path, char *result) {
  char done[PATH_MAX] = "", left[PATH_MAX], link[PATH_MAX];
  int links = 0;
  if (path == NULL) return errno = EINVAL, NULL;
  if (*path == 0) return errno = ENOENT, NULL;
  if (*path != '/' && getcwd(done, sizeof done) == NULL) return NULL;
  if (strcmp(done, "/") == 0) *done = 0;
  if (strlen(path) >= sizeof left) return errno = ENAMETOOLONG, NULL;
  strcpy(left, path);
  while (*left) {
    char *part = left + strspn(left, "/");
    size_t length = strcspn(part, "/");
    char name[PATH_MAX];
    memcpy(name, part, length);
    name[length] = 0;
    memmove(left, part + length, strlen(part + length) + 1);
    if (length == 0 || strcmp(name, ".") == 0) continue;
    if (strcmp(name, "..") == 0) {
      char *last = strrchr(done, '/');
      if (last) *last = 0;
      continue;
    }
    size_t before = strlen(done);
    if (before + 1 + length >= sizeof done) return errno = ENAMETOOLONG, NULL;
    done[before] = '/';
    strcpy(done + before + 1, name);
    struct stat st;
    if (lstat(done, &st) != 0) return NULL;
    if (S_ISLNK(st.st_mode)) {
      ssize_t n = readlink(done, link, sizeof link - 1);
      if (n < 0) return NULL;
      if (++links > 40) return errno = ELOOP, NULL;
      if ((size_t)n + strlen(left) >= sizeof left) return errno = ENAMETOOLONG, NULL;
      memmove(left + n, left, strlen(left) + 1);
      memcpy(left, link, (size_t)n);
      done[*link == '/' ? 0 : before] = 0;
    } else if (*left && !S_ISDIR(st.st_mode)) {
      return errno = ENOTDIR, NULL;
    }
  }
  if (*done == 0) strcpy(done, "/");
  return result ? strcpy(result, done) : strdup(done);
}

/* Names that nobody has: the six X of a template become letters by chance. */
static int unique(char *template, int suffix, int (*take)(const char *, int), int flags) {
  static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
  size_t length = strlen(template);
  if (suffix < 0 || length < 6 + (size_t)suffix || memcmp(template + length - 6 - suffix, "XXXXXX", 6) != 0) return refused(EINVAL);
  char *x = template + length - 6 - suffix;
  for (int tries = 0; tries < 100; tries++) {
    uint64_t chance;
    if (getentropy(&chance, sizeof chance) != 0) return -1;
    for (int i = 0; i < 6; i++, chance /= 62) x[i] = letters[chance % 62];
    int got = take(template, flags);
    if (got >= 0 || errno != EEXIST) return got;
  }
  memset(x, 'X', 6);
  return refused(EEXIST);
}

static int take_file(const char *path, int flags) { return open(path, (flags & ~O_ACCMODE) | O_RDWR | O_CREAT | O_EXCL, 0600); }
static int take_directory(const char *path, int flags) { return (void)flags, mkdir(path, 0700); }
static int take_name(const char *path, int flags) {
  (void)flags;
  if (exists(path, AT_SYMLINK_NOFOLLOW) == 0) return refused(EEXIST);
  return errno == ENOENT ? 0 : -1;
}

OWN int mkostemps(char *template, int suffix, int flags) { return unique(template, suffix, take_file, flags); }
OWN int mkostemp(char *template, int flags) { return mkostemps(template, 0, flags); }
OWN int mkstemps(char *template, int suffix) { return mkostemps(template, suffix, 0); }
OWN int mkstemp(char *template) { return mkostemps(template, 0, 0); }
OWN char *mkdtemp(char *template) { return unique(template, 0, take_directory, 0) < 0 ? NULL : template; }
OWN char *mktemp(char *template) {
  if (unique(template, 0, take_name, 0) < 0) *template = 0;
  return template;
}

OWN char *tmpnam(char *name) {
  static char own[L_tmpnam];
  if (name == NULL) name = own;
  strcpy(name, P_tmpdir "/tmp_XXXXXX");
  return unique(name, 0, take_name, 0) < 0 ? NULL : name;
}

OWN char *tempnam(const char *directory, const char *prefix) {
  char name[PATH_MAX];
  if (snprintf(name, sizeof name, "%s/%.16s_XXXXXX", directory ? directory : P_tmpdir, prefix ? prefix : "tmp") >= (int)sizeof name) return errno = ENAMETOOLONG, NULL;
  return unique(name, 0, take_name, 0) < 0 ? NULL : strdup(name);
}

OWN FILE *tmpfile(void) {
  char name[] = P_tmpdir "/tmp_XXXXXX";
  int fd = mkstemp(name);
  if (fd < 0) return NULL;
  unlink(name);
  FILE *stream = fdopen(fd, "w+");
  if (stream == NULL) close(fd);
  return stream;
}

/* What C had before 2011. */
OWN char *gets(char *line);
OWN char *gets(char *line) {
  size_t length = 0;
  int c;
  while ((c = getchar()) != EOF && c != '\n') line[length++] = (char)c;
  if (ferror(stdin) || (c == EOF && length == 0)) return NULL;
  line[length] = 0;
  return line;
}

static int (*ftw_visit)(const char *, const struct stat *, int);
static int ftw_visited(const char *path, const struct stat *st, int kind, struct FTW *at) { return (void)at, ftw_visit(path, st, kind); }
OWN int ftw(const char *path, int (*visit)(const char *, const struct stat *, int), int files) {
  int (*outer)(const char *, const struct stat *, int) = ftw_visit;
  ftw_visit = visit;
  int result = nftw(path, ftw_visited, files, 0);
  ftw_visit = outer;
  return result;
}
