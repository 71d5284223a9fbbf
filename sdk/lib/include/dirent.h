/* dirent.h: wasi-libc's, and the kinds of files that it has no names for. */
#ifndef GODWIT_DIRENT_H
#define GODWIT_DIRENT_H

#include_next <dirent.h>

#ifndef DT_FIFO
#define DT_FIFO 1
#endif
#ifndef DT_SOCK
#define DT_SOCK __WASI_FILETYPE_SOCKET_DGRAM
#endif

#endif /* GODWIT_DIRENT_H */
