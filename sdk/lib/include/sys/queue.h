/* Lists and queues that are woven into their elements, by the macros that BSD's systems and GNU's C library have under this name: queue(3). */
#ifndef GODWIT_SYS_QUEUE_H
#define GODWIT_SYS_QUEUE_H

#include <stddef.h>

/* A chain in one direction, whose head points to the first. */
#define SLIST_HEAD(name, type) \
  struct name {                \
    struct type *slh_first;    \
  }
#define SLIST_HEAD_INITIALIZER(head) {NULL}
#define SLIST_ENTRY(type)  \
  struct {                 \
    struct type *sle_next; \
  }
#define SLIST_FIRST(head) ((head)->slh_first)
#define SLIST_NEXT(elm, field) ((elm)->field.sle_next)
#define SLIST_EMPTY(head) (SLIST_FIRST(head) == NULL)
#define SLIST_INIT(head) ((void)(SLIST_FIRST(head) = NULL))
#define SLIST_FOREACH(var, head, field) for ((var) = SLIST_FIRST(head); (var); (var) = SLIST_NEXT(var, field))
#define SLIST_FOREACH_SAFE(var, head, field, tvar) for ((var) = SLIST_FIRST(head); (var) && ((tvar) = SLIST_NEXT(var, field), 1); (var) = (tvar))
#define SLIST_INSERT_HEAD(head, elm, field) ((void)(SLIST_NEXT(elm, field) = SLIST_FIRST(head), SLIST_FIRST(head) = (elm)))
#define SLIST_INSERT_AFTER(at, elm, field) ((void)(SLIST_NEXT(elm, field) = SLIST_NEXT(at, field), SLIST_NEXT(at, field) = (elm)))
#define SLIST_REMOVE_HEAD(head, field) ((void)(SLIST_FIRST(head) = SLIST_NEXT(SLIST_FIRST(head), field)))
#define SLIST_REMOVE_AFTER(elm, field) ((void)(SLIST_NEXT(elm, field) = SLIST_NEXT(SLIST_NEXT(elm, field), field)))
#define SLIST_REMOVE(head, elm, type, field)                                \
  do {                                                                      \
    struct type **godwit_at = &SLIST_FIRST(head);                           \
    while (*godwit_at != (elm)) godwit_at = &SLIST_NEXT(*godwit_at, field); \
    *godwit_at = SLIST_NEXT(*godwit_at, field);                             \
  } while (0)

/* A chain each of whose elements knows what points to it. */
#define LIST_HEAD(name, type) \
  struct name {               \
    struct type *lh_first;    \
  }
#define LIST_HEAD_INITIALIZER(head) {NULL}
#define LIST_ENTRY(type)   \
  struct {                 \
    struct type *le_next;  \
    struct type **le_prev; \
  }
#define LIST_FIRST(head) ((head)->lh_first)
#define LIST_NEXT(elm, field) ((elm)->field.le_next)
#define LIST_EMPTY(head) (LIST_FIRST(head) == NULL)
#define LIST_INIT(head) ((void)(LIST_FIRST(head) = NULL))
#define LIST_FOREACH(var, head, field) for ((var) = LIST_FIRST(head); (var); (var) = LIST_NEXT(var, field))
#define LIST_FOREACH_SAFE(var, head, field, tvar) for ((var) = LIST_FIRST(head); (var) && ((tvar) = LIST_NEXT(var, field), 1); (var) = (tvar))
#define LIST_INSERT_HEAD(head, elm, field)                                                                          \
  do {                                                                                                              \
    if ((LIST_NEXT(elm, field) = LIST_FIRST(head)) != NULL) LIST_FIRST(head)->field.le_prev = &LIST_NEXT(elm, field); \
    LIST_FIRST(head) = (elm);                                                                                       \
    (elm)->field.le_prev = &LIST_FIRST(head);                                                                       \
  } while (0)
#define LIST_INSERT_AFTER(at, elm, field)                                                                                    \
  do {                                                                                                                       \
    if ((LIST_NEXT(elm, field) = LIST_NEXT(at, field)) != NULL) LIST_NEXT(at, field)->field.le_prev = &LIST_NEXT(elm, field); \
    LIST_NEXT(at, field) = (elm);                                                                                            \
    (elm)->field.le_prev = &LIST_NEXT(at, field);                                                                            \
  } while (0)
