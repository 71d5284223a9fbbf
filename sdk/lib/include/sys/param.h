/* sys/param.h: wasi-libc's, and what comes with it elsewhere. */
#include_next <sys/param.h>
#include <sys/types.h>
#include <signal.h>
