/*
 * What a program does with files, with a chance to be moved between any two steps. Each rank has a directory of its own, and one file is shared. It ends
 * with the number of the line that was not as POSIX says.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <godwit.h>
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/uio.h>
#include <unistd.h>

static int rank, size;

#define CHECK(what)                                                                              \
  do {                                                                                           \
    errno = 0;                                                                                   \
    if (!(what)) {                                                                               \
      fprintf(stderr, "%s:%d: %s: errno %d (%s)\n", __FILE__, __LINE__, #what, errno, strerror(errno)); \
      MPI_Abort(MPI_COMM_WORLD, 1);                                                              \
    }                                                                                            \
    godwit_migration_point();                                                                    \
  } while (0)
#define FAILS(what, why) CHECK((what) < 0 && errno == (why))

static void streams(void) {
  char line[64];
  FILE *f, *g;
  CHECK((f = fopen("text", "w")) != NULL);
  for (int i = 0; i < 100; i++) CHECK(fprintf(f, "line %d\n", i) > 0);
  CHECK(fclose(f) == 0);
  CHECK((f = fopen("text", "r")) != NULL);
  for (int i = 0; i < 100; i++) {
    char want[64];
    sprintf(want, "line %d\n", i);
    CHECK(fgets(line, sizeof line, f) != NULL && strcmp(line, want) == 0);
    if (i == 50) CHECK((g = fopen("other", "w+")) != NULL && fputs("x", g) >= 0 && fclose(g) == 0);
  }
  CHECK(fgets(line, sizeof line, f) == NULL && feof(f));
  CHECK(fseek(f, 5, SEEK_SET) == 0 && fgetc(f) == '0' && ftell(f) == 6);
  CHECK(fclose(f) == 0);
  CHECK((f = fopen("text", "a")) != NULL && fputs("end\n", f) >= 0 && fclose(f) == 0);
  CHECK((f = fopen("text", "r+")) != NULL && fseek(f, -4, SEEK_END) == 0 && fgets(line, sizeof line, f) && strcmp(line, "end\n") == 0 && fclose(f) == 0);
  CHECK((f = tmpfile()) != NULL);
  for (int i = 0; i < 20; i++) CHECK(fprintf(f, "%d ", i * rank) > 0);
  rewind(f);
  for (int i = 0, v; i < 20; i++) CHECK(fscanf(f, "%d", &v) == 1 && v == i * rank);
  CHECK(fclose(f) == 0);
  char name[L_tmpnam], *made = tempnam(NULL, "pre");
  CHECK(tmpnam(name) == name && strncmp(name, "/tmp/", 5) == 0 && made != NULL && strncmp(made, "/tmp/pre", 8) == 0);
  free(made);
  CHECK((f = fopen("/dev/null", "w")) != NULL && fputs("gone", f) >= 0 && fclose(f) == 0);
  CHECK((f = fopen("/dev/null", "a")) != NULL && fputs("gone", f) >= 0 && fclose(f) == 0);
  CHECK((f = fopen("short", "w")) != NULL && fputs("ab", f) >= 0 && fclose(f) == 0);
  CHECK((f = fopen("short", "r")) != NULL && fgetc(f) == 'a' && fgetc(f) == 'b' && fgetc(f) == EOF && ungetc('x', f) == 'x' && fgetc(f) == 'x' && fgetc(f) == EOF);
  CHECK(ftell(f) == 2 && fclose(f) == 0 && remove("short") == 0);
  CHECK((f = fopen("/dev/zero", "r")) != NULL && fgetc(f) == 0 && fgetc(f) == 0 && fclose(f) == 0);
}

/* A stream that is read in pieces of all sizes, with jumps, bytes put back and places asked for between, has what the file has; so has one whose buffer the program gives or takes away. */
static void pieces(void) {
  enum { LENGTH = 150000 };
  static char of[LENGTH], got[9000], own[5000];
  unsigned seed = 1 + rank;
  FILE *f;
  for (int i = 0; i < LENGTH; i++) of[i] = i % 61 == 60 ? '\n' : 'a' + (seed = seed * 1103515245 + 12345) / 65536 % 26;
  CHECK((f = fopen("pieces", "w")) != NULL && fwrite(of, 1, LENGTH, f) == LENGTH && fclose(f) == 0);
  for (int how = 0; how < 5; how++) {
    CHECK((f = fopen("pieces", how == 4 ? "r+" : "r")) != NULL);
    if (how == 1) CHECK(setvbuf(f, own, _IOFBF, sizeof own) == 0);
    if (how == 2) CHECK(setvbuf(f, NULL, _IONBF, 0) == 0);
    long at = 0;
    for (int turn = 0; turn < 400; turn++) {
      size_t want = (seed = seed * 1103515245 + 12345) / 65536 % (turn % 50 == 0 ? sizeof got : 600), n;
      switch (seed / 65536 % 9) {
        case 0: at = seed / 8 % LENGTH; CHECK(fseek(f, at, SEEK_SET) == 0); break;
        case 1:
          if (at + 700 < LENGTH) {
            CHECK(fseek(f, 50, SEEK_CUR) == 0);
            at += 50;
          }
          break;
        case 2:
          if (at > 700) {
            CHECK(fseek(f, -700, SEEK_CUR) == 0);
            at -= 700;
          }
          break;
        case 3: CHECK(ftell(f) == at); break;
        case 4:
          if (at < LENGTH) {
            CHECK(fgetc(f) == of[at] && ungetc('!', f) == '!' && fgetc(f) == '!');
            at++;
          }
          break;
        case 5:
          if (at < LENGTH) {
            CHECK(fgets(got, sizeof got, f) != NULL);
            n = strlen(got);
            CHECK(memcmp(got, of + at, n) == 0 && (got[n - 1] == '\n' || at + (long)n == LENGTH));
            at += n;
          }
          break;
        case 6:
          if (how == 3) {
            CHECK(freopen("pieces", "r", f) == f);
            at = 0;
          }
          break;
      }
      n = fread(got, 1, want, f);
      CHECK(n == (at + want > LENGTH ? (size_t)(LENGTH - at) : want) && memcmp(got, of + at, n) == 0);
      at += n;
      if (n < want) {
        CHECK(feof(f));
        rewind(f);
        at = 0;
      }
      if (how == 4 && turn % 20 == 0) {
        CHECK(fseek(f, at = seed / 8 % (LENGTH - 9), SEEK_SET) == 0 && fwrite("REWRITTEN", 1, 9, f) == 9 && fseek(f, at, SEEK_SET) == 0);
        memcpy(of + at, "REWRITTEN", 9);
      }
    }
    CHECK(fclose(f) == 0);
  }
  CHECK(remove("pieces") == 0);
}

