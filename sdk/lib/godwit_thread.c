/*
 * The functions of pthread.h, for the one thread that a rank is.
 *
 * What would wait for another thread ends the program, for it would wait for good. A mutex holds its kind and how often it is locked; a
 * lock of readers and writers how many read, or -1 for the writer.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>
#include <threads.h>
#include <time.h>

#include "godwit_words.h"

#define OWN __attribute__((weak)) /* a program's own is taken instead */

static struct __pthread {
  char name[16];
} the_thread = {"main"};

static const char alone[] = "no other thread can end it: a rank has one thread (pthread_create fails with EAGAIN)";

OWN int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*start)(void *), void *argument) {
  (void)thread, (void)attributes, (void)start, (void)argument;
  return EAGAIN;
}

OWN pthread_t pthread_self(void) { return &the_thread; }
#undef pthread_equal
OWN int pthread_equal(pthread_t a, pthread_t b) { return a == b; }
OWN int pthread_detach(pthread_t thread) { return thread == &the_thread ? 0 : ESRCH; }

OWN int pthread_join(pthread_t thread, void **result) {
  (void)result;
  return thread == &the_thread ? EDEADLK : ESRCH;
}

OWN int pthread_once(pthread_once_t *once, void (*run)(void)) {
  if (*once) return 0;
  *once = 1;
  run();
  return 0;
}

OWN int pthread_atfork(void (*before)(void), void (*parent)(void), void (*child)(void)) {
  (void)before, (void)parent, (void)child; /* nothing forks */
  return 0;
}

static int concurrency;
OWN int pthread_getconcurrency(void) { return concurrency; }
OWN int pthread_setconcurrency(int level) {
  if (level < 0) return EINVAL;
  concurrency = level;
  return 0;
}

OWN int pthread_getcpuclockid(pthread_t thread, clockid_t *clock) {
  if (thread != &the_thread) return ESRCH;
  *clock = CLOCK_PROCESS_CPUTIME_ID;
  return 0;
}

OWN int pthread_getschedparam(pthread_t thread, int *policy, struct sched_param *parameter) {
  if (thread != &the_thread) return ESRCH;
  *policy = SCHED_OTHER;
  parameter->sched_priority = 0;
  return 0;
}

OWN int pthread_setschedprio(pthread_t thread, int priority) {
  if (thread != &the_thread) return ESRCH;
  return priority == 0 ? 0 : EINVAL;
}

OWN int pthread_setschedparam(pthread_t thread, int policy, const struct sched_param *parameter) {
  if (policy != SCHED_OTHER) return ENOTSUP;
  return pthread_setschedprio(thread, parameter->sched_priority);
}

OWN int pthread_setname_np(pthread_t thread, const char *name) {
  if (thread != &the_thread) return ESRCH;
  if (strlen(name) >= sizeof the_thread.name) return ERANGE;
  strcpy(the_thread.name, name);
  return 0;
}

OWN int pthread_getname_np(pthread_t thread, char *name, size_t size) {
  if (thread != &the_thread) return ESRCH;
  if (size <= strlen(the_thread.name)) return ERANGE;
  strcpy(name, the_thread.name);
  return 0;
}

OWN int pthread_yield(void) { return 0; }

/* Cancellation. */

static int cancel_state = PTHREAD_CANCEL_ENABLE, cancel_type = PTHREAD_CANCEL_DEFERRED, cancelled;

OWN int pthread_setcancelstate(int state, int *old) {
  if (state != PTHREAD_CANCEL_ENABLE && state != PTHREAD_CANCEL_DISABLE) return EINVAL;
  if (old) *old = cancel_state;
  cancel_state = state;
  return 0;
}

OWN int pthread_setcanceltype(int type, int *old) {
  if (type != PTHREAD_CANCEL_DEFERRED && type != PTHREAD_CANCEL_ASYNCHRONOUS) return EINVAL;
  if (old) *old = cancel_type;
  cancel_type = type;
  return 0;
}

