/*
 * Where a path leads, in place of what wasi-libc's chdir brings along, and used without chdir too. A guest has one directory, the root,
 * which is the current one for good. wasi-libc takes an empty path for that directory; by POSIX it names nothing (ENOENT), which the host
 * says when it is passed on as it is.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <wasi/libc-find-relpath.h>

enum { godwit_root = 3 }; /* the first after the streams: the only one that the host gives */

int __wasilibc_find_relpath_alloc(const char *path, const char **abs, char **relative, size_t *relative_len, int can_realloc) {
  const char *rest = path + strspn(path, "/");
  if (*rest == 0 && rest > path) rest = ".";
  size_t size = strlen(rest) + 1;
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
  memcpy(*relative, rest, size);
  *abs = "";
  return godwit_root;
}
