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

#if defined(_LARGEFILE64_SOURCE) || defined(_GNU_SOURCE)
#ifndef lockf64
#define lockf64 lockf
#endif
#ifndef truncate64
#define truncate64 truncate
#define ftruncate64 ftruncate
#endif
#endif

/* What a rank cannot have is declared, so that a source compiles that has it in what the program does not use. Where it is used, the link says why it is not there. */
int dup(int);
int dup2(int, int);
int pipe(int[2]);
pid_t fork(void);
int execl(const char *, const char *, ...);
int execle(const char *, const char *, ...);
int execlp(const char *, const char *, ...);
int execv(const char *, char *const[]);
int execve(const char *, char *const[], char *const[]);
int execvp(const char *, char *const[]);
int fexecve(int, char *const[], char *const[]);
unsigned alarm(unsigned);
int pause(void);
pid_t setsid(void);
int setpgid(pid_t, pid_t);
int setuid(uid_t);
int seteuid(uid_t);
int setgid(gid_t);
int setegid(gid_t);

#if defined(_GNU_SOURCE) || defined(_BSD_SOURCE)
int getpagesize(void);
pid_t vfork(void);
int daemon(int, int);
int chroot(const char *);
int getdtablesize(void);
int getdomainname(char *, size_t);
char *getwd(char *);
void closefrom(int);
int issetugid(void);
#endif

#ifdef _GNU_SOURCE
pid_t gettid(void);
int dup3(int, int, int);
int pipe2(int[2], int);
int execvpe(const char *, char *const[], char *const[]);
char *get_current_dir_name(void);
int euidaccess(const char *, int);
int eaccess(const char *, int);
int syncfs(int);
#endif

#ifdef __cplusplus
}
#endif

#endif /* GODWIT_UNISTD_H */