OWN void pthread_testcancel(void) {
  if (cancelled && cancel_state == PTHREAD_CANCEL_ENABLE) pthread_exit(PTHREAD_CANCELED);
}

OWN int pthread_cancel(pthread_t thread) {
  if (thread != &the_thread) return ESRCH;
  cancelled = 1;
  if (cancel_type == PTHREAD_CANCEL_ASYNCHRONOUS) pthread_testcancel();
  return 0;
}

/* Keys. One is in use if it has a destructor, be it the one of nothing. */

enum { keys = 128 };
static void (*destructors[keys])(void *);
static void *values[keys];
static void nothing(void *value) { (void)value; }

OWN int pthread_key_create(pthread_key_t *key, void (*destructor)(void *)) {
  for (unsigned i = 0; i < keys; i++) {
    if (destructors[i]) continue;
    destructors[i] = destructor ? destructor : nothing;
    values[i] = NULL;
    *key = i;
    return 0;
  }
  return EAGAIN;
}

OWN int pthread_key_delete(pthread_key_t key) {
  if (key >= keys || !destructors[key]) return EINVAL;
  destructors[key] = NULL;
  return 0;
}

OWN void *pthread_getspecific(pthread_key_t key) { return key < keys && destructors[key] ? values[key] : NULL; }

OWN int pthread_setspecific(pthread_key_t key, const void *value) {
  if (key >= keys || !destructors[key]) return EINVAL;
  values[key] = (void *)value;
  return 0;
}

OWN void pthread_exit(void *result) {
  (void)result;
  int again = 1;
  for (int round = 0; again && round < 4; round++) { /* PTHREAD_DESTRUCTOR_ITERATIONS: a destructor may set values */
    again = 0;
    for (unsigned i = 0; i < keys; i++) {
      void *value = values[i];
      if (!destructors[i] || !value) continue;
      values[i] = NULL;
      destructors[i](value);
      again = 1;
    }
  }
  exit(0); /* of the last thread */
}

/* Mutexes. */

#define KIND(m) ((m)->__u.__i[0])
#define HELD(m) ((m)->__u.__i[1])

OWN int pthread_mutex_init(pthread_mutex_t *m, const pthread_mutexattr_t *attributes) {
  memset(m, 0, sizeof *m);
  if (attributes) KIND(m) = (int)(attributes->__attr & 3);
  return 0;
}

OWN int pthread_mutex_destroy(pthread_mutex_t *m) { return HELD(m) ? EBUSY : 0; }

OWN int pthread_mutex_trylock(pthread_mutex_t *m) {
  if (HELD(m) && KIND(m) != PTHREAD_MUTEX_RECURSIVE) return EBUSY;
  HELD(m)++;
  return 0;
}

OWN int pthread_mutex_lock(pthread_mutex_t *m) {
  if (pthread_mutex_trylock(m) == 0) return 0;
  if (KIND(m) == PTHREAD_MUTEX_ERRORCHECK) return EDEADLK;
  godwit_die("pthread_mutex_lock of a mutex that this thread holds: %s", alone);
}

static void sleep_until(clockid_t clock, const struct timespec *until) {
  while (clock_nanosleep(clock, TIMER_ABSTIME, until, NULL) == EINTR) {
  }
}

OWN int pthread_mutex_timedlock(pthread_mutex_t *m, const struct timespec *until) {
  if (pthread_mutex_trylock(m) == 0) return 0;
  if (KIND(m) == PTHREAD_MUTEX_ERRORCHECK) return EDEADLK;
  sleep_until(CLOCK_REALTIME, until);
  return ETIMEDOUT;
}

OWN int pthread_mutex_unlock(pthread_mutex_t *m) {
  if (!HELD(m)) return EPERM;
  HELD(m)--;
  return 0;
}

OWN int pthread_mutex_consistent(pthread_mutex_t *m) {
  (void)m;
  return EINVAL; /* no owner has died */
}

OWN int pthread_mutex_getprioceiling(const pthread_mutex_t *m, int *ceiling) {
  (void)m, (void)ceiling;
  return EINVAL;
}

