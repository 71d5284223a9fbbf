/*
 * setjmp.h: jumps out of functions, which clang compiles and the glue does (godwit_try.h). The signals' mask is kept by sigsetjmp
 * if it is asked to, and by no other.
 */
#ifndef GODWIT_SETJMP_H
#define GODWIT_SETJMP_H

#include <features.h>

typedef struct __jmp_buf_tag {
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
struct __jmp_buf_tag *godwit_keep_mask(struct __jmp_buf_tag *, int);
struct __jmp_buf_tag *godwit_take_mask(struct __jmp_buf_tag *);

#ifdef __cplusplus
}
#endif

#define setjmp setjmp
#define _setjmp(at) setjmp(at)
#define _longjmp(at, value) longjmp(at, value)
#define sigsetjmp(at, mask) setjmp(godwit_keep_mask(at, mask))
#define siglongjmp(at, value) longjmp(godwit_take_mask(at), value)

#endif /* GODWIT_SETJMP_H */
