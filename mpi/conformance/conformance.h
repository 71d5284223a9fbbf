/*
 * conformance.h: how a test is written.
 *
 *   TEST(p2p_modes_ring, 2, "MPI-5.0 section 3.4", "MPI_Send MPI_Recv") {
 *     CHECK(rank < size);
 *   }
 *   CHAPTER(p2p_modes, &p2p_modes_ring)
 *
 * A test runs on every rank, over `comm`, a duplicate of MPI_COMM_WORLD made for it alone. It works for any number of
 * ranks from its minimum up, frees what it makes, and prints nothing. The first check that fails ends the job.
 */
#ifndef CONFORMANCE_H
#define CONFORMANCE_H

#include <mpi.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct test {
  const char *name;
  int ranks;             /* the least number of ranks it needs */
  const char *section;   /* of the standard, which says what is checked */
  const char *functions; /* that it calls for its own sake, with spaces between */
  void (*body)(void);
  int by_name; /* runs only if it is named in full: it is big or slow */
};

/* What a test works with. */
extern MPI_Comm comm;
extern int rank, size;

/* Set by errors_return_everywhere, so that its effect ends with the test. */
extern int errors_returned;

#define TEST_ENTRY(name, ranks, section, functions, by_name)                                \
  static void name##_body(void);                                                            \
  static const struct test name = {#name, ranks, section, functions, name##_body, by_name}; \
  static void name##_body(void)

#define TEST(name, ranks, section, functions) TEST_ENTRY(name, ranks, section, functions, 0)
#define TEST_BY_NAME(name, ranks, section, functions) TEST_ENTRY(name, ranks, section, functions, 1)

/* The tests of one file, in the order in which they run. */
#define CHAPTER(name, ...) const struct test *const chapter_##name[] = {__VA_ARGS__, NULL};

/* A file that has no tests for an MPI this old. */
#define NO_CHAPTER(name) const struct test *const chapter_##name[] = {NULL};

#define MPI_SINCE(version, subversion) \
  (MPI_VERSION > (version) || (MPI_VERSION == (version) && MPI_SUBVERSION >= (subversion)))

#define CHECK(expr)                                                   \
  do {                                                                \
    if (!(expr)) check_failed(__FILE__, __LINE__, #expr, "is false"); \
  } while (0)

/* Integers of any type that fits in long long. */
#define CHECK_INT(got, want) check_int(__FILE__, __LINE__, #got, (long long)(got), (long long)(want))
#define CHECK_STR(got, want) check_str(__FILE__, __LINE__, #got, got, want)

/* A call that must fail with an error of this class; the error handler in charge must return. */
#define CHECK_CLASS(call, want) check_class(__FILE__, __LINE__, #call, call, want, want)

/* The same, where the standard leaves two classes to choose from. */
#define CHECK_CLASS2(call, want, or_want) check_class(__FILE__, __LINE__, #call, call, want, or_want)

/* A status of a message: its source, its tag, and how many items of a datatype it has. */
#define CHECK_STATUS(status, source, tag, type, count) \
  check_status(__FILE__, __LINE__, status, source, tag, type, count)

/* An empty status, as waiting for no request gives it (MPI-5.0 section 3.7.3). */
#define CHECK_EMPTY(status) check_empty(__FILE__, __LINE__, status)

void check_failed(const char *file, int line, const char *expr, const char *details);
void check_int(const char *file, int line, const char *expr, long long got, long long want);
void check_str(const char *file, int line, const char *expr, const char *got, const char *want);
void check_class(const char *file, int line, const char *expr, int code, int want, int or_want);
void check_status(const char *file, int line, const MPI_Status *status, int source, int tag, MPI_Datatype type,
                  int count);
void check_empty(const char *file, int line, const MPI_Status *status);

/* A number that tells element i of what rank r sends from every other. */
int value(int r, int i);

/* Allocates zeroed memory, never NULL, or ends the job. */
void *allocate(size_t bytes);
int *new_ints(int n, int fill);

/* Makes errors on a communicator come back to the caller. */
void errors_return(MPI_Comm c);

/* The same for comm and, until the test ends, for MPI_COMM_WORLD and MPI_COMM_SELF, one of which gets the errors of
   calls that have no communicator: which one depends on the version of the standard. */
void errors_return_everywhere(void);

/* Fills a status with what no call would put there. */
void spoil(MPI_Status *status);

/* An intercommunicator between the even and the odd ranks of comm, and the local side's intracommunicator. */
MPI_Comm even_odd_intercomm(MPI_Comm *local);

#endif