OWN int pthread_mutex_setprioceiling(pthread_mutex_t *m, int ceiling, int *old) {
  (void)m, (void)ceiling, (void)old;
  return EINVAL;
}

/* The attributes of a mutex: its kind, and bits for what makes no difference but is told when asked for. */
enum { shared_bit = 4, robust_bit = 8, protocol_shift = 4 };

OWN int pthread_mutexattr_init(pthread_mutexattr_t *a) {
  a->__attr = 0;
  return 0;
}

OWN int pthread_mutexattr_destroy(pthread_mutexattr_t *a) {
  (void)a;
  return 0;
}

OWN int pthread_mutexattr_gettype(const pthread_mutexattr_t *a, int *type) {
  *type = (int)(a->__attr & 3);
  return 0;
}

OWN int pthread_mutexattr_settype(pthread_mutexattr_t *a, int type) {
  if ((unsigned)type > PTHREAD_MUTEX_ERRORCHECK) return EINVAL;
  a->__attr = (a->__attr & ~3U) | (unsigned)type;
  return 0;
}

static int set_bit(unsigned *word, unsigned bit, int on) {
  if (on != 0 && on != 1) return EINVAL;
  *word = on ? *word | bit : *word & ~bit;
  return 0;
}

OWN int pthread_mutexattr_getpshared(const pthread_mutexattr_t *a, int *shared) {
  *shared = (a->__attr & shared_bit) != 0;
  return 0;
}

OWN int pthread_mutexattr_setpshared(pthread_mutexattr_t *a, int shared) { return set_bit(&a->__attr, shared_bit, shared); }

OWN int pthread_mutexattr_getrobust(const pthread_mutexattr_t *a, int *robust) {
  *robust = (a->__attr & robust_bit) != 0;
  return 0;
}

OWN int pthread_mutexattr_setrobust(pthread_mutexattr_t *a, int robust) { return set_bit(&a->__attr, robust_bit, robust); }

OWN int pthread_mutexattr_getprotocol(const pthread_mutexattr_t *a, int *protocol) {
  *protocol = (int)(a->__attr >> protocol_shift & 3);
  return 0;
}

OWN int pthread_mutexattr_setprotocol(pthread_mutexattr_t *a, int protocol) {
  if ((unsigned)protocol > PTHREAD_PRIO_INHERIT) return protocol == PTHREAD_PRIO_PROTECT ? ENOTSUP : EINVAL;
  a->__attr = (a->__attr & ~(3U << protocol_shift)) | (unsigned)protocol << protocol_shift;
  return 0;
}

/* Conditions: nobody else is there to make one true. */

OWN int pthread_cond_init(pthread_cond_t *c, const pthread_condattr_t *attributes) {
  memset(c, 0, sizeof *c);
  if (attributes) c->__u.__i[0] = (int)attributes->__attr;
  return 0;
}

OWN int pthread_cond_destroy(pthread_cond_t *c) {
  (void)c;
  return 0;
}

OWN int pthread_cond_wait(pthread_cond_t *c, pthread_mutex_t *m) {
  (void)c;
  if (!HELD(m)) return EPERM;
  godwit_die("pthread_cond_wait waits for good: %s", alone);
}

OWN int pthread_cond_timedwait(pthread_cond_t *c, pthread_mutex_t *m, const struct timespec *until) {
  if (!HELD(m)) return EPERM;
  if (until->tv_nsec < 0 || until->tv_nsec >= 1000000000) return EINVAL;
  sleep_until(c->__u.__i[0] & 1 ? CLOCK_MONOTONIC : CLOCK_REALTIME, until);
  return ETIMEDOUT;
}

OWN int pthread_cond_signal(pthread_cond_t *c) {
  (void)c;
  return 0;
}

OWN int pthread_cond_broadcast(pthread_cond_t *c) {
  (void)c;
  return 0;
}

enum { monotonic_bit = 1 };

OWN int pthread_condattr_init(pthread_condattr_t *a) {
  a->__attr = 0;
  return 0;
}

