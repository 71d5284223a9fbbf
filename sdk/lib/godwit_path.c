/*
 * Where a path leads, in place of what wasi-libc's chdir brings along, and used without chdir too. The host gives one directory, the root, and finds its
 * way from there to whatever else there is: so each path goes there whole, behind the current directory if it is relative. wasi-libc takes an empty
 * path for that directory; by POSIX it names nothing (ENOENT), which the host says when it is passed on as it is.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <wasi/libc-find-relpath.h>

enum { godwit_root = 3 }; /* the first after the streams */

extern char *__wasilibc_cwd; /* wasi-libc's, which getcwd tells */

/* The host says in which directory the program begins. wasi-libc's own constructors come before this one, the program's after it. */
__attribute__((constructor(60))) static void begin_in_directory(void) {
  const char *directory = getenv("PWD");
  if (directory == NULL || *directory != '/') return; /* it begins in the root */
  char *copy = strdup(directory);
  if (copy != NULL) __wasilibc_cwd = copy;
}

__attribute__((weak)) int chdir(const char *path) {
  static char *entered; /* the first of all is nobody's to free */
  struct stat st;
  char *real = realpath(path, NULL);
  if (real == NULL) return -1;
  int failed = stat(real, &st);
  if (failed == 0 && !S_ISDIR(st.st_mode)) failed = -1, errno = ENOTDIR;
  if (failed != 0) return free(real), -1;
  free(entered);
  __wasilibc_cwd = entered = real;
  return 0;
}

int __wasilibc_find_relpath_alloc(const char *path, const char **abs, char **relative, size_t *relative_len, int can_realloc) {
  const char *base = *path == '/' || *path == 0 ? "" : __wasilibc_cwd + strspn(__wasilibc_cwd, "/");
  const char *rest = path + strspn(path, "/");
  if (*rest == 0 && rest > path) rest = ".";
  size_t before = strlen(base), size = before + (before > 0) + strlen(rest) + 1;
  if (*relative_len < size) {
    if (!can_realloc) {
      errno = ERANGE;
      return -1;
    }
    char *buffer = realloc(*relative, size);
    if (buffer == NULL) {
      errno = ENOMEM;
      return -1;
    }
    *relative = buffer;
    *relative_len = size;
  }
  memcpy(*relative, base, before);
  if (before > 0) (*relative)[before++] = '/';
  strcpy(*relative + before, rest);
  *abs = "";
  return godwit_root;
}
