package sdk

import "testing"

// TestModes: files have the modes that umask 022 leaves, and only directories can be searched or run.
func TestModes(t *testing.T) {
	inCheck(t)
	files := map[string]string{"a.cpp": `#include <sys/stat.h>
#include <fcntl.h>
#include <unistd.h>
#include <cerrno>
#include <cstdio>
#include <filesystem>
int main() {
  struct stat st;
  int fd = open("plain", O_RDWR | O_CREAT, 0644);
  fstat(fd, &st), printf("%o", (unsigned)st.st_mode);
  mkdir("dir", 0755), symlink("plain", "link");
  stat("dir", &st), printf(" %o", (unsigned)st.st_mode);
  lstat("link", &st), printf(" %o", (unsigned)st.st_mode);
  stat("link", &st), printf(" %o", (unsigned)st.st_mode);
  fstatat(AT_FDCWD, "plain", &st, 0), printf(" %o\n", (unsigned)st.st_mode);
  int a = access("plain", X_OK), why = errno;
  printf("%d %d %d %d %d\n", a, why == EACCES, access("plain", R_OK | W_OK), access("dir", X_OK), access("none", X_OK) == -1 && errno == ENOENT);
  namespace fs = std::filesystem;
  printf("%o %d", (unsigned)fs::status("plain").permissions(), fs::copy_file("plain", "copy"));
  printf(" %d\n", fs::remove("copy") && fs::remove_all("dir") && fs::remove("link") && fs::remove("plain"));
}
`}
	printsAtLevels(t, CXX, files, "a.cpp", "100644 40755 120777 100644 100644\n-1 1 0 0 1\n644 1 1\n")
}

// TestStreamsGrow: a stream that is read on has a larger buffer after a while, in a program that calls nothing of the kind; and times may be left or be now.
func TestStreamsGrow(t *testing.T) {
	inCheck(t)
	files := map[string]string{"a.c": `#include <stdio.h>
#include <stdio_ext.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
int main(void) {
  struct stat st;
  FILE *f = fopen("file", "w");
  for (int i = 0; i < 100000; i++) putc('a' + i % 7, f);
  fclose(f);
  int wrong = 0, i = 0;
  f = fopen("file", "r");
  for (int c; (c = getc(f)) != EOF; i++) wrong += c != 'a' + i % 7;
  printf("%d %d %d %d\n", i, wrong, __fbufsize(f) > 8000, access("file", R_OK | W_OK));
  fclose(f);
  struct timespec some[] = {{.tv_sec = 5}, {.tv_nsec = UTIME_NOW}}, rest[] = {{.tv_nsec = UTIME_OMIT}, {.tv_sec = 7}}, wrongs[] = {{.tv_nsec = 1000000000}, {0}};
  printf("%d %d %d\n", utimensat(AT_FDCWD, "file", some, 0), utimensat(AT_FDCWD, "file", rest, 0), utimensat(AT_FDCWD, "file", wrongs, 0));
  stat("file", &st);
  printf("%d %d", (int)st.st_atim.tv_sec, (int)st.st_mtim.tv_sec);
  int fd = open("file", O_RDONLY);
  printf(" %d", futimens(fd, (struct timespec[]){{.tv_sec = 9}, {.tv_nsec = UTIME_OMIT}}));
  fstat(fd, &st);
  printf(" %d %d\n", (int)st.st_atim.tv_sec, (int)st.st_mtim.tv_sec);
  return unlink("file");
}
`}
	printsAtLevels(t, C, files, "a.c", "100000 0 1 0\n0 0 -1\n5 7 0 9 7\n")
}