OWN int pthread_condattr_destroy(pthread_condattr_t *a) {
  (void)a;
  return 0;
}

OWN int pthread_condattr_getclock(const pthread_condattr_t *a, clockid_t *clock) {
  *clock = a->__attr & monotonic_bit ? CLOCK_MONOTONIC : CLOCK_REALTIME;
  return 0;
}

OWN int pthread_condattr_setclock(pthread_condattr_t *a, clockid_t clock) {
  if (clock != CLOCK_MONOTONIC && clock != CLOCK_REALTIME) return EINVAL;
  return set_bit(&a->__attr, monotonic_bit, clock == CLOCK_MONOTONIC);
}

OWN int pthread_condattr_getpshared(const pthread_condattr_t *a, int *shared) {
  *shared = (a->__attr & shared_bit) != 0;
  return 0;
}

OWN int pthread_condattr_setpshared(pthread_condattr_t *a, int shared) { return set_bit(&a->__attr, shared_bit, shared); }

/* Locks of readers and writers. */

#define READERS(l) ((l)->__u.__i[0])

OWN int pthread_rwlock_init(pthread_rwlock_t *l, const pthread_rwlockattr_t *attributes) {
  (void)attributes;
  memset(l, 0, sizeof *l);
  return 0;
}

OWN int pthread_rwlock_destroy(pthread_rwlock_t *l) { return READERS(l) ? EBUSY : 0; }

OWN int pthread_rwlock_tryrdlock(pthread_rwlock_t *l) {
  if (READERS(l) < 0) return EBUSY;
  READERS(l)++;
  return 0;
}

OWN int pthread_rwlock_trywrlock(pthread_rwlock_t *l) {
  if (READERS(l) != 0) return EBUSY;
  READERS(l) = -1;
  return 0;
}

OWN int pthread_rwlock_rdlock(pthread_rwlock_t *l) { return pthread_rwlock_tryrdlock(l) ? EDEADLK : 0; }
OWN int pthread_rwlock_wrlock(pthread_rwlock_t *l) { return pthread_rwlock_trywrlock(l) ? EDEADLK : 0; }
OWN int pthread_rwlock_timedrdlock(pthread_rwlock_t *l, const struct timespec *until) { return (void)until, pthread_rwlock_rdlock(l); }
OWN int pthread_rwlock_timedwrlock(pthread_rwlock_t *l, const struct timespec *until) { return (void)until, pthread_rwlock_wrlock(l); }

OWN int pthread_rwlock_unlock(pthread_rwlock_t *l) {
  if (READERS(l) == 0) return EPERM;
  READERS(l) = READERS(l) < 0 ? 0 : READERS(l) - 1;
  return 0;
}

OWN int pthread_rwlockattr_init(pthread_rwlockattr_t *a) {
  memset(a, 0, sizeof *a);
  return 0;
}

OWN int pthread_rwlockattr_destroy(pthread_rwlockattr_t *a) {
  (void)a;
  return 0;
}

OWN int pthread_rwlockattr_getpshared(const pthread_rwlockattr_t *a, int *shared) {
  *shared = (int)a->__attr[0];
  return 0;
}

OWN int pthread_rwlockattr_setpshared(pthread_rwlockattr_t *a, int shared) { return set_bit(&a->__attr[0], 1, shared); }

/* Spin locks. */

OWN int pthread_spin_init(pthread_spinlock_t *l, int shared) {
  (void)shared;
  *l = 0;
  return 0;
}

OWN int pthread_spin_destroy(pthread_spinlock_t *l) {
  (void)l;
  return 0;
}

OWN int pthread_spin_trylock(pthread_spinlock_t *l) {
  if (*l) return EBUSY;
  *l = 1;
  return 0;
}

OWN int pthread_spin_lock(pthread_spinlock_t *l) { return pthread_spin_trylock(l) ? EDEADLK : 0; }

OWN int pthread_spin_unlock(pthread_spinlock_t *l) {
  *l = 0;
  return 0;
}

/* Barriers. */

