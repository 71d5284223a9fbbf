/* sys/stat.h: wasi-libc's, and what it leaves out. A guest's files have no modes: to set one of a file that is there does nothing. */
#ifndef GODWIT_SYS_STAT_H
#define GODWIT_SYS_STAT_H

#include_next <sys/stat.h>

#ifdef __cplusplus
extern "C" {
#endif

int chmod(const char *, mode_t);
int fchmod(int, mode_t);
int fchmodat(int, const char *, mode_t, int);
int lchmod(const char *, mode_t);
mode_t umask(mode_t);
int mkfifo(const char *, mode_t);
int mknod(const char *, mode_t, dev_t);
int mknodat(int, const char *, mode_t, dev_t);

#ifdef __cplusplus
}
#endif

#endif /* GODWIT_SYS_STAT_H */
