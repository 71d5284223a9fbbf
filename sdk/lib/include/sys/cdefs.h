/*
 * sys/cdefs.h: what headers write around their declarations. It has names of GNU's C library alone: those of BSD's (__unused and the like) are names of fields in other headers, and
 * programs define them.
 */
#ifndef _SYS_CDEFS_H
#define _SYS_CDEFS_H

#include <features.h>

#ifdef __cplusplus
#define __BEGIN_DECLS extern "C" {
#define __END_DECLS }
#else
#define __BEGIN_DECLS
#define __END_DECLS
#endif

#undef __P
#define __P(arguments) arguments
#ifndef __CONCAT
#define __CONCAT(x, y) x##y
#define __STRING(x) #x
#endif
#ifndef __THROW
#if !defined __cplusplus
#define __THROW
#elif __cplusplus >= 201103L
#define __THROW noexcept(true)
#else
#define __THROW throw()
#endif
#endif
#ifndef __nonnull
#define __nonnull(arguments) __attribute__((__nonnull__ arguments))
#define __wur
#define __attribute_malloc__ __attribute__((__malloc__))
#define __attribute_pure__ __attribute__((__pure__))
#define __attribute_const__ __attribute__((__const__))
#define __attribute_deprecated__ __attribute__((__deprecated__))
#define __attribute_noinline__ __attribute__((__noinline__))
#define __attribute_used__ __attribute__((__used__))
#endif

#endif /* _SYS_CDEFS_H */