OWN int pthread_barrier_init(pthread_barrier_t *b, const pthread_barrierattr_t *attributes, unsigned count) {
  (void)attributes;
  if (count == 0 || count > 0x7fffffff) return EINVAL;
  memset(b, 0, sizeof *b);
  b->__u.__i[0] = (int)count;
  return 0;
}

OWN int pthread_barrier_destroy(pthread_barrier_t *b) {
  (void)b;
  return 0;
}

OWN int pthread_barrier_wait(pthread_barrier_t *b) {
  if (b->__u.__i[0] > 1) godwit_die("pthread_barrier_wait waits for %d threads: %s", b->__u.__i[0], alone);
  return PTHREAD_BARRIER_SERIAL_THREAD;
}

OWN int pthread_barrierattr_init(pthread_barrierattr_t *a) {
  a->__attr = 0;
  return 0;
}

OWN int pthread_barrierattr_destroy(pthread_barrierattr_t *a) {
  (void)a;
  return 0;
}

OWN int pthread_barrierattr_getpshared(const pthread_barrierattr_t *a, int *shared) {
  *shared = (int)a->__attr;
  return 0;
}

OWN int pthread_barrierattr_setpshared(pthread_barrierattr_t *a, int shared) { return set_bit(&a->__attr, 1, shared); }

/* Attributes of threads, by place: the state when detached, the guard's size, inheritance, policy, priority, scope, the stack and its size. */
enum { a_detached, a_guard, a_inherit, a_policy, a_priority, a_scope, a_stack, a_size };
#define ATTRIBUTE(a, i) ((a)->__u.__s[i])

OWN int pthread_attr_init(pthread_attr_t *a) {
  memset(a, 0, sizeof *a);
  ATTRIBUTE(a, a_size) = 8 << 20;
  return 0;
}

OWN int pthread_attr_destroy(pthread_attr_t *a) {
  (void)a;
  return 0;
}

static int get(const pthread_attr_t *a, int place, int *value) {
  *value = (int)ATTRIBUTE(a, place);
  return 0;
}

static int set(pthread_attr_t *a, int place, int value, int most) {
  if (value < 0 || value > most) return EINVAL;
  ATTRIBUTE(a, place) = (unsigned long)value;
  return 0;
}

OWN int pthread_attr_getdetachstate(const pthread_attr_t *a, int *value) { return get(a, a_detached, value); }
OWN int pthread_attr_setdetachstate(pthread_attr_t *a, int value) { return set(a, a_detached, value, PTHREAD_CREATE_DETACHED); }
OWN int pthread_attr_getinheritsched(const pthread_attr_t *a, int *value) { return get(a, a_inherit, value); }
OWN int pthread_attr_setinheritsched(pthread_attr_t *a, int value) { return set(a, a_inherit, value, PTHREAD_EXPLICIT_SCHED); }
OWN int pthread_attr_getschedpolicy(const pthread_attr_t *a, int *value) { return get(a, a_policy, value); }
OWN int pthread_attr_setschedpolicy(pthread_attr_t *a, int value) { return set(a, a_policy, value, SCHED_IDLE); }
OWN int pthread_attr_getscope(const pthread_attr_t *a, int *value) { return get(a, a_scope, value); }
OWN int pthread_attr_setscope(pthread_attr_t *a, int value) { return set(a, a_scope, value, PTHREAD_SCOPE_PROCESS); }
OWN int pthread_attr_getschedparam(const pthread_attr_t *a, struct sched_param *p) { return get(a, a_priority, &p->sched_priority); }
OWN int pthread_attr_setschedparam(pthread_attr_t *a, const struct sched_param *p) { return set(a, a_priority, p->sched_priority, 99); }

OWN int pthread_attr_getguardsize(const pthread_attr_t *a, size_t *size) {
  *size = ATTRIBUTE(a, a_guard);
  return 0;
}

OWN int pthread_attr_setguardsize(pthread_attr_t *a, size_t size) {
  ATTRIBUTE(a, a_guard) = size;
  return 0;
}

OWN int pthread_attr_getstacksize(const pthread_attr_t *a, size_t *size) {
  *size = ATTRIBUTE(a, a_size);
  return 0;
}

