/* Random changes of each kind of list of sys/queue.h, beside an array of what is in it. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/queue.h>

struct item {
  int number;
  SLIST_ENTRY(item) s;
  LIST_ENTRY(item) l;
  STAILQ_ENTRY(item) st;
  SIMPLEQ_ENTRY(item) si;
  TAILQ_ENTRY(item) t;
  CIRCLEQ_ENTRY(item) c;
};
SLIST_HEAD(slist, item) slist = SLIST_HEAD_INITIALIZER(slist);
LIST_HEAD(list, item) list = LIST_HEAD_INITIALIZER(list);
STAILQ_HEAD(stailq, item) stailq = STAILQ_HEAD_INITIALIZER(stailq), more = STAILQ_HEAD_INITIALIZER(more);
SIMPLEQ_HEAD(simpleq, item) simpleq = SIMPLEQ_HEAD_INITIALIZER(simpleq);
TAILQ_HEAD(tailq, item) tailq = TAILQ_HEAD_INITIALIZER(tailq), rest = TAILQ_HEAD_INITIALIZER(rest);
CIRCLEQ_HEAD(circleq, item) circleq;

enum { most = 12 };
static struct item *want[most];
static int n;

#define SAME(kind, walk, back)                                                                                             \
  do {                                                                                                                     \
    int i = 0;                                                                                                             \
    struct item *at;                                                                                                       \
    walk if (i >= n || want[i++] != at) printf(kind " differs at %d\n", i), exit(1);                                       \
    if (i != n) printf(kind " has %d of %d\n", i, n), exit(1);                                                             \
    back if (i < 1 || want[--i] != at) printf(kind " differs at %d from its end\n", i), exit(1);                           \
  } while (0)

static void same(void) {
  SAME("SLIST", SLIST_FOREACH(at, &slist, s), while (0));
  SAME("LIST", LIST_FOREACH(at, &list, l), while (0));
  SAME("STAILQ", STAILQ_FOREACH(at, &stailq, st), while (0));
  SAME("SIMPLEQ", SIMPLEQ_FOREACH(at, &simpleq, si), while (0));
  SAME("TAILQ", TAILQ_FOREACH(at, &tailq, t), TAILQ_FOREACH_REVERSE(at, &tailq, tailq, t));
  SAME("CIRCLEQ", CIRCLEQ_FOREACH(at, &circleq, c), CIRCLEQ_FOREACH_REVERSE(at, &circleq, c));
  int all = SLIST_EMPTY(&slist) + LIST_EMPTY(&list) + STAILQ_EMPTY(&stailq) + SIMPLEQ_EMPTY(&simpleq) + TAILQ_EMPTY(&tailq) + CIRCLEQ_EMPTY(&circleq);
  if (all != (n ? 0 : 6)) printf("%d are empty of %d\n", all, n), exit(1);
  if (n && (TAILQ_LAST(&tailq, tailq) != want[n - 1] || CIRCLEQ_LAST(&circleq) != want[n - 1] || STAILQ_NEXT(want[n - 1], st))) printf("last\n"), exit(1);
}

static void insert(int k) {
  struct item *x = malloc(sizeof *x), *before = k > 0 ? want[k - 1] : NULL, *after = k < n ? want[k] : NULL;
  int how = rand() % 2;
  for (int i = n++; i > k; i--) want[i] = want[i - 1];
  want[k] = x;
  if (before) SLIST_INSERT_AFTER(before, x, s); else SLIST_INSERT_HEAD(&slist, x, s);
  if (after && how) LIST_INSERT_BEFORE(after, x, l); else if (before) LIST_INSERT_AFTER(before, x, l); else LIST_INSERT_HEAD(&list, x, l);
  if (!after && how) STAILQ_INSERT_TAIL(&stailq, x, st); else if (before) STAILQ_INSERT_AFTER(&stailq, before, x, st); else STAILQ_INSERT_HEAD(&stailq, x, st);
  if (!after && how) SIMPLEQ_INSERT_TAIL(&simpleq, x, si); else if (before) SIMPLEQ_INSERT_AFTER(&simpleq, before, x, si); else SIMPLEQ_INSERT_HEAD(&simpleq, x, si);
  if (!after && how) TAILQ_INSERT_TAIL(&tailq, x, t);
  else if (after && how) TAILQ_INSERT_BEFORE(after, x, t);
  else if (before) TAILQ_INSERT_AFTER(&tailq, before, x, t);
  else TAILQ_INSERT_HEAD(&tailq, x, t);
  if (!after && how) CIRCLEQ_INSERT_TAIL(&circleq, x, c);
  else if (after && how) CIRCLEQ_INSERT_BEFORE(&circleq, after, x, c);
  else if (before) CIRCLEQ_INSERT_AFTER(&circleq, before, x, c);
  else CIRCLEQ_INSERT_HEAD(&circleq, x, c);
}

static void take(int k) {
  struct item *x = want[k];
  if (k == 0) SLIST_REMOVE_HEAD(&slist, s); else SLIST_REMOVE(&slist, x, item, s);
  LIST_REMOVE(x, l);
  if (k == 0) STAILQ_REMOVE_HEAD(&stailq, st); else STAILQ_REMOVE(&stailq, x, item, st);
  if (k == 0) SIMPLEQ_REMOVE_HEAD(&simpleq, si); else SIMPLEQ_REMOVE(&simpleq, x, item, si);
  TAILQ_REMOVE(&tailq, x, t);
  CIRCLEQ_REMOVE(&circleq, x, c);
  for (n--; k < n; k++) want[k] = want[k + 1];
  free(x);
}

int main(void) {
  CIRCLEQ_INIT(&circleq);
  for (int round = 0; round < 20000; round++) {
    if (n < most && (n == 0 || rand() % 2)) insert(rand() % (n + 1)); else take(rand() % n);
    if (rand() % 8 == 0) {
      STAILQ_CONCAT(&more, &stailq);
      STAILQ_CONCAT(&stailq, &more);
      TAILQ_CONCAT(&rest, &tailq, t);
      TAILQ_CONCAT(&tailq, &rest, t);
    }
    same();
  }
  printf("all lists are as they should be\n");
  return 0;
}