static void descriptors(void) {
  char b[16] = "";
  struct stat st, st2;
  int fd, fd2 = -1;
  CHECK((fd = open("data", O_RDWR | O_CREAT | O_EXCL, 0644)) >= 0);
  FAILS(open("data", O_RDWR | O_CREAT | O_EXCL, 0644), EEXIST);
  CHECK(write(fd, "0123456789", 10) == 10 && lseek(fd, 0, SEEK_CUR) == 10);
  CHECK(pwrite(fd, "ab", 2, 3) == 2 && pread(fd, b, 4, 2) == 4 && memcmp(b, "2ab5", 4) == 0 && lseek(fd, 0, SEEK_CUR) == 10);
  CHECK(lseek(fd, 1, SEEK_SET) == 1 && read(fd, b, 3) == 3 && memcmp(b, "12a", 3) == 0);
  CHECK(ftruncate(fd, 100) == 0 && fstat(fd, &st) == 0 && st.st_size == 100 && S_ISREG(st.st_mode));
  CHECK(rename("data", "renamed") == 0);
  CHECK(stat("renamed", &st2) == 0 && st2.st_ino == st.st_ino && st2.st_nlink == 1);
  CHECK(pwrite(fd, "Z", 1, 99) == 1);
  CHECK(unlink("renamed") == 0);
  FAILS(stat("renamed", &st2), ENOENT);
  CHECK(pread(fd, b, 2, 98) == 1 + 1 && b[1] == 'Z');
  CHECK(fstat(fd, &st) == 0 && st.st_nlink == 0 && st.st_size == 100);
  CHECK(close(fd) == 0);
  FAILS(close(fd), EBADF);
  CHECK((fd = open("log", O_WRONLY | O_CREAT | O_APPEND, 0644)) >= 0 && (fd2 = open("log", O_WRONLY | O_APPEND)) >= 0);
  CHECK(write(fd, "one", 3) == 3 && write(fd2, "two", 3) == 3 && write(fd, "three", 5) == 5 && fstat(fd, &st) == 0 && st.st_size == 11);
  struct iovec parts[2] = {{"four", 4}, {"five", 4}};
  CHECK(writev(fd2, parts, 2) == 8 && lseek(fd2, 0, SEEK_END) == 19);
  FAILS(read(fd, b, 1), EBADF);
  CHECK(close(fd) == 0 && close(fd2) == 0);
  CHECK((fd = open("log", O_RDONLY)) >= 0 && read(fd, b, 11) == 11 && memcmp(b, "onetwothree", 11) == 0);
  FAILS(write(fd, b, 1), EBADF);
  CHECK(close(fd) == 0 && truncate("log", 3) == 0 && stat("log", &st) == 0 && st.st_size == 3);
  CHECK(open("log", O_WRONLY | O_TRUNC) >= 0 && stat("log", &st) == 0 && st.st_size == 0);
  struct timespec times[2] = {{1000, 5}, {2000, 7}};
  CHECK(utimensat(AT_FDCWD, "log", times, 0) == 0 && stat("log", &st) == 0 && st.st_mtim.tv_sec == 2000 && st.st_mtim.tv_nsec == 7 && st.st_atim.tv_sec == 1000);
}

