/* sys/uio.h: wasi-libc's, and the types that come with it elsewhere. */
#include_next <sys/uio.h>
#include <sys/types.h>
