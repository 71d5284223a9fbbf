/* The functions of omp.h, for the one thread that a rank is. */
#include <omp.h>
#include <time.h>

#include "godwit_words.h"

#define OWN __attribute__((weak))

static int dynamic, nested, chunk;
static omp_sched_t kind = omp_sched_static;

OWN void omp_set_num_threads(int n) { (void)n; }
OWN int omp_get_num_threads(void) { return 1; }
OWN int omp_get_max_threads(void) { return 1; }
OWN int omp_get_thread_num(void) { return 0; }
OWN int omp_get_num_procs(void) { return 1; }
OWN int omp_in_parallel(void) { return 0; }
OWN void omp_set_dynamic(int on) { dynamic = on != 0; }
OWN int omp_get_dynamic(void) { return dynamic; }
OWN int omp_get_cancellation(void) { return 0; }
OWN void omp_set_nested(int on) { nested = on != 0; }
OWN int omp_get_nested(void) { return nested; }
OWN void omp_set_schedule(omp_sched_t k, int c) { kind = k, chunk = c; }
OWN void omp_get_schedule(omp_sched_t *k, int *c) { *k = kind, *c = chunk; }
OWN int omp_get_thread_limit(void) { return 1; }
OWN void omp_set_max_active_levels(int n) { (void)n; }
OWN int omp_get_max_active_levels(void) { return 1; }
OWN int omp_get_level(void) { return 0; }
OWN int omp_get_ancestor_thread_num(int level) { return level == 0 ? 0 : -1; }
OWN int omp_get_team_size(int level) { return level == 0 ? 1 : -1; }
OWN int omp_get_active_level(void) { return 0; }
OWN int omp_in_final(void) { return 0; }
OWN omp_proc_bind_t omp_get_proc_bind(void) { return omp_proc_bind_false; }
OWN int omp_get_num_places(void) { return 0; }
OWN int omp_get_place_num_procs(int place) { return (void)place, 0; }
OWN void omp_get_place_proc_ids(int place, int *ids) { (void)place, (void)ids; }
OWN int omp_get_place_num(void) { return -1; }
OWN int omp_get_partition_num_places(void) { return 0; }
OWN void omp_get_partition_place_nums(int *places) { (void)places; }
OWN void omp_set_default_device(int device) { (void)device; }
OWN int omp_get_default_device(void) { return 0; }
OWN int omp_get_num_devices(void) { return 0; }
OWN int omp_get_num_teams(void) { return 1; }
OWN int omp_get_team_num(void) { return 0; }
OWN int omp_is_initial_device(void) { return 1; }
OWN int omp_get_initial_device(void) { return 0; }
OWN int omp_get_max_task_priority(void) { return 0; }

OWN void omp_init_lock(omp_lock_t *l) { l->__held = 0; }
OWN void omp_init_lock_with_hint(omp_lock_t *l, omp_lock_hint_t hint) { (void)hint, l->__held = 0; }
OWN void omp_destroy_lock(omp_lock_t *l) { (void)l; }
OWN int omp_test_lock(omp_lock_t *l) { return l->__held ? 0 : (l->__held = 1); }
OWN void omp_set_lock(omp_lock_t *l) {
  if (!omp_test_lock(l)) godwit_die("omp_set_lock of a lock that this thread holds: no other can let it go, for a rank has one thread");
}
OWN void omp_unset_lock(omp_lock_t *l) { l->__held = 0; }
OWN void omp_init_nest_lock(omp_nest_lock_t *l) { l->__held = 0; }
OWN void omp_init_nest_lock_with_hint(omp_nest_lock_t *l, omp_lock_hint_t hint) { (void)hint, l->__held = 0; }
OWN void omp_destroy_nest_lock(omp_nest_lock_t *l) { (void)l; }
OWN void omp_set_nest_lock(omp_nest_lock_t *l) { l->__held++; }
OWN void omp_unset_nest_lock(omp_nest_lock_t *l) { l->__held--; }
OWN int omp_test_nest_lock(omp_nest_lock_t *l) { return ++l->__held; }

OWN double omp_get_wtime(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}
OWN double omp_get_wtick(void) { return 1e-9; }
