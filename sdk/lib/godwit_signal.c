/*
 * signal.h, in place of wasi-libc's emulation. A signal is raised by the program itself, but for the SIGTERM by which the host tells that the app is to end, and its handler runs at once, or as soon as it is not
 * blocked any more. What a signal does that has no handler ends the program, and its verdict names the signal.
 */
#include "godwit_words.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define OWN __attribute__((weak))

enum { most = 64, bits = 8 * sizeof(unsigned long) };
#undef sa_handler
#undef sa_sigaction
#define PLAIN __sa_handler.sa_handler
#define TELLING __sa_handler.sa_sigaction

static struct sigaction actions[most + 1];
static sigset_t blocked, pending;
static stack_t the_stack = {NULL, SS_DISABLE, 0};

static int wrong(int why) {
  errno = why;
  return -1;
}

static int valid(int number) { return number > 0 && number <= most; }

OWN int sigemptyset(sigset_t *set) {
  memset(set, 0, sizeof *set);
  return 0;
}
OWN int sigfillset(sigset_t *set) {
  memset(set, 0xff, sizeof *set);
  return 0;
}
OWN int sigaddset(sigset_t *set, int number) {
  if (!valid(number)) return wrong(EINVAL);
  set->__bits[(number - 1) / bits] |= 1UL << ((number - 1) % bits);
  return 0;
}
OWN int sigdelset(sigset_t *set, int number) {
  if (!valid(number)) return wrong(EINVAL);
  set->__bits[(number - 1) / bits] &= ~(1UL << ((number - 1) % bits));
  return 0;
}
OWN int sigismember(const sigset_t *set, int number) {
  if (!valid(number)) return wrong(EINVAL);
  return (int)(set->__bits[(number - 1) / bits] >> ((number - 1) % bits) & 1);
}

/* What SIG_IGN and SIG_ERR are the addresses of. */
OWN void __SIG_IGN(int number) { (void)number; }
OWN void __SIG_ERR(int number) {
  (void)number;
  godwit_end("SIG_ERR is the handler of a signal that was raised");
}

static int godwit_signalled(int number);
int (*godwit_delivers)(int); /* once there are handlers: every program has an abort, and few have them. The host calls it, too (worker/wasm/terminate.go). No compiler is to know what it is */

OWN int sigaction(int number, const struct sigaction *action, struct sigaction *old) {
  if (!valid(number)) return wrong(EINVAL);
  struct sigaction before = actions[number];
  if (action) {
    if (number == SIGKILL || number == SIGSTOP) return wrong(EINVAL);
    actions[number] = *action;
    if (action->PLAIN == SIG_IGN) sigdelset(&pending, number);
    godwit_delivers = godwit_signalled;
  }
  if (old) *old = before;
  return 0;
}

OWN void (*signal(int number, void (*handler)(int)))(int) {
  struct sigaction action = {.sa_flags = SA_RESTART}, old;
  action.PLAIN = handler;
  return sigaction(number, &action, &old) == 0 ? old.PLAIN : SIG_ERR;
}
OWN void (*bsd_signal(int number, void (*handler)(int)))(int) { return signal(number, handler); }
OWN void (*__sysv_signal(int number, void (*handler)(int)))(int) {
  struct sigaction action = {.sa_flags = (int)SA_RESETHAND | SA_NODEFER}, old;
  action.PLAIN = handler;
  return sigaction(number, &action, &old) == 0 ? old.PLAIN : SIG_ERR;
}

/* godwit_by_default does what a signal does that has no handler. The host knows these words, and takes the number for the program's end (worker/wasm/trap.go). */
static void godwit_by_default(int number) {
  static const char names[][8] = {"", "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE", "ALRM", "TERM", "STKFLT", "CHLD",
                                  "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ", "VTALRM", "PROF", "WINCH", "IO", "PWR", "SYS"};
  if (number == SIGCHLD || number == SIGCONT || number == SIGURG || number == SIGWINCH) return;
  int named = number < (int)(sizeof names / sizeof names[0]);
  char words[100];
  snprintf(words, sizeof words, "the program raised signal %d (%s%s), and has no handler for it", number, named ? "SIG" : "real-time", named ? names[number] : "");
  godwit_end(words);
}