static void directories(void) {
  struct stat st;
  char b[64];
  int fd;
  CHECK(mkdir("d", 0755) == 0);
  FAILS(mkdir("d", 0755), EEXIST);
  FAILS(rmdir("none"), ENOENT);
  CHECK(chdir("d") == 0);
  for (int i = 0; i < 200; i++) {
    char name[32];
    sprintf(name, "file-%03d", i);
    CHECK((fd = open(name, O_WRONLY | O_CREAT, 0644)) >= 0 && close(fd) == 0);
  }
  CHECK(chdir("..") == 0);
  FAILS(rmdir("d"), ENOTEMPTY);
  FAILS(unlink("d"), EISDIR);
  DIR *dir;
  struct dirent *e;
  int seen = 0, dots = 0;
  CHECK((dir = opendir("d")) != NULL);
  while ((e = readdir(dir)) != NULL) {
    int n;
    if (e->d_name[0] == '.') {
      dots++;
      continue;
    }
    CHECK(sscanf(e->d_name, "file-%d", &n) == 1 && n == seen && e->d_type == DT_REG);
    seen++;
    sprintf(b, "d/%s", e->d_name);
    CHECK(unlink(b) == 0);
  }
  CHECK(seen == 200 && dots == 2 && closedir(dir) == 0);
  CHECK((fd = open("d", O_RDONLY | O_DIRECTORY)) >= 0);
  CHECK(mkdirat(fd, "sub", 0755) == 0 && rename("d", "e") == 0 && fstatat(fd, "sub", &st, 0) == 0 && S_ISDIR(st.st_mode));
  CHECK(unlinkat(fd, "sub", AT_REMOVEDIR) == 0 && close(fd) == 0 && rmdir("e") == 0);
  CHECK(symlink("text", "link") == 0 && readlink("link", b, sizeof b) == 4 && memcmp(b, "text", 4) == 0);
  CHECK(lstat("link", &st) == 0 && S_ISLNK(st.st_mode) && stat("link", &st) == 0 && S_ISREG(st.st_mode));
  FAILS(open("link", O_RDONLY | O_NOFOLLOW), ELOOP);
  CHECK(link("text", "hard") == 0 && stat("hard", &st) == 0 && st.st_nlink == 2);
  CHECK(symlink("/etc", "out") == 0 && symlink("../../..", "up") == 0);
  FAILS(open("out/passwd", O_RDONLY), EACCES);
  FAILS(open("up/etc/passwd", O_RDONLY), EACCES);
  FAILS(open("text/x", O_RDONLY), ENOTDIR);
  FAILS(open("/etc/passwd", O_RDONLY), ENOENT);
  FAILS(open("/x", O_WRONLY | O_CREAT, 0644), EROFS);
  FAILS(open("../../../../x", O_WRONLY | O_CREAT, 0644), EROFS);
  FAILS(open("", O_RDONLY), ENOENT);
  FAILS(rename("none", "n"), ENOENT);
  FAILS(rename("text", "/tmp/text"), EXDEV);
  CHECK(access("text", R_OK | W_OK) == 0 && access(".", R_OK | W_OK | X_OK) == 0 && faccessat(AT_FDCWD, "up", W_OK, AT_SYMLINK_NOFOLLOW) == 0);
  FAILS(access("text", X_OK), EACCES);
  FAILS(access("up", F_OK), EACCES);
  FAILS(access("/", W_OK), EROFS);
  FAILS(access("/dev", R_OK | W_OK), EROFS);
  CHECK(access("/", R_OK | X_OK) == 0 && access("/dev/null", R_OK | W_OK) == 0);
  FAILS(access("/dev/null", X_OK), EACCES);
  FAILS(access("text", 8), EINVAL);
  FAILS(rmdir("/work"), EBUSY);
  FAILS(rmdir("."), EINVAL);
  FAILS(unlink("."), EISDIR);
  FAILS(unlink("none/"), ENOENT);
  CHECK(chmod("text", 0600) == 0 && chown("text", 0, 0) == 0 && chmod("/dev/null", 0666) == 0 && fchmod(1, 0600) == 0);
  FAILS(chmod("none", 0600), ENOENT);
  FAILS(chmod("/", 0700), EROFS);
  CHECK(utimensat(AT_FDCWD, "text", (struct timespec[]){{.tv_sec = 5}, {.tv_nsec = UTIME_NOW}}, 0) == 0);
  CHECK(utimensat(AT_FDCWD, "text", (struct timespec[]){{.tv_nsec = UTIME_OMIT}, {.tv_sec = 7}}, 0) == 0);
  CHECK(stat("text", &st) == 0 && st.st_atim.tv_sec == 5 && st.st_mtim.tv_sec == 7);
  CHECK((dir = opendir("/")) != NULL);
  seen = 0;
  while ((e = readdir(dir)) != NULL) seen += strcmp(e->d_name, "work") == 0 || strcmp(e->d_name, "dev") == 0 || strcmp(e->d_name, "tmp") == 0;
  CHECK(seen == 3 && closedir(dir) == 0);
}

