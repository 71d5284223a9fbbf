/* fcntl.h: wasi-libc's, and the locks of records, which are between the ranks of an app. */
#ifndef GODWIT_FCNTL_H
#define GODWIT_FCNTL_H

#include_next <fcntl.h>

#ifndef F_SETLK
#define F_GETLK 12
#define F_SETLK 13
#define F_SETLKW 14
#define F_RDLCK 0
#define F_WRLCK 1
#define F_UNLCK 2
#endif

#if (defined(_GNU_SOURCE) || defined(_LARGEFILE64_SOURCE)) && !defined(O_LARGEFILE)
#define O_LARGEFILE 0 /* all files may be */
#endif

#if (defined(_GNU_SOURCE) || defined(_LARGEFILE64_SOURCE)) && !defined(F_SETLK64)
#define F_GETLK64 F_GETLK
#define F_SETLK64 F_SETLK
#define F_SETLKW64 F_SETLKW
#define flock64 flock
#endif

#if defined(_GNU_SOURCE) && !defined(F_OFD_SETLK)
#define F_OFD_GETLK 36
#define F_OFD_SETLK 37
#define F_OFD_SETLKW 38
#endif

#ifdef _GNU_SOURCE
#ifdef __cplusplus
extern "C" {
#endif
int fallocate(int, int, off_t, off_t);
#ifdef __cplusplus
}
#endif
#ifndef fallocate64
#define fallocate64 fallocate
#endif
#ifndef FALLOC_FL_KEEP_SIZE
#define FALLOC_FL_KEEP_SIZE 1
#define FALLOC_FL_PUNCH_HOLE 2
#endif
#endif

#endif /* GODWIT_FCNTL_H */