OWN int pthread_attr_setstacksize(pthread_attr_t *a, size_t size) {
  if (size < 2048) return EINVAL; /* PTHREAD_STACK_MIN */
  ATTRIBUTE(a, a_size) = size;
  return 0;
}

OWN int pthread_attr_getstack(const pthread_attr_t *a, void **stack, size_t *size) {
  *stack = (void *)ATTRIBUTE(a, a_stack);
  return pthread_attr_getstacksize(a, size);
}

OWN int pthread_attr_setstack(pthread_attr_t *a, void *stack, size_t size) {
  ATTRIBUTE(a, a_stack) = (unsigned long)stack;
  return pthread_attr_setstacksize(a, size);
}

OWN int pthread_getattr_np(pthread_t thread, pthread_attr_t *a) { return thread == &the_thread ? pthread_attr_init(a) : ESRCH; }

/* sched.h: the one processor that a rank sees. */

static int sched_valid(int policy) {
  if (policy >= SCHED_OTHER && policy <= SCHED_IDLE && policy != 4) return 0;
  errno = EINVAL;
  return -1;
}

OWN int sched_get_priority_max(int policy) { return sched_valid(policy) ? -1 : policy == SCHED_FIFO || policy == SCHED_RR ? 99 : 0; }
OWN int sched_get_priority_min(int policy) { return sched_valid(policy) ? -1 : policy == SCHED_FIFO || policy == SCHED_RR ? 1 : 0; }

OWN int sched_getparam(pid_t pid, struct sched_param *p) {
  (void)pid;
  p->sched_priority = 0;
  return 0;
}

OWN int sched_getscheduler(pid_t pid) {
  (void)pid;
  return SCHED_OTHER;
}

OWN int sched_setscheduler(pid_t pid, int policy, const struct sched_param *p) {
  (void)pid;
  if (policy == SCHED_OTHER && p->sched_priority == 0) return 0;
  errno = EPERM;
  return -1;
}

OWN int sched_setparam(pid_t pid, const struct sched_param *p) { return sched_setscheduler(pid, SCHED_OTHER, p); }

OWN int sched_getcpu(void) { return 0; }

OWN int sched_getaffinity(pid_t pid, size_t size, cpu_set_t *set) {
  (void)pid;
  if (size < sizeof *set) {
    errno = EINVAL;
    return -1;
  }
  CPU_ZERO(set);
  CPU_SET(0, set);
  return 0;
}

OWN int sched_setaffinity(pid_t pid, size_t size, const cpu_set_t *set) {
  (void)pid;
  if (size >= sizeof *set && CPU_ISSET(0, set)) return 0;
  errno = EINVAL;
  return -1;
}

OWN int pthread_getaffinity_np(pthread_t t, size_t size, cpu_set_t *set) { return (void)t, sched_getaffinity(0, size, set) == 0 ? 0 : errno; }
OWN int pthread_setaffinity_np(pthread_t t, size_t size, const cpu_set_t *set) { return (void)t, sched_setaffinity(0, size, set) == 0 ? 0 : errno; }

/* semaphore.h. The value is the first word of a semaphore. */

#define VALUE(s) ((s)->__val[0])

static int fails(int why) {
  errno = why;
  return -1;
}

OWN int sem_init(sem_t *s, int shared, unsigned value) {
  (void)shared;
  if (value > 0x7fffffff) return fails(EINVAL);
  VALUE(s) = (int)value;
  return 0;
}

OWN int sem_destroy(sem_t *s) { return (void)s, 0; }
OWN int sem_getvalue(sem_t *s, int *value) { return *value = VALUE(s), 0; }

OWN int sem_post(sem_t *s) {
  if (VALUE(s) == 0x7fffffff) return fails(EOVERFLOW);
  VALUE(s)++;
  return 0;
}

OWN int sem_trywait(sem_t *s) {
  if (VALUE(s) == 0) return fails(EAGAIN);
  VALUE(s)--;
  return 0;
}

