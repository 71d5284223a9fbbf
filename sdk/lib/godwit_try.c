/* Where throws and jumps begin and end; see godwit_try.h. Linked into programs that have any. */
#include "godwit_try.h"

#include "godwit_words.h"

/* clang removes these where it sees nobody use them, be they defined. */
__attribute__((used)) uint32_t __THREW__, __threwValue;

uint32_t godwit_try_depth;
#ifndef GODWIT_NO_THROWS
uint32_t godwit_try_stacks[GODWIT_TRIES];
uint32_t godwit_thrown;
static uint32_t value;
static volatile int never;
#endif

static uint32_t second; /* the second result of a call that has two: of LLVM's making */
void setTempRet0(uint32_t result) { second = result; }
uint32_t getTempRet0(void) { return second; }

/*
 * Where none of the types has the exception the second result is 0, and not below it: clang takes that for an exception that the function's throw(X) does not allow, and does not
 * say which that has.
 */
static void *godwit_matched(void **types, int count) {
  void *exception = godwit_match(types, count);
  if (second == UINT32_MAX) second = 0;
  return exception;
}

/* setjmp, as clang compiles it: a jmp_buf knows the call of the function that has set it, by the address of a local, and where in it. */
struct godwit_jump {
  void *call;
  uint32_t label;
};

#ifndef GODWIT_NO_THROWS
void godwit_too_deep(void) { godwit_die("more than %d calls are under a try at once", GODWIT_TRIES); }

/*
 * passes says whether a jump is to a function farther out than that of the innermost try: the next try's is not above the local by which that function is known. A function with a
 * try does not go on with a jump where nothing in its file mentions setjmp or longjmp.
 */
static int passes(void) {
  const struct godwit_jump *to = (const struct godwit_jump *)godwit_thrown;
  return godwit_thrown != 1 && godwit_try_depth > 0 && godwit_try_stacks[godwit_try_depth - 1] <= (uint32_t)to->call;
}

__attribute__((noinline)) int godwit_landed(void) {
  if (passes()) return never;
  godwit_stop_unwind();
  godwit_unwind_area.position = (uint32_t)godwit_unwind_area.start;
  uint32_t at = godwit_try_stacks[godwit_try_depth];
  __asm__ volatile("local.get %0\n\tglobal.set __stack_pointer" ::"r"(at));
  __THREW__ = godwit_thrown;
  __threwValue = value;
  godwit_thrown = 0;
  return never;
}

/* godwit_throw begins a throw (what: 1), or a jump (what: the jmp_buf's address, with: its value). There must be a try on the stack. */
__attribute__((noinline)) void godwit_throw(uint32_t what, uint32_t with) {
  godwit_thrown = what;
  value = with;
  godwit_unwind_area.end = godwit_unwind_area.position + godwit_unwind_area.capacity;
  godwit_start_unwind(&godwit_unwind_area);
}
#else
void godwit_throw(uint32_t what, uint32_t with) {
  (void)what, (void)with;
  __builtin_trap(); /* there is no try */
}
#endif

/* A function that calls setjmp asks for these, though no exception passes it in C. Of C++ they are in cxx/godwit_raise.cpp. */
__attribute__((weak)) void *godwit_match(void **types, int count) {
  (void)types, (void)count;
  return 0;
}
__attribute__((weak, noreturn)) void __resumeException(void *exception) {
  (void)exception;
  __builtin_trap();
}

int godwit_jumps; /* a jump is on its way. One out of std::terminate, which has a try, ends there where nothing between it and the function that it is to is a call that can be jumped from */

static int nowhere; /* a handler of SIGABRT runs since a jump was to nowhere: its own such jump ends the program */

/* What setjmp calls, as clang compiles it. */
void __wasm_setjmp(struct godwit_jump *at, uint32_t label, void *call) {
  at->call = call;
  at->label = label;
}

uint32_t __wasm_setjmp_test(struct godwit_jump *at, void *call) {
  if (at->call != call) return 0;
  godwit_jumps = nowhere = 0;
  return at->label;
}

/* gone says whether a jump is to a call that is over for certain: there is no try at all, or the innermost one's frame is farther out. */
static int gone(const struct godwit_jump *to) {
#ifndef GODWIT_NO_THROWS
  return godwit_try_depth == 0 || (uint32_t)to->call < godwit_try_stacks[godwit_try_depth - 1];
#else
  return (void)to, 1;
#endif
}

/* Functions that call setjmp make a jump again that is not to them. */
void emscripten_longjmp(struct godwit_jump *to, uint32_t with) {
  if (gone(to)) {
    static const char why[] = "longjmp to a function that has returned";
    if (nowhere) godwit_end(why);
    godwit_jumps = 0, nowhere = 1;
    godwit_die("%s", why);
  }
  godwit_jumps = 1;
  godwit_throw((uint32_t)to, with ? with : 1);
}