#define LIST_INSERT_BEFORE(at, elm, field)        \
  do {                                            \
    (elm)->field.le_prev = (at)->field.le_prev;   \
    LIST_NEXT(elm, field) = (at);                 \
    *(at)->field.le_prev = (elm);                 \
    (at)->field.le_prev = &LIST_NEXT(elm, field); \
  } while (0)
#define LIST_REMOVE(elm, field)                                                                                \
  do {                                                                                                         \
    if (LIST_NEXT(elm, field) != NULL) LIST_NEXT(elm, field)->field.le_prev = (elm)->field.le_prev;            \
    *(elm)->field.le_prev = LIST_NEXT(elm, field);                                                             \
  } while (0)

/* A chain whose head also knows where the next one goes behind the last. */
#define STAILQ_HEAD(name, type) \
  struct name {                 \
    struct type *stqh_first;    \
    struct type **stqh_last;    \
  }
#define STAILQ_HEAD_INITIALIZER(head) {NULL, &(head).stqh_first}
#define STAILQ_ENTRY(type)  \
  struct {                  \
    struct type *stqe_next; \
  }
#define STAILQ_FIRST(head) ((head)->stqh_first)
#define STAILQ_NEXT(elm, field) ((elm)->field.stqe_next)
#define STAILQ_EMPTY(head) (STAILQ_FIRST(head) == NULL)
#define STAILQ_LAST(head, type, field) (STAILQ_EMPTY(head) ? NULL : (struct type *)(void *)((char *)(head)->stqh_last - offsetof(struct type, field)))
#define STAILQ_INIT(head) ((void)(STAILQ_FIRST(head) = NULL, (head)->stqh_last = &STAILQ_FIRST(head)))
#define STAILQ_FOREACH(var, head, field) for ((var) = STAILQ_FIRST(head); (var); (var) = STAILQ_NEXT(var, field))
#define STAILQ_FOREACH_SAFE(var, head, field, tvar) for ((var) = STAILQ_FIRST(head); (var) && ((tvar) = STAILQ_NEXT(var, field), 1); (var) = (tvar))
#define STAILQ_INSERT_HEAD(head, elm, field)                                                                  \
  do {                                                                                                        \
    if ((STAILQ_NEXT(elm, field) = STAILQ_FIRST(head)) == NULL) (head)->stqh_last = &STAILQ_NEXT(elm, field); \
    STAILQ_FIRST(head) = (elm);                                                                               \
  } while (0)
#define STAILQ_INSERT_TAIL(head, elm, field)        \
  do {                                              \
    STAILQ_NEXT(elm, field) = NULL;                 \
    *(head)->stqh_last = (elm);                     \
    (head)->stqh_last = &STAILQ_NEXT(elm, field);   \
  } while (0)
#define STAILQ_INSERT_AFTER(head, at, elm, field)                                                                 \
  do {                                                                                                            \
    if ((STAILQ_NEXT(elm, field) = STAILQ_NEXT(at, field)) == NULL) (head)->stqh_last = &STAILQ_NEXT(elm, field); \
    STAILQ_NEXT(at, field) = (elm);                                                                               \
  } while (0)
#define STAILQ_REMOVE_HEAD(head, field)                                                                                      \
  do {                                                                                                                       \
    if ((STAILQ_FIRST(head) = STAILQ_NEXT(STAILQ_FIRST(head), field)) == NULL) (head)->stqh_last = &STAILQ_FIRST(head); \
  } while (0)
#define STAILQ_REMOVE_AFTER(head, elm, field)                                                                                                   \
  do {                                                                                                                                          \
    if ((STAILQ_NEXT(elm, field) = STAILQ_NEXT(STAILQ_NEXT(elm, field), field)) == NULL) (head)->stqh_last = &STAILQ_NEXT(elm, field); \
  } while (0)
#define STAILQ_REMOVE(head, elm, type, field)                                                \
  do {                                                                                       \
    struct type **godwit_at = &STAILQ_FIRST(head);                                           \
    while (*godwit_at != (elm)) godwit_at = &STAILQ_NEXT(*godwit_at, field);                 \
    if ((*godwit_at = STAILQ_NEXT(*godwit_at, field)) == NULL) (head)->stqh_last = godwit_at; \
  } while (0)
