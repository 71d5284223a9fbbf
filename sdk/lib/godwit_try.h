/*
 * Exceptions and longjmp, by what stops and moves a rank: asyncify.
 *
 * clang compiles a call under a try (or in a function that calls setjmp) to a call of invoke_SIG(f, arguments...), and looks at __THREW__
 * behind it. A throw starts to unwind, as a freeze does: each function saves its frame and returns to its caller, up to the innermost
 * invoke_SIG. That ends the unwinding, puts the stack pointer back, and sets __THREW__; the frames that were saved are forgotten. A freeze
 * passes through it.
 *
 * What the functions here are to asyncify (Binaryen) follows from what they call: one with start_unwind in it is not instrumented, but its
 * callers are; one with stop_unwind is not, nor are its callers for its sake. So an invoke_SIG that can end an unwinding and is passed by
 * another has a call of start_unwind that is never made, and has that of stop_unwind elsewhere, in godwit_landed.
 *
 * Since an invoke_SIG is not instrumented it runs from its beginning when a frozen rank goes on, with the same arguments. The stack pointer is
 * the innermost frame's then, so where each of them found it is kept in godwit_try_stacks, and is not written again: while frames are
 * yet to be taken up, the unwind area is not empty. For the same reason it must have nothing on the stack itself: it would put the stack
 * pointer back when a freeze passes through it, and take from it when the rank goes on (TestTriesHaveNoFrames).
 */
#ifndef GODWIT_TRY_H
#define GODWIT_TRY_H

#include <stdint.h>

#define GODWIT_ASYNCIFY(function) __attribute__((import_module("asyncify"), import_name(#function)))

GODWIT_ASYNCIFY(start_unwind) void godwit_start_unwind(void *area);
GODWIT_ASYNCIFY(stop_unwind) void godwit_stop_unwind(void);

struct godwit_unwind_area { /* godwit_unwind.c */
  uint32_t position, end;
  unsigned char *start;
  uint32_t capacity;
};
extern struct godwit_unwind_area godwit_unwind_area;

enum { GODWIT_TRIES = 1 << 19 }; /* how deep they may be nested: more than the stack holds */
extern uint32_t godwit_try_stacks[GODWIT_TRIES];
extern uint32_t godwit_try_depth; /* how many are on the stack */
extern uint32_t godwit_thrown;    /* what __THREW__ will be: 1 for an exception, a jmp_buf's address; 0: nothing is on its way */

__asm__(".globaltype __stack_pointer, i32");

static inline uint32_t godwit_stack_pointer(void) {
  uint32_t at;
  __asm__ volatile("global.get __stack_pointer\n\tlocal.set %0" : "=r"(at));
  return at;
}

int godwit_landed(void);   /* ends the unwinding of a throw; the result is 0, which no compiler knows */
__attribute__((cold, noinline, noreturn)) void godwit_too_deep(void);

typedef int godwit_vector __attribute__((vector_size(16)));
void *godwit_match(void **types, int count); /* cxx/godwit_raise.cpp */

/* One call under a try. */
#ifdef GODWIT_NO_THROWS
#define GODWIT_TRY(call) call
#else
#define GODWIT_TRY(call)                                                            \
  if (godwit_unwind_area.position == (uint32_t)godwit_unwind_area.start) {          \
    if (__builtin_expect(godwit_try_depth == GODWIT_TRIES, 0)) godwit_too_deep();   \
    godwit_try_stacks[godwit_try_depth] = godwit_stack_pointer();                   \
  }                                                                                 \
  godwit_try_depth++;                                                               \
  call;                                                                             \
  godwit_try_depth--;                                                               \
  if (__builtin_expect(godwit_thrown != 0, 0) && godwit_landed()) godwit_start_unwind(0)
#endif

#endif /* GODWIT_TRY_H */
