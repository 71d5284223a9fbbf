/* sched.h: wasi-libc's, and what it leaves out. A rank has one thread, and its host decides when it runs: priorities can be named, and no more. */
#ifndef GODWIT_SCHED_H
#define GODWIT_SCHED_H

#include_next <sched.h>

#define __NEED_pid_t
#define __NEED_pthread_t
#include <bits/alltypes.h>

#ifdef __cplusplus
extern "C" {
#endif

#define SCHED_OTHER 0
#define SCHED_FIFO 1
#define SCHED_RR 2
#define SCHED_BATCH 3
#define SCHED_IDLE 5

struct sched_param {
  int sched_priority;
};

int sched_get_priority_max(int);
int sched_get_priority_min(int);
int sched_getparam(pid_t, struct sched_param *);
int sched_setparam(pid_t, const struct sched_param *);
int sched_getscheduler(pid_t);
int sched_setscheduler(pid_t, int, const struct sched_param *);

#ifdef _GNU_SOURCE
/* Processors: the one that this thread has, wherever that is. */
typedef struct {
  unsigned long __bits[32];
} cpu_set_t;
int sched_getcpu(void);
int sched_getaffinity(pid_t, size_t, cpu_set_t *);
int sched_setaffinity(pid_t, size_t, const cpu_set_t *);
int pthread_getaffinity_np(pthread_t, size_t, cpu_set_t *); /* found by pthread.h, which includes this */
int pthread_setaffinity_np(pthread_t, size_t, const cpu_set_t *);
#define CPU_SETSIZE 1024
#define CPU_ZERO(set) ((void)__builtin_memset((set), 0, sizeof(cpu_set_t)))
#define CPU_SET(n, set) ((void)((set)->__bits[(n) / 32] |= 1UL << ((n) % 32)))
#define CPU_CLR(n, set) ((void)((set)->__bits[(n) / 32] &= ~(1UL << ((n) % 32))))
#define CPU_ISSET(n, set) ((int)(((set)->__bits[(n) / 32] >> ((n) % 32)) & 1))
static inline int __godwit_cpu_count(const cpu_set_t *set) {
  int n = 0;
  for (int i = 0; i < 32; i++) n += __builtin_popcountl(set->__bits[i]);
  return n;
}
#define CPU_COUNT(set) __godwit_cpu_count(set)
#endif

#ifdef __cplusplus
}
#endif

#endif /* GODWIT_SCHED_H */