#define STAILQ_CONCAT(head, other)                    \
  do {                                                \
    if (!STAILQ_EMPTY(other)) {                       \
      *(head)->stqh_last = STAILQ_FIRST(other);       \
      (head)->stqh_last = (other)->stqh_last;         \
      STAILQ_INIT(other);                             \
    }                                                 \
  } while (0)

/* The same by another name, of its own members. */
#define SIMPLEQ_HEAD(name, type) \
  struct name {                  \
    struct type *sqh_first;      \
    struct type **sqh_last;      \
  }
#define SIMPLEQ_HEAD_INITIALIZER(head) {NULL, &(head).sqh_first}
#define SIMPLEQ_ENTRY(type) \
  struct {                  \
    struct type *sqe_next;  \
  }
#define SIMPLEQ_FIRST(head) ((head)->sqh_first)
#define SIMPLEQ_NEXT(elm, field) ((elm)->field.sqe_next)
#define SIMPLEQ_EMPTY(head) (SIMPLEQ_FIRST(head) == NULL)
#define SIMPLEQ_INIT(head) ((void)(SIMPLEQ_FIRST(head) = NULL, (head)->sqh_last = &SIMPLEQ_FIRST(head)))
#define SIMPLEQ_FOREACH(var, head, field) for ((var) = SIMPLEQ_FIRST(head); (var); (var) = SIMPLEQ_NEXT(var, field))
#define SIMPLEQ_INSERT_HEAD(head, elm, field)                                                                    \
  do {                                                                                                           \
    if ((SIMPLEQ_NEXT(elm, field) = SIMPLEQ_FIRST(head)) == NULL) (head)->sqh_last = &SIMPLEQ_NEXT(elm, field); \
    SIMPLEQ_FIRST(head) = (elm);                                                                                 \
  } while (0)
#define SIMPLEQ_INSERT_TAIL(head, elm, field)       \
  do {                                              \
    SIMPLEQ_NEXT(elm, field) = NULL;                \
    *(head)->sqh_last = (elm);                      \
    (head)->sqh_last = &SIMPLEQ_NEXT(elm, field);   \
  } while (0)
#define SIMPLEQ_INSERT_AFTER(head, at, elm, field)                                                                   \
  do {                                                                                                               \
    if ((SIMPLEQ_NEXT(elm, field) = SIMPLEQ_NEXT(at, field)) == NULL) (head)->sqh_last = &SIMPLEQ_NEXT(elm, field); \
    SIMPLEQ_NEXT(at, field) = (elm);                                                                                 \
  } while (0)
#define SIMPLEQ_REMOVE_HEAD(head, field)                                                                                      \
  do {                                                                                                                        \
    if ((SIMPLEQ_FIRST(head) = SIMPLEQ_NEXT(SIMPLEQ_FIRST(head), field)) == NULL) (head)->sqh_last = &SIMPLEQ_FIRST(head); \
  } while (0)
#define SIMPLEQ_REMOVE(head, elm, type, field)                                               \
  do {                                                                                       \
    struct type **godwit_at = &SIMPLEQ_FIRST(head);                                          \
    while (*godwit_at != (elm)) godwit_at = &SIMPLEQ_NEXT(*godwit_at, field);                \
    if ((*godwit_at = SIMPLEQ_NEXT(*godwit_at, field)) == NULL) (head)->sqh_last = godwit_at; \
  } while (0)

/* A chain in both directions, whose head knows its last. The one before an element is found by what points to that, which lies in it as in a head. */
#define TAILQ_HEAD(name, type) \
  struct name {                \
    struct type *tqh_first;    \
    struct type **tqh_last;    \
  }
#define TAILQ_HEAD_INITIALIZER(head) {NULL, &(head).tqh_first}
#define TAILQ_ENTRY(type)   \
  struct {                  \
    struct type *tqe_next;  \
    struct type **tqe_prev; \
  }
