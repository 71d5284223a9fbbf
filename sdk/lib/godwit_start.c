/*
 * The program's entry, in place of wasi-libc's.
 *
 * The linker wraps every function that a program exports (the host calls godwit_alloc) in a run of all constructors and of all
 * atexit handlers, unless something calls the constructors by name: then it takes that to be the whole program's business. So
 * this calls both by name, once each.
 */
#include <stdlib.h>

void __wasm_call_ctors(void); /* made by the linker */
void __wasm_call_dtors(void); /* wasi-libc's: atexit handlers, then the streams */
int __main_void(void);        /* main, or wasi-libc's caller of it with the arguments */
void godwit_write_back(void); /* of what is mapped; exit does it too */

/*
 * What is done at the end is done in glibc's order: destructors of thread_locals, then atexit handlers and those of static objects, then functions with __attribute__((destructor)). clang registers all of them
 * by __cxa_atexit, or has libc++abi do so. A link of a program with any of the first or the last has calls of __cxa_atexit and exit come here (sdk/ends.go), and a destructor function tells itself by its argument.
 */
struct ending {
  void (*function)(void *);
  void *with;
  struct ending *before;
};
static struct ending *thread_ends, *ends;
enum { plain = 1, prioritised = 2 }; /* of destructor functions */

int __real___cxa_atexit(void (*)(void *), void *, void *) __attribute__((weak));
void __real_exit(int) __attribute__((weak));

static int add_ending(struct ending **list, void (*function)(void *), void *with) {
  struct ending *e = malloc(sizeof *e);
  if (!e) return -1;
  *e = (struct ending){function, with, *list};
  *list = e;
  return 0;
}

static void run_ending(struct ending **list) {
  struct ending e = **list;
  free(*list);
  *list = e.before;
  e.function(e.with);
}

/* It is below all handlers. What destructors without a priority register is done before those with one. */
static void run_ends(void *with) {
  int first = ends && ends->with == (void *)plain;
  if (first) __real___cxa_atexit(run_ends, NULL, NULL);
  while (ends && (!first || ends->with == (void *)plain)) run_ending(&ends);
}

static void leave_thread(void) {
  while (thread_ends) run_ending(&thread_ends);
}

int __cxa_thread_atexit_impl(void (*function)(void *), void *object, void *module) { return add_ending(&thread_ends, function, object); }

int __wrap___cxa_atexit(void (*function)(void *), void *with, void *module) {
  if (with == (void *)plain || with == (void *)prioritised) return add_ending(&ends, function, with);
  return __real___cxa_atexit(function, with, module);
}

__attribute__((noreturn)) void __wrap_exit(int code) {
  leave_thread();
  __real_exit(code);
  __builtin_unreachable();
}

__attribute__((export_name("_start"))) void _start(void) {
  if (__real___cxa_atexit) __real___cxa_atexit(run_ends, NULL, NULL);
  __wasm_call_ctors();
  int code = __main_void();
  if (code != 0) exit(code);
  leave_thread();
  __wasm_call_dtors();
  godwit_write_back();
}

/*
 * A main that takes the environment as a third parameter, as on Linux, which wasi-libc calls without: a link with one has it call this. All here is weak: where nobody has such a main
 * nothing is to be loaded for it, and getenv has loaded the rest (godwit_path.c).
 */
#define ELSEWHERE __attribute__((weak))
int godwit_main(int count, char **arguments, char **environment) __asm__("main") ELSEWHERE;
void __wasilibc_ensure_environ(void) ELSEWHERE;
extern char **__wasilibc_environ ELSEWHERE;
int __wrap___main_argc_argv(int count, char **arguments) {
  __wasilibc_ensure_environ();
  return godwit_main(count, arguments, __wasilibc_environ);
}
