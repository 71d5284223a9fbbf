/* nofiles: what a program is told that looks for files, other processes and the name of its machine. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#pragma clang diagnostic ignored "-Wdeprecated-declarations" /* tmpfile is in no WASI */

static void say(const char *what, int ok) {
  printf("%s: %s\n", what, ok ? "ok" : strerror(errno));
  errno = 0;
}

/* An empty path names nothing, and not the directory that it would be relative to. */
static void nameless(void) {
  char text[64];
  struct stat st;
  say("fopen ''", fopen("", "r") != NULL);
  say("fopen '', w", fopen("", "w") != NULL);
  say("open ''", open("", O_RDWR | O_CREAT, 0600) >= 0);
  say("opendir ''", opendir("") != NULL);
  say("stat ''", stat("", &st) == 0);
  say("lstat ''", lstat("", &st) == 0);
  say("fstatat ''", fstatat(AT_FDCWD, "", &st, 0) == 0);
  say("access ''", access("", F_OK) == 0);
  say("chdir ''", chdir("") == 0);
  say("mkdir ''", mkdir("", 0700) == 0);
  say("rmdir ''", rmdir("") == 0);
  say("unlink ''", unlink("") == 0);
  say("remove ''", remove("") == 0);
  say("rename ''", rename("", "b") == 0);
  say("rename to ''", rename("a", "") == 0);
  say("link ''", link("", "b") == 0);
  say("symlink ''", symlink("a", "") == 0);
  say("readlink ''", readlink("", text, sizeof text) >= 0);
  say("truncate ''", truncate("", 0) == 0);
  say("getcwd", getcwd(text, sizeof text) != NULL && strcmp(text, "/") == 0);
  say("chdir .", chdir(".") == 0);
  say("chdir /", chdir("//") == 0);
  say("getcwd", getcwd(text, sizeof text) != NULL && strcmp(text, "/") == 0);
}

int main(void) {
  char text[64] = "";
  struct stat st;
  say("fopen r", fopen("in.txt", "r") != NULL);
  say("fopen r+", fopen("/etc/passwd", "r+") != NULL);
  say("fopen w", fopen("out.txt", "w") != NULL);
  say("fopen a", fopen("/tmp/log", "a") != NULL);
  say("open .", open(".", O_RDONLY) >= 0);
  say("opendir /", opendir("/") != NULL);
  say("opendir data", opendir("data") != NULL);
  say("getcwd", getcwd(text, sizeof text) != NULL && strcmp(text, "/") == 0);
  say("stat .", stat(".", &st) == 0 && S_ISDIR(st.st_mode));
  say("stat file", stat("file", &st) == 0);
  say("access", access("file", R_OK) == 0);
  say("chdir", chdir("/tmp") == 0);
  say("mkdir", mkdir("d", 0700) == 0);
  say("mkdir /", mkdir("/", 0700) == 0);
  say("rmdir", rmdir("d") == 0);
  say("unlink", unlink("file") == 0);
  say("rename", rename("a", "b") == 0);
  say("link", link("a", "b") == 0);
  say("symlink", symlink("a", "b") == 0);
  say("readlink", readlink("a", text, sizeof text) >= 0);
  say("lseek", lseek(STDOUT_FILENO, 0, SEEK_CUR) >= 0);
  say("ftruncate", ftruncate(STDOUT_FILENO, 0) == 0);
  say("close", close(4) == 0);
  say("tmpfile", tmpfile() != NULL);
  say("system", system("ls") == 0);
  say("a shell", system(NULL) != 0);
  say("gethostname", gethostname(text, sizeof text) == 0 && *text != 0);
  say("gethostname, no room", gethostname(text, 1) == 0);
  nameless();
  return 0;
}