/* What one rank has written and closed, another reads. */
static void locks(void) {
  int fd;
  struct flock l = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
  struct statfs fs;
  CHECK(mknod("node", S_IFREG | 0600, 0) == 0);
  FAILS(mknod("node", S_IFREG | 0600, 0), EEXIST);
  FAILS(mknod("device", S_IFCHR | 0600, 0), EPERM);
  CHECK((fd = open("node", O_RDWR)) >= 0);
  CHECK(fcntl(fd, F_SETLKW, &l) == 0 && l.l_type == F_WRLCK);
  CHECK(fcntl(fd, F_GETLK, &l) == 0 && l.l_type == F_UNLCK); /* its own keeps it not out */
  FAILS(fcntl(fd, F_GETLK, &l), EINVAL);
  CHECK(fcntl(fd, F_SETLK, &l) == 0);
  /* Of open files: 10..19 but for 14, then all but 14 and what is beyond. */
  int other = open("node", O_RDWR);
  l = (struct flock){.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 10, .l_len = 10};
  CHECK(other >= 0 && fcntl(fd, F_OFD_SETLK, &l) == 0);
  l.l_type = F_UNLCK, l.l_start = 15, l.l_len = -1;
  CHECK(fcntl(fd, F_OFD_SETLK, &l) == 0);
  l.l_type = F_RDLCK, l.l_start = 14, l.l_len = 1;
  CHECK(fcntl(other, F_OFD_SETLK, &l) == 0);
  l.l_start = 13, l.l_len = 2;
  FAILS(fcntl(other, F_OFD_SETLK, &l), EAGAIN);
  l.l_start = 15, l.l_len = 0;
  CHECK(fcntl(other, F_OFD_GETLK, &l) == 0 && l.l_type == F_WRLCK && l.l_start == 15 && l.l_len == 5 && l.l_pid == -1);
  l = (struct flock){.l_type = F_RDLCK, .l_whence = SEEK_SET, .l_start = 20};
  CHECK(fcntl(other, F_OFD_SETLK, &l) == 0 && fcntl(fd, F_OFD_SETLK, &l) == 0); /* shared */
  l.l_type = F_WRLCK;
  FAILS(fcntl(fd, F_OFD_SETLK, &l), EAGAIN);
  CHECK(close(other) == 0);
  CHECK(fcntl(fd, F_OFD_SETLK, &l) == 0);
  l.l_start = -1;
  FAILS(fcntl(fd, F_OFD_SETLK, &l), EINVAL);
  CHECK((other = open("node", O_RDONLY)) >= 0);
  l.l_start = 0;
  FAILS(fcntl(other, F_SETLK, &l), EBADF);
  l.l_type = F_UNLCK;
  CHECK(fcntl(fd, F_OFD_SETLK, &l) == 0); /* else the next would wait for it */
  /* Neighbours of one owner are one lock; the rank's own is in an open file's way. */
  for (off_t at = 0; at < 10; at++) {
    l = (struct flock){.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = at, .l_len = 1};
    CHECK(fcntl(fd, F_SETLK, &l) == 0);
  }
  l = (struct flock){.l_type = F_RDLCK, .l_whence = SEEK_SET, .l_start = 5};
  CHECK(fcntl(other, F_OFD_GETLK, &l) == 0 && l.l_type == F_WRLCK && l.l_start == 0 && l.l_len == 10 && l.l_pid == getpid());
  l = (struct flock){.l_type = F_UNLCK, .l_whence = SEEK_SET};
  CHECK(fcntl(fd, F_SETLK, &l) == 0);
  int null = open("/dev/null", O_RDWR);
  l.l_type = F_WRLCK;
  CHECK(fcntl(null, F_SETLK, &l) == 0 && fcntl(null, F_GETLK, &l) == 0 && l.l_type == F_UNLCK && lockf(null, F_TEST, 0) == 0 && close(null) == 0);
  FAILS(flock(-1, LOCK_EX), EBADF);
  FAILS(lockf(-1, F_LOCK, 0), EBADF);
  CHECK(flock(0, LOCK_EX | LOCK_NB) == 0 && flock(1, LOCK_EX | LOCK_NB) == 0);
  /* freopen closes the file that its descriptor had. */
  FILE *f = fopen("node", "r+");
  CHECK(f != NULL && flock(fileno(f), LOCK_EX) == 0);
  FAILS(flock(other, LOCK_SH | LOCK_NB), EAGAIN);
  CHECK((f = freopen("node2", "w", f)) != NULL && flock(other, LOCK_EX | LOCK_NB) == 0 && flock(other, LOCK_UN) == 0 && fclose(f) == 0);
  CHECK(flock(fd, LOCK_EX) == 0 && flock(fd, LOCK_SH) == 0 && flock(other, LOCK_SH) == 0);
  FAILS(flock(other, LOCK_EX | LOCK_NB), EAGAIN);
  CHECK(flock(fd, LOCK_UN) == 0 && flock(other, LOCK_EX | LOCK_NB) == 0 && close(other) == 0);
  CHECK(lockf(fd, F_LOCK, 0) == 0 && lockf(fd, F_TEST, 5) == 0 && lockf(fd, F_ULOCK, 0) == 0);
  FAILS(flock(fd, 77), EINVAL);
  l = (struct flock){.l_type = F_WRLCK, .l_whence = SEEK_SET};
  CHECK(fcntl(fd, F_SETFL, O_APPEND) == 0 && fcntl(fd, F_GETFL) & O_APPEND);
  CHECK(close(fd) == 0);
  FAILS(fcntl(fd, F_SETLK, &l), EBADF);
  FAILS(statfs("node", &fs), ENOSYS);
}

