/*
 * setjmp.h: jumps out of functions, which clang compiles and the glue does (godwit_try.h). The signals' mask is not kept: nothing
 * blocks them.
 */
#ifndef GODWIT_SETJMP_H
#define GODWIT_SETJMP_H

#include <features.h>

typedef struct {
  void *__call;
  unsigned __label;
  unsigned long __more[6];
} jmp_buf[1];
typedef jmp_buf sigjmp_buf;

#ifdef __cplusplus
extern "C" {
#endif

int setjmp(jmp_buf) __attribute__((__returns_twice__));
_Noreturn void longjmp(jmp_buf, int);

#ifdef __cplusplus
}
#endif

#define setjmp setjmp
#define _setjmp(at) setjmp(at)
#define _longjmp(at, value) longjmp(at, value)
#define sigsetjmp(at, mask) ((void)(mask), setjmp(at))
#define siglongjmp(at, value) longjmp(at, value)

#endif /* GODWIT_SETJMP_H */
