/*
 * What the headers declare and wasi-libc does not have: a guest has no other processes, no files and no machine of its own. A program that
 * brings its own wins.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

__attribute__((weak)) int system(const char *command) {
  if (command == NULL) return 0; /* is there a shell? */
  errno = ENOSYS;
  return -1;
}

/* The same on every host: a rank may move, and what it knows must stay true. */
__attribute__((weak)) int gethostname(char *name, size_t size) {
  static const char host[] = "godwit";
  if (size < sizeof host) {
    errno = ENAMETOOLONG;
    return -1;
  }
  memcpy(name, host, sizeof host);
  return 0;
}

#pragma clang diagnostic ignored "-Wdeprecated-declarations"
__attribute__((weak)) FILE *tmpfile(void) {
  errno = EROFS;
  return NULL;
}