#define TAILQ_FIRST(head) ((head)->tqh_first)
#define TAILQ_NEXT(elm, field) ((elm)->field.tqe_next)
#define TAILQ_EMPTY(head) (TAILQ_FIRST(head) == NULL)
#define TAILQ_LAST(head, headname) (*(((struct headname *)((head)->tqh_last))->tqh_last))
#define TAILQ_PREV(elm, headname, field) (*(((struct headname *)((elm)->field.tqe_prev))->tqh_last))
#define TAILQ_INIT(head) ((void)(TAILQ_FIRST(head) = NULL, (head)->tqh_last = &TAILQ_FIRST(head)))
#define TAILQ_FOREACH(var, head, field) for ((var) = TAILQ_FIRST(head); (var); (var) = TAILQ_NEXT(var, field))
#define TAILQ_FOREACH_SAFE(var, head, field, tvar) for ((var) = TAILQ_FIRST(head); (var) && ((tvar) = TAILQ_NEXT(var, field), 1); (var) = (tvar))
#define TAILQ_FOREACH_REVERSE(var, head, headname, field) for ((var) = TAILQ_LAST(head, headname); (var); (var) = TAILQ_PREV(var, headname, field))
#define TAILQ_FOREACH_REVERSE_SAFE(var, head, headname, field, tvar) \
  for ((var) = TAILQ_LAST(head, headname); (var) && ((tvar) = TAILQ_PREV(var, headname, field), 1); (var) = (tvar))
/* What points back at the place behind elm: that of the next one, or the head's. */
#define GODWIT_TAILQ_BACK(head, elm, field) (*(TAILQ_NEXT(elm, field) ? &TAILQ_NEXT(elm, field)->field.tqe_prev : &(head)->tqh_last))
#define TAILQ_INSERT_HEAD(head, elm, field)                                    \
  do {                                                                         \
    TAILQ_NEXT(elm, field) = TAILQ_FIRST(head);                                \
    GODWIT_TAILQ_BACK(head, elm, field) = &TAILQ_NEXT(elm, field);             \
    TAILQ_FIRST(head) = (elm);                                                 \
    (elm)->field.tqe_prev = &TAILQ_FIRST(head);                                \
  } while (0)
#define TAILQ_INSERT_TAIL(head, elm, field)        \
  do {                                             \
    TAILQ_NEXT(elm, field) = NULL;                 \
    (elm)->field.tqe_prev = (head)->tqh_last;      \
    *(head)->tqh_last = (elm);                     \
    (head)->tqh_last = &TAILQ_NEXT(elm, field);    \
  } while (0)
#define TAILQ_INSERT_AFTER(head, at, elm, field)                               \
  do {                                                                         \
    TAILQ_NEXT(elm, field) = TAILQ_NEXT(at, field);                            \
    GODWIT_TAILQ_BACK(head, elm, field) = &TAILQ_NEXT(elm, field);             \
    TAILQ_NEXT(at, field) = (elm);                                             \
    (elm)->field.tqe_prev = &TAILQ_NEXT(at, field);                            \
  } while (0)
#define TAILQ_INSERT_BEFORE(at, elm, field)          \
  do {                                               \
    (elm)->field.tqe_prev = (at)->field.tqe_prev;    \
    TAILQ_NEXT(elm, field) = (at);                   \
    *(at)->field.tqe_prev = (elm);                   \
    (at)->field.tqe_prev = &TAILQ_NEXT(elm, field);  \
  } while (0)
#define TAILQ_REMOVE(head, elm, field)                               \
  do {                                                               \
    GODWIT_TAILQ_BACK(head, elm, field) = (elm)->field.tqe_prev;     \
    *(elm)->field.tqe_prev = TAILQ_NEXT(elm, field);                 \
  } while (0)
#define TAILQ_CONCAT(head, other, field)                        \
  do {                                                          \
    if (!TAILQ_EMPTY(other)) {                                  \
      *(head)->tqh_last = TAILQ_FIRST(other);                   \
      TAILQ_FIRST(other)->field.tqe_prev = (head)->tqh_last;    \
      (head)->tqh_last = (other)->tqh_last;                     \
      TAILQ_INIT(other);                                        \
    }                                                           \
  } while (0)

/* A ring through its head: whose neighbours are, at the ends, the head itself. */
#define CIRCLEQ_HEAD(name, type) \
  struct name {                  \
    struct type *cqh_first;      \
    struct type *cqh_last;       \
  }
#define CIRCLEQ_HEAD_INITIALIZER(head) {(void *)&(head), (void *)&(head)}
#define CIRCLEQ_ENTRY(type) \
  struct {                  \
    struct type *cqe_next;  \
    struct type *cqe_prev;  \
  }
