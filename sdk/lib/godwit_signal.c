/*
 * The functions of signal.h that wasi-libc's emulation leaves out. A signal is raised by the program itself, and its handler runs at once, or as soon as it is not
 * blocked any more.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
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

/* What signal() has: the handler of those that take the signal alone, and that are told of it. */
static void told(int number) {
  struct sigaction action = actions[number];
  if (action.sa_flags & (int)SA_RESETHAND) memset(&actions[number], 0, sizeof action);
  else signal(number, told); /* the emulation may have reset it */
  siginfo_t info = {.si_signo = number, .si_code = SI_USER, .si_pid = getpid()};
  action.TELLING(number, &info, NULL);
}

OWN int sigaction(int number, const struct sigaction *action, struct sigaction *old) {
  if (!valid(number)) return wrong(EINVAL);
  struct sigaction before = actions[number];
  if (action) {
    if (number == SIGKILL || number == SIGSTOP) return wrong(EINVAL);
    void (*handler)(int) = action->sa_flags & SA_SIGINFO ? told : action->PLAIN;
    void (*was)(int) = signal(number, handler);
    if (was == SIG_ERR) return -1;
    if (was != told) {
      memset(&before, 0, sizeof before);
      before.PLAIN = was;
    }
    actions[number] = *action;
  }
  if (old) *old = before;
  return 0;
}

int __real_raise(int number);
int __wrap_raise(int number) {
  if (valid(number) && number != SIGKILL && number != SIGSTOP && sigismember(&blocked, number)) return sigaddset(&pending, number);
  return __real_raise(number);
}

/* released raises what was pending and is not blocked any more. */
static void released(void) {
  for (int number = 1; number <= most; number++) {
    if (!sigismember(&pending, number) || sigismember(&blocked, number)) continue;
    sigdelset(&pending, number);
    __real_raise(number);
  }
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
  if (old) *old = before;
  if (set) released();
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
  return number == 0 ? 0 : __wrap_raise(number);
}
OWN int killpg(pid_t group, int number) { return kill(group == 0 ? 0 : -group, number); }
OWN int pthread_kill(pthread_t thread, int number) { return thread != pthread_self() ? ESRCH : kill(0, number) == 0 ? 0 : errno; }
