/* wasi-libc's, which takes max_align_t for granted; in C before 2011 nobody has declared that. */
#include <__stddef_max_align_t.h>
#include_next <__struct_sockaddr.h>