/* godwit_deliver has a signal do what is to be done for it, which nobody blocks. A handler that jumps out of here leaves blocked what was for its time, as on Linux: siglongjmp takes it back. */
static void godwit_deliver(int number) {
  struct sigaction action = actions[number];
  if (action.PLAIN == SIG_IGN) return;
  if (action.PLAIN == SIG_DFL) {
    godwit_by_default(number);
    return;
  }
  if (action.sa_flags & (int)SA_RESETHAND) memset(&actions[number], 0, sizeof action);
  sigset_t before = blocked;
  for (size_t i = 0; i < sizeof blocked.__bits / sizeof blocked.__bits[0]; i++) blocked.__bits[i] |= action.sa_mask.__bits[i];
  if (!(action.sa_flags & SA_NODEFER)) sigaddset(&blocked, number);
  if (action.sa_flags & SA_SIGINFO) {
    siginfo_t info = {.si_signo = number, .si_code = SI_USER, .si_pid = getpid(), .si_uid = getuid()};
    action.TELLING(number, &info, NULL);
  } else {
    action.PLAIN(number);
  }
  blocked = before;
}

/* godwit_released delivers what is pending and not blocked any more, one after the other. */
static void godwit_released(void) {
  for (int number = 1; number <= most; number++) {
    if (!sigismember(&pending, number) || sigismember(&blocked, number)) continue;
    sigdelset(&pending, number);
    godwit_deliver(number);
    number = 0; /* its handler may have raised others */
  }
}

OWN int raise(int number) {
  if (!valid(number)) return wrong(EINVAL);
  if (number != SIGKILL && number != SIGSTOP && sigismember(&blocked, number)) return sigaddset(&pending, number);
  godwit_deliver(number);
  godwit_released();
  return 0;
}

/* godwit_signalled is raise, but it does nothing, and returns 0, where the program has said nothing of what the signal is to do. */
static int godwit_signalled(int number) {
  if (actions[number].PLAIN == SIG_DFL) return 0;
  raise(number);
  return 1;
}

/* godwit_abort runs the program's handler of SIGABRT, be it blocked or not, and ends the program when that returns: words is why. */
void godwit_abort(const char *words) {
  if (godwit_delivers && actions[SIGABRT].PLAIN != SIG_DFL) {
    sigdelset(&blocked, SIGABRT);
    godwit_delivers(SIGABRT);
  }
  godwit_end(words);
}

OWN void abort(void) { godwit_abort("abort was called"); }

/* What sigsetjmp keeps in a jmp_buf, and siglongjmp takes back, in words of which the first says whether it was to. */
struct __jmp_buf_tag *godwit_keep_mask(struct __jmp_buf_tag *at, int keep) {
  at->__more[0] = (unsigned long)(keep != 0);
  memcpy(at->__more + 1, &blocked, sizeof blocked);
  return at;
}
struct __jmp_buf_tag *godwit_take_mask(struct __jmp_buf_tag *at) {
  if (at->__more[0] != 0) {
    memcpy(&blocked, at->__more + 1, sizeof blocked);
    godwit_released();
  }
  return at;
}

OWN int sigprocmask(int how, const sigset_t *set, sigset_t *old) {
  sigset_t before = blocked;
  if (set) {
    for (size_t i = 0; i < sizeof blocked.__bits / sizeof blocked.__bits[0]; i++) switch (how) {
        case SIG_BLOCK: blocked.__bits[i] |= set->__bits[i]; break;
        case SIG_UNBLOCK: blocked.__bits[i] &= ~set->__bits[i]; break;
        case SIG_SETMASK: blocked.__bits[i] = set->__bits[i]; break;
        default: return wrong(EINVAL);
      }
  }
  sigdelset(&blocked, SIGKILL), sigdelset(&blocked, SIGSTOP);
  if (old) *old = before;
  if (set) godwit_released();
  return 0;
}

OWN int pthread_sigmask(int how, const sigset_t *set, sigset_t *old) { return sigprocmask(how, set, old) == 0 ? 0 : errno; }
OWN int sigpending(sigset_t *set) {
  *set = pending;
  return 0;
}

OWN int sigaltstack(const stack_t *stack, stack_t *old) {
  if (old) *old = the_stack;
  if (stack) the_stack = *stack; /* handlers run on the program's own */
  return 0;
}

OWN int siginterrupt(int number, int flag) { return (void)flag, valid(number) ? 0 : wrong(EINVAL); }

OWN int kill(pid_t pid, int number) {
  if (number != 0 && !valid(number)) return wrong(EINVAL);
  if (pid != 0 && pid != getpid() && pid != -getpid()) return wrong(ESRCH);
  return number == 0 ? 0 : raise(number);
}
OWN int killpg(pid_t group, int number) { return kill(group == 0 ? 0 : -group, number); }
OWN int pthread_kill(pthread_t thread, int number) { return thread != pthread_self() ? ESRCH : kill(0, number) == 0 ? 0 : errno; }
