/* execinfo.h: the stack, as glibc shows it. A guest does not see its own: there are no frames; godwit shows them when it traps. */
#ifndef GODWIT_EXECINFO_H
#define GODWIT_EXECINFO_H

#ifdef __cplusplus
extern "C" {
#endif

int backtrace(void **, int);
char **backtrace_symbols(void *const *, int);
void backtrace_symbols_fd(void *const *, int, int);

#ifdef __cplusplus
}
#endif

#endif /* GODWIT_EXECINFO_H */
