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