static int file_of(const char *name, off_t length) {
  int fd = open(name, O_RDWR | O_CREAT | O_TRUNC, 0644);
  CHECK(fd >= 0 && ftruncate(fd, length) == 0);
  return fd;
}

/* Stores in a shared mapping reach the file, though its descriptor is closed, and its name may be gone. */
static void mapped(void) {
  enum { length = 70000 };
  char b[16], *m, *n;
  int fd = file_of("mapped", length), other;
  CHECK((m = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)) != MAP_FAILED && (size_t)m % 65536 == 0);
  CHECK(m[0] == 0 && m[length - 1] == 0);
  memcpy(m + 10, "text", 4), memcpy(m + length - 3, "end", 3);
  CHECK(close(fd) == 0);
  FAILS(close(fd), EBADF);
  CHECK((other = open("text", O_RDONLY)) == fd && close(other) == 0);
  CHECK(msync(m, length, MS_SYNC) == 0);
  CHECK((fd = open("mapped", O_RDWR)) >= 0);
  CHECK(pread(fd, b, 4, 10) == 4 && memcmp(b, "text", 4) == 0 && pread(fd, b, 16, length - 3) == 3 && memcmp(b, "end", 3) == 0);
  CHECK(pwrite(fd, "else", 4, 4096) == 4 && pwrite(fd, "lost", 4, 20) == 4);
  memcpy(m + 20, "kept", 4);
  CHECK(msync(m, length, MS_SYNC | MS_INVALIDATE) == 0 && memcmp(m + 4096, "else", 4) == 0 && memcmp(m + 20, "kept", 4) == 0);
  CHECK((n = mmap(NULL, 100, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 4096)) != MAP_FAILED && memcmp(n, "else", 4) == 0);
  n[0] = 'f', n[1000] = 'x';
  CHECK(munmap(n, 100) == 0 && pread(fd, b, 1, 4096) == 1 && b[0] == 'e');
  memcpy(m + 30, "last", 4);
  FAILS(munmap(m, 10), EINVAL);
  FAILS(msync(m + 1, 10, MS_SYNC), EINVAL);
  FAILS(msync(m, length, MS_SYNC | MS_ASYNC), EINVAL);
  FAILS(msync(m, 1 << 20, MS_SYNC), ENOMEM);
  CHECK(posix_madvise(m, length, POSIX_MADV_WILLNEED) == 0 && posix_madvise(m, length, 99) == EINVAL && madvise(m, length, MADV_SEQUENTIAL) == 0);
  CHECK(ftruncate(fd, 32) == 0 && munmap(m, length) == 0);
  CHECK(pread(fd, b, 16, 20) == 12 && memcmp(b, "kept", 4) == 0 && memcmp(b + 10, "la", 2) == 0 && close(fd) == 0);
  CHECK((fd = open("mapped", O_RDONLY)) >= 0);
  CHECK(mmap(NULL, 32, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED && errno == EACCES);
  CHECK(mmap(NULL, 32, PROT_READ, MAP_SHARED, fd, 100) == MAP_FAILED && errno == EINVAL);
  CHECK(close(fd) == 0 && mmap(NULL, 32, PROT_READ, MAP_SHARED, fd, 0) == MAP_FAILED && errno == EBADF);
  CHECK((m = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)) != MAP_FAILED);
  m[length - 1] = 1;
  CHECK(madvise(m, length, MADV_DONTNEED) == 0 && m[length - 1] == 0 && munmap(m, length) == 0);
}

