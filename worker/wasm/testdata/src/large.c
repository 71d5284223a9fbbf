/* Blocks of 2 GiB and more, by whatever gives them, on a heap that is new and on one that is not. Few of their bytes are touched. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { mib = 1024 * 1024 };

static void look(const char *by, char *at, size_t size, size_t align) {
  int good = at != NULL && (size_t)at % align == 0;
  if (good) at[0] = 'a', at[size - 1] = 'z', good = at[0] == 'a';
  printf("%s of %zu MiB: %s\n", by, size / mib, good ? "there" : "not there");
}

int main(void) {
  size_t size = 2200u * mib;
  errno = 7;
  char *at = malloc(size);
  if (errno != 7) printf("errno is %d\n", errno);
  look("malloc", at, size, 16);
  if ((at = realloc(at, size = 3500u * mib)) != NULL) look("realloc", at, size, 16);
  if (at && malloc(2100u * mib) != NULL) printf("more than there is\n");
  free(at);
  at = aligned_alloc(4096, size = 2048u * mib);
  look("aligned_alloc", at, size, 4096);
  free(at);
  void *memory = NULL;
  if (posix_memalign(&memory, 65536, size = 3000u * mib) != 0) memory = NULL;
  look("posix_memalign", memory, size, 65536);
  free(memory);
  if ((at = malloc(100)) != NULL) strcpy(at, "kept");
  if (at && (at = realloc(at, size = 2500u * mib)) != NULL) look("realloc", at + 4, size - 4, 1), printf("%d\n", memcmp(at, "kept", 4));
  return malloc(~(size_t)0) != NULL;
}
