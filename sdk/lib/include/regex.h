/* regex.h: wasi-libc's, and the types that come with it elsewhere. */
#include_next <regex.h>
#include <sys/types.h>