/* What ranks have stored beside each other, in turn and at once, is all there, also that which nobody has synchronized before the end (the host looks). */
static void mapped_by_all(void) {
  int fd, own[2] = {rank + 1, 0}, *m;
  if (rank == 0) CHECK(close(file_of("../ints", 4000L * size)) == 0 && close(file_of("../ends", 4L * size)) == 0);
  MPI_Barrier(MPI_COMM_WORLD);
  CHECK((fd = open("../ints", O_RDWR)) >= 0 && (m = mmap(NULL, 4000 * size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)) != MAP_FAILED);
  for (int i = rank; i < 1000 * size; i += size) m[i] = rank + 1;
  CHECK(msync(m, 4000 * size, MS_SYNC) == 0);
  MPI_Barrier(MPI_COMM_WORLD);
  CHECK(msync(m, 4000 * size, MS_INVALIDATE) == 0);
  for (int i = 0; i < 1000 * size; i++) own[1] += m[i] == i % size + 1;
  CHECK(own[1] == 1000 * size);
  MPI_Barrier(MPI_COMM_WORLD);
  for (int i = 0; i < 4000 * size; i++) {
    if (i % size == rank) ((char *)m)[i] = (char)(i + rank);
  }
  CHECK(msync(m, 4000 * size, MS_SYNC) == 0);
  MPI_Barrier(MPI_COMM_WORLD);
  CHECK(msync(m, 4000 * size, MS_INVALIDATE) == 0);
  for (int i = own[1] = 0; i < 4000 * size; i++) own[1] += ((char *)m)[i] == (char)(i + i % size);
  CHECK(own[1] == 4000 * size && munmap(m, 4000 * size) == 0 && close(fd) == 0);
  CHECK((fd = open("../ends", O_RDWR)) >= 0 && (m = mmap(NULL, 4 * size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)) != MAP_FAILED && close(fd) == 0);
  m[rank] = own[0];
}

