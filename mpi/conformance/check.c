/* check: what the checks and the small helpers of the tests do. */
#include "conformance.h"

MPI_Comm comm = MPI_COMM_NULL;
int rank, size, errors_returned;

enum { DETAILS = 3 * MPI_MAX_ERROR_STRING };

void check_int(const char *file, int line, const char *expr, long long got, long long want) {
  if (got == want) return;
  char details[DETAILS];
  snprintf(details, sizeof details, "got %lld, want %lld", got, want);
  check_failed(file, line, expr, details);
}

void check_str(const char *file, int line, const char *expr, const char *got, const char *want) {
  if (strcmp(got, want) == 0) return;
  char details[DETAILS];
  snprintf(details, sizeof details, "got \"%s\", want \"%s\"", got, want);
  check_failed(file, line, expr, details);
}

void check_class(const char *file, int line, const char *expr, int code, int want, int or_want) {
  int class = -1, length;
  MPI_Error_class(code, &class);
  if (class == want || class == or_want) return;
  char details[DETAILS], got[MPI_MAX_ERROR_STRING] = "", wanted[MPI_MAX_ERROR_STRING] = "";
  MPI_Error_string(class, got, &length);
  MPI_Error_string(want, wanted, &length);
  snprintf(details, sizeof details, "got class %d, %s; want class %d, %s", class, got, want, wanted);
  check_failed(file, line, expr, details);
}

void check_status(const char *file, int line, const MPI_Status *status, int source, int tag, MPI_Datatype type,
                  int count) {
  int n = -1;
  check_int(file, line, "status.MPI_SOURCE", status->MPI_SOURCE, source);
  check_int(file, line, "status.MPI_TAG", status->MPI_TAG, tag);
  MPI_Get_count(status, type, &n);
  check_int(file, line, "MPI_Get_count", n, count);
}

void check_empty(const char *file, int line, const MPI_Status *status) {
  int cancelled = 1;
  check_status(file, line, status, MPI_ANY_SOURCE, MPI_ANY_TAG, MPI_BYTE, 0);
  MPI_Test_cancelled(status, &cancelled);
  check_int(file, line, "MPI_Test_cancelled", cancelled, 0);
}

int value(int r, int i) { return (r + 1) * 100003 + i * 7 + i / 1000; }

void *allocate(size_t bytes) {
  void *p = calloc(bytes > 0 ? bytes : 1, 1);
  if (p == NULL) check_failed(__FILE__, __LINE__, "calloc", "out of memory");
  return p;
}

int *new_ints(int n, int fill) {
  int *p = allocate((size_t)n * sizeof *p);
  for (int i = 0; i < n; i++) p[i] = fill;
  return p;
}

void errors_return(MPI_Comm c) { MPI_Comm_set_errhandler(c, MPI_ERRORS_RETURN); }

void errors_return_everywhere(void) {
  errors_return(comm);
  errors_return(MPI_COMM_WORLD);
  errors_return(MPI_COMM_SELF);
  errors_returned = 1;
}

void spoil(MPI_Status *status) {
  memset(status, 0, sizeof *status);
  status->MPI_SOURCE = -1234;
  status->MPI_TAG = -1234;
  status->MPI_ERROR = -1234;
}

MPI_Comm even_odd_intercomm(MPI_Comm *local) {
  MPI_Comm inter;
  MPI_Comm_split(comm, rank % 2, rank, local);
  MPI_Intercomm_create(*local, 0, comm, rank % 2 == 0 ? 1 : 0, 77, &inter);
  return inter;
}
