/* main: picks the tests that the command line names and runs them in order. */
#include "conformance.h"

#define CHAPTER_OF(name) extern const struct test *const chapter_##name[];
#include "chapters.h"
#undef CHAPTER_OF

static const struct test *const *const chapters[] = {
#define CHAPTER_OF(name) chapter_##name,
#include "chapters.h"
#undef CHAPTER_OF
};

enum { CHAPTERS = sizeof chapters / sizeof *chapters };

static int has_prefix(const char *s, const char *prefix, size_t n) { return strncmp(s, prefix, n) == 0; }

/* left_out holds the arguments that begin with a minus: what they ask for does not run. */
static char **left_out;
static int left_outs;

/* selects tells whether an argument asks for a test: "all", "p2p_*", "@p2p_", or the test's name. */
static int selects(const char *arg, const struct test *t) {
  size_t n = strlen(arg);
  if (strcmp(arg, t->name) == 0) return 1;
  if (t->by_name) return 0;
  if (strcmp(arg, "all") == 0) return 1;
  if (arg[0] == '@') return has_prefix(t->name, arg + 1, n - 1);
  return n > 0 && arg[n - 1] == '*' && has_prefix(t->name, arg, n - 1);
}

static int is_left_out(const struct test *t) {
  for (int i = 0; i < left_outs; i++)
    if (left_out[i][0] == '-' && selects(left_out[i] + 1, t)) return 1;
  return 0;
}

static void list(void) {
  for (int c = 0; c < CHAPTERS; c++)
    for (int i = 0; chapters[c][i] != NULL; i++) {
      const struct test *t = chapters[c][i];
      printf("%-32s %d  %-24s %s%s\n", t->name, t->ranks, t->section, t->functions,
             t->by_name ? "  (by name only)" : "");
    }
}

static const char *running = "none";

static void run(const struct test *t) {
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  if (size < t->ranks) {
    if (rank == 0) printf("skip %s: needs %d ranks\n", t->name, t->ranks);
    fflush(stdout);
    return;
  }
  running = t->name;
  MPI_Comm_dup(MPI_COMM_WORLD, &comm);
  t->body();
  int done = 1, all = 0;
  MPI_Allreduce(&done, &all, 1, MPI_INT, MPI_SUM, comm);
  CHECK_INT(all, size);
  MPI_Comm_free(&comm);
  if (errors_returned) {
    MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_ARE_FATAL);
    MPI_Comm_set_errhandler(MPI_COMM_SELF, MPI_ERRORS_ARE_FATAL);
    errors_returned = 0;
  }
  if (rank == 0) printf("ok %s\n", t->name);
  fflush(stdout);
}

/* run_selected runs what an argument asks for, and returns how many tests that is. */
static int run_selected(const char *arg) {
  int n = 0;
  for (int c = 0; c < CHAPTERS; c++)
    for (int i = 0; chapters[c][i] != NULL; i++)
      if (selects(arg, chapters[c][i])) {
        if (!is_left_out(chapters[c][i])) run(chapters[c][i]);
        n++;
      }
  return n;
}

void check_failed(const char *file, int line, const char *expr, const char *details) {
  int r = -1;
  MPI_Comm_rank(MPI_COMM_WORLD, &r);
  const char *base = strrchr(file, '/');
  printf("not ok %s: rank %d: %s:%d: %s (%s)\n", running, r, base != NULL ? base + 1 : file, line, expr, details);
  fflush(stdout);
  MPI_Abort(MPI_COMM_WORLD, 1);
  exit(1);
}

int main(int argc, char **argv) {
  MPI_Init(&argc, &argv);
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  if (argc == 2 && strcmp(argv[1], "list") == 0) {
    if (rank == 0) list();
    MPI_Finalize();
    return 0;
  }
  left_out = argv + 1;
  left_outs = argc - 1;
  int asked = 0, code = 0;
  for (int i = 1; i < argc; i++) {
    if (argv[i][0] == '-') continue;
    asked++;
    if (run_selected(argv[i]) > 0) continue;
    if (rank == 0) fprintf(stderr, "conformance: no test is named %s: `conformance list` prints the names\n", argv[i]);
    code = 2;
  }
  if (asked == 0) run_selected("all");
  MPI_Finalize();
  return code;
}
