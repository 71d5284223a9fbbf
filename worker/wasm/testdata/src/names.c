/* names: what a rank and its machine are called. */
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

int main(void) {
  char name[256];
  struct utsname system;
  if (gethostname(name, sizeof name) != 0 || uname(&system) != 0 || strncmp(name, system.nodename, sizeof system.nodename - 1) != 0) return 1;
  if (getpid() != getpid()) return 2;
  printf("%d %s\n", (int)getpid(), name);
  return 0;
}
