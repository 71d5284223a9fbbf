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

__attribute__((export_name("_start"))) void _start(void) {
  __wasm_call_ctors();
  int code = __main_void();
  if (code != 0) exit(code);
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