#define CIRCLEQ_FIRST(head) ((head)->cqh_first)
#define CIRCLEQ_LAST(head) ((head)->cqh_last)
#define CIRCLEQ_NEXT(elm, field) ((elm)->field.cqe_next)
#define CIRCLEQ_PREV(elm, field) ((elm)->field.cqe_prev)
#define CIRCLEQ_EMPTY(head) ((void *)CIRCLEQ_FIRST(head) == (void *)(head))
#define CIRCLEQ_INIT(head) ((void)(CIRCLEQ_FIRST(head) = (void *)(head), CIRCLEQ_LAST(head) = (void *)(head)))
#define CIRCLEQ_FOREACH(var, head, field) for ((var) = CIRCLEQ_FIRST(head); (void *)(var) != (void *)(head); (var) = CIRCLEQ_NEXT(var, field))
#define CIRCLEQ_FOREACH_REVERSE(var, head, field) for ((var) = CIRCLEQ_LAST(head); (void *)(var) != (void *)(head); (var) = CIRCLEQ_PREV(var, field))
#define CIRCLEQ_LOOP_NEXT(head, elm, field) ((void *)CIRCLEQ_NEXT(elm, field) == (void *)(head) ? CIRCLEQ_FIRST(head) : CIRCLEQ_NEXT(elm, field))
#define CIRCLEQ_LOOP_PREV(head, elm, field) ((void *)CIRCLEQ_PREV(elm, field) == (void *)(head) ? CIRCLEQ_LAST(head) : CIRCLEQ_PREV(elm, field))
/* What elm's two neighbours say of it. */
#define GODWIT_CIRCLEQ_OF_PREV(head, elm, field) \
  (*((void *)CIRCLEQ_PREV(elm, field) == (void *)(head) ? &CIRCLEQ_FIRST(head) : &CIRCLEQ_NEXT(CIRCLEQ_PREV(elm, field), field)))
#define GODWIT_CIRCLEQ_OF_NEXT(head, elm, field) \
  (*((void *)CIRCLEQ_NEXT(elm, field) == (void *)(head) ? &CIRCLEQ_LAST(head) : &CIRCLEQ_PREV(CIRCLEQ_NEXT(elm, field), field)))
#define GODWIT_CIRCLEQ_LINK(head, elm, field) ((void)(GODWIT_CIRCLEQ_OF_PREV(head, elm, field) = (elm), GODWIT_CIRCLEQ_OF_NEXT(head, elm, field) = (elm)))
#define CIRCLEQ_INSERT_HEAD(head, elm, field) \
  ((void)(CIRCLEQ_NEXT(elm, field) = CIRCLEQ_FIRST(head), CIRCLEQ_PREV(elm, field) = (void *)(head)), GODWIT_CIRCLEQ_LINK(head, elm, field))
#define CIRCLEQ_INSERT_TAIL(head, elm, field) \
  ((void)(CIRCLEQ_PREV(elm, field) = CIRCLEQ_LAST(head), CIRCLEQ_NEXT(elm, field) = (void *)(head)), GODWIT_CIRCLEQ_LINK(head, elm, field))
#define CIRCLEQ_INSERT_AFTER(head, at, elm, field) \
  ((void)(CIRCLEQ_NEXT(elm, field) = CIRCLEQ_NEXT(at, field), CIRCLEQ_PREV(elm, field) = (at)), GODWIT_CIRCLEQ_LINK(head, elm, field))
#define CIRCLEQ_INSERT_BEFORE(head, at, elm, field) \
  ((void)(CIRCLEQ_PREV(elm, field) = CIRCLEQ_PREV(at, field), CIRCLEQ_NEXT(elm, field) = (at)), GODWIT_CIRCLEQ_LINK(head, elm, field))
#define CIRCLEQ_REMOVE(head, elm, field)                                              \
  do {                                                                                \
    GODWIT_CIRCLEQ_OF_PREV(head, elm, field) = CIRCLEQ_NEXT(elm, field);              \
    GODWIT_CIRCLEQ_OF_NEXT(head, elm, field) = CIRCLEQ_PREV(elm, field);              \
  } while (0)

#endif