OWN int sem_wait(sem_t *s) {
  if (sem_trywait(s) == 0) return 0;
  godwit_die("sem_wait waits for good: %s", alone);
}

OWN int sem_timedwait(sem_t *s, const struct timespec *until) {
  if (sem_trywait(s) == 0) return 0;
  if (until->tv_nsec < 0 || until->tv_nsec >= 1000000000) return fails(EINVAL);
  sleep_until(CLOCK_REALTIME, until);
  return fails(ETIMEDOUT);
}

/* threads.h (C11), by the functions above: its mutexes and conditions are theirs. */

#define MUTEX(m) ((pthread_mutex_t *)(m))
#define CONDITION(c) ((pthread_cond_t *)(c))
_Static_assert(sizeof(mtx_t) == sizeof(pthread_mutex_t) && sizeof(cnd_t) == sizeof(pthread_cond_t), "the C library lays both out alike");

static int thrd(int error) { return error == 0 ? thrd_success : error == EBUSY ? thrd_busy : error == ETIMEDOUT ? thrd_timedout : thrd_error; }

OWN int thrd_create(thrd_t *thread, thrd_start_t start, void *argument) { return (void)thread, (void)start, (void)argument, thrd_nomem; }
OWN thrd_t thrd_current(void) { return pthread_self(); }
#undef thrd_equal
OWN int thrd_equal(thrd_t a, thrd_t b) { return a == b; }
OWN int thrd_detach(thrd_t thread) { return thrd(pthread_detach(thread)); }
OWN int thrd_join(thrd_t thread, int *result) { return (void)result, thrd(pthread_join(thread, NULL)); }
OWN void thrd_yield(void) { sched_yield(); }
OWN int thrd_sleep(const struct timespec *time, struct timespec *left) { return nanosleep(time, left) == 0 ? 0 : errno == EINTR ? -1 : -2; }
OWN void thrd_exit(int result) {
  (void)result;
  pthread_exit(NULL);
}

OWN void call_once(once_flag *flag, void (*run)(void)) { pthread_once(flag, run); }

OWN int mtx_init(mtx_t *m, int kind) {
  pthread_mutex_init(MUTEX(m), NULL);
  if (kind & mtx_recursive) KIND(MUTEX(m)) = PTHREAD_MUTEX_RECURSIVE;
  return thrd_success;
}
OWN void mtx_destroy(mtx_t *m) { (void)m; }
OWN int mtx_lock(mtx_t *m) { return thrd(pthread_mutex_lock(MUTEX(m))); }
OWN int mtx_trylock(mtx_t *m) { return thrd(pthread_mutex_trylock(MUTEX(m))); }
OWN int mtx_timedlock(mtx_t *m, const struct timespec *until) { return thrd(pthread_mutex_timedlock(MUTEX(m), until)); }
OWN int mtx_unlock(mtx_t *m) { return thrd(pthread_mutex_unlock(MUTEX(m))); }

OWN int cnd_init(cnd_t *c) { return thrd(pthread_cond_init(CONDITION(c), NULL)); }
OWN void cnd_destroy(cnd_t *c) { (void)c; }
OWN int cnd_signal(cnd_t *c) { return (void)c, thrd_success; }
OWN int cnd_broadcast(cnd_t *c) { return (void)c, thrd_success; }
OWN int cnd_wait(cnd_t *c, mtx_t *m) { return thrd(pthread_cond_wait(CONDITION(c), MUTEX(m))); }
OWN int cnd_timedwait(cnd_t *c, mtx_t *m, const struct timespec *until) { return thrd(pthread_cond_timedwait(CONDITION(c), MUTEX(m), until)); }

OWN int tss_create(tss_t *key, tss_dtor_t destructor) { return thrd(pthread_key_create(key, destructor)); }
OWN void tss_delete(tss_t key) { pthread_key_delete(key); }
OWN void *tss_get(tss_t key) { return pthread_getspecific(key); }
OWN int tss_set(tss_t key, void *value) { return thrd(pthread_setspecific(key, value)); }
