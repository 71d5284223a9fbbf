/* sys/socket.h: wasi-libc's, and the types that come with it elsewhere. */
#include_next <sys/socket.h>
#include <sys/types.h>