static void shared(void) {
  char b[32], want[32];
  FILE *f;
  for (int turn = 0; turn < size; turn++) {
    if (rank == turn) CHECK((f = fopen("../turn", "w")) != NULL && fprintf(f, "turn %d", turn) > 0 && fclose(f) == 0);
    MPI_Barrier(MPI_COMM_WORLD);
    sprintf(want, "turn %d", turn);
    CHECK((f = fopen("../turn", "r")) != NULL && fgets(b, sizeof b, f) && strcmp(b, want) == 0 && fclose(f) == 0);
    MPI_Barrier(MPI_COMM_WORLD);
  }
  int fd, one = -1, mine;
  CHECK((mine = (fd = open("../lock", O_WRONLY | O_CREAT | O_EXCL, 0644)) >= 0) || errno == EEXIST);
  MPI_Allreduce(&mine, &one, 1, MPI_INT, MPI_SUM, MPI_COMM_WORLD);
  CHECK(one == 1);
  CHECK((fd = open("../all", O_WRONLY | O_CREAT | O_APPEND, 0644)) >= 0);
  for (int i = 0; i < 50; i++) {
    sprintf(b, "%03d:%03d\n", rank, i);
    CHECK(write(fd, b, 8) == 8);
  }
  CHECK(close(fd) == 0);
  MPI_Barrier(MPI_COMM_WORLD);
  int next = 0, r, i;
  long lines = 0;
  CHECK((f = fopen("../all", "r")) != NULL);
  while (fgets(b, sizeof b, f) != NULL) {
    CHECK(sscanf(b, "%d:%d", &r, &i) == 2);
    if (r == rank) CHECK(i == next++);
    lines++;
  }
  CHECK(next == 50 && lines == 50L * size && fclose(f) == 0);
}

int main(int argc, char **argv) {
  char cwd[256], own[16];
  MPI_Init(&argc, &argv);
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  CHECK(getcwd(cwd, sizeof cwd) != NULL && strcmp(cwd, "/work") == 0);
  sprintf(own, "rank%d", rank);
  CHECK(mkdir(own, 0755) == 0 && chdir(own) == 0);
  streams();
  pieces();
  descriptors();
  directories();
  locks();
  mapped();
  mapped_by_all();
  shared();
  CHECK(freopen("stdout", "w", stdout) != NULL && printf("into the file\n") > 0 && fflush(stdout) == 0);
  struct stat st;
  CHECK(stat("stdout", &st) == 0 && st.st_size == 14);
  CHECK(freopen("/dev/stdout", "w", stderr) == NULL || fflush(stderr) == 0);
  MPI_Finalize();
  if (rank == 1) exit(0);
  if (rank == 2) _exit(0);
  return 0;
}
