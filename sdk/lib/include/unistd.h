/* unistd.h: wasi-libc's, and what it leaves out. A rank is the only process that it sees, and no user of a machine. */
#ifndef GODWIT_UNISTD_H
#define GODWIT_UNISTD_H

#include_next <unistd.h>

#define __NEED_uid_t
#define __NEED_gid_t
#define __NEED_pid_t
#include <bits/alltypes.h>

#ifdef __cplusplus
extern "C" {
#endif

pid_t getppid(void);
pid_t getpgrp(void);
pid_t getpgid(pid_t);
pid_t getsid(pid_t);
uid_t getuid(void);
uid_t geteuid(void);
gid_t getgid(void);
gid_t getegid(void);
int getgroups(int, gid_t[]);
char *ttyname(int);
int ttyname_r(int, char *, size_t);
int chown(const char *, uid_t, gid_t);
int fchown(int, uid_t, gid_t);
int lchown(const char *, uid_t, gid_t);
int nice(int);
void sync(void);
int lockf(int, int, off_t);

#if defined(_GNU_SOURCE) || defined(_BSD_SOURCE)
int getpagesize(void);
int getdtablesize(void);
int getdomainname(char *, size_t);
int issetugid(void);
#endif

#ifdef _GNU_SOURCE
pid_t gettid(void);
char *get_current_dir_name(void);
int euidaccess(const char *, int);
int eaccess(const char *, int);
int syncfs(int);
#endif

#ifdef __cplusplus
}
#endif

#endif /* GODWIT_UNISTD_H */
