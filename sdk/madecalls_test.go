package sdk

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestMadeCalls: a program's own function is not called where its source calls another of the library's, which clang would make of it, and gcc does not.
func TestMadeCalls(t *testing.T) {
	files := map[string]string{
		"own.c": "double exp2(double x) { return -x; } char *stpcpy(char *to, const char *from) { return 0; }\n" +
			"int bcmp(const void *a, const void *b, unsigned long n) { return 5; }\n",
		"main.c": `#include <math.h>
#include <stdio.h>
#include <string.h>
__attribute__((noinline)) double real(double x) { return pow(2.0, x); }
__attribute__((noinline)) unsigned long len(char *d, const char *s) { strcpy(d, s); return strlen(d); }
int main(int c, char **v) { char b[9]; printf("%g %lu %d\n", real(c + 0.5), len(b, "abc"), memcmp(b, "abc", 3) == 0); return 0; }
`,
		"made.c": "#include <math.h>\n#include <stdio.h>\ndouble exp2(double x) { return pow(2.0, x); }\nint main(int c, char **v) { printf(\"%g\\n\", exp2(c + 1.5)); return 0; }\n",
	}
	for _, level := range []string{"-O0", "-O2", "-O3"} {
		code, _, stderr := build(t, C, files, level, "main.c", "own.c", "-o", "a.wasm")
		require.Zero(t, code, stderr)
		require.Empty(t, stderr)
		printed, err := runGuest(t)
		require.NoError(t, err)
		require.Equal(t, "2.82843 3 1\n", printed, level)
		code, _, stderr = build(t, C, files, level, "made.c", "-o", "a.wasm")
		require.Zero(t, code, stderr)
		printed, err = runGuest(t)
		require.NoError(t, err)
		require.Equal(t, "5.65685\n", printed, level)
	}
}

// TestLdexpMade: clang's call of ldexp for pow(2, i) is the library's, and the source's is the program's, in objects, in several at once, and in the file that has it.
func TestLdexpMade(t *testing.T) {
	inCheck(t)
	files := map[string]string{
		"own.c":  "double ldexp(double x, int n) { return -x * n; }\n",
		"made.c": "#include <math.h>\n__attribute__((noinline)) double made(int i) { return pow(2.0, i); } float madef(int i) { return powf(2.0f, i); }\n",
		"main.c": `#include <math.h>
#include <stdio.h>
double made(int); float madef(int);
int main(int c, char **v) { printf("%g %g %g\n", made(c + 3), madef(c + 4), ldexp(c, 3)); return 0; }
`,
		"same.c": "#include <math.h>\n#include <stdio.h>\n" +
			"double ldexp(double x, int n) { return -x * pow(2.0, n); }\nint main(int c, char **v) { printf(\"%g %g\\n\", pow(2.0, c + 2), ldexp(c, c + 2)); return 0; }\n",
	}
	prints := func(want string, args ...string) {
		code, _, stderr := build(t, C, files, append(args, "-o", "a.wasm")...)
		require.Zero(t, code, stderr)
		require.Empty(t, stderr)
		printed, err := runGuest(t)
		require.NoError(t, err)
		require.Equal(t, want, printed, args)
	}
	for _, level := range []string{"-O0", "-O2", "-O3"} {
		prints("16 32 -3\n", level, "main.c", "made.c", "own.c")
		prints("16 32 8\n", level, "main.c", "made.c")
		prints("8 -8\n", level, "same.c")
	}
	code, _, stderr := build(t, C, files, "-c", "main.c", "made.c", "own.c")
	require.Zero(t, code, stderr)
	for _, name := range []string{"main.o", "made.o", "own.o"} {
		files[name] = string(readFile(name))
	}
	prints("16 32 -3\n", "main.o", "made.o", "own.o")
}

// TestMallocByMmap: a program's malloc that is made of mmap is not asked for what mmap gives, and what is given back is given again.
func TestMallocByMmap(t *testing.T) {
	files := map[string]string{"a.c": `#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
struct head { size_t n, pad; };
static char *at, *end;
void *malloc(size_t n) {
  n = (n + 15) / 16 * 16 + 16;
  if (!at || at + n > end) {
    size_t k = n > 1 << 20 ? n : 1 << 20;
    char *p = mmap(0, k, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED) return 0;
    at = p, end = p + k;
  }
  struct head *h = (void *)at;
  at += n, h->n = n - 16;
  return h + 1;
}
void free(void *p) {}
void *calloc(size_t a, size_t b) { void *p = malloc(a * b); if (p) memset(p, 0, a * b); return p; }
void *realloc(void *p, size_t n) { void *q = malloc(n); if (p && q) { struct head *h = (struct head *)p - 1; memcpy(q, p, h->n < n ? h->n : n); } return q; }
int main(void) {
  char *s = strdup("hi"), *first = 0;
  void *p = malloc(100);
  p = realloc(p, 3 << 20);
  size_t before = __builtin_wasm_memory_size(0);
  int same = 0, zero = 1;
  for (int i = 0; i < 100; i++) {
    char *m = mmap(0, 200000, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (first == 0) first = m;
    same += m == first;
    zero = zero && m[0] == 0 && m[199999] == 0;
    memset(m, 1, 200000);
    munmap(m, 200000);
  }
  printf("%s %d %d %d %d\n", s, p != 0, same, zero, (int)(__builtin_wasm_memory_size(0) - before) < 20);
  return 0;
}
`}
	printsAtLevels(t, C, files, "a.c", "hi 1 100 1 1\n")
}

// TestMallocBySbrk: a program's malloc that is made of sbrk gets memory in whatever pieces it asks for.
func TestMallocBySbrk(t *testing.T) {
	files := map[string]string{"a.c": `#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
static size_t taken;
void *malloc(size_t n) { n = (n + 31) & ~15UL; char *p = sbrk((long)n); if (p == (char *)-1) return 0; taken += n; *(size_t *)p = n - 16; return p + 16; }
void free(void *p) {}
void *calloc(size_t a, size_t b) { void *p = malloc(a * b); if (p) memset(p, 0, a * b); return p; }
void *realloc(void *p, size_t n) { void *q = malloc(n); if (p && q) memcpy(q, p, ((size_t *)p)[-2] < n ? ((size_t *)p)[-2] : n); return q; }
int main(void) {
  char *s = strdup("hi"), *last = 0;
  int near = 0;
  for (int i = 0; i < 1000; i++) {
    char *p = malloc(1000);
    memset(p, 1, 1000);
    near += last && p == last + 1024;
    last = p;
  }
  char *big = malloc(5 << 20);
  big[(5 << 20) - 1] = 7;
  void *was = sbrk(0), *less = sbrk(-16);
  printf("%s %d %d %d %d\n", s, near, big[(5 << 20) - 1], less == was, sbrk(-2000000000) == (void *)-1);
  return 0;
}
`}
	code, _, stderr := build(t, C, files, "-O2", "-w", "a.c", "-o", "a.wasm")
	require.Zero(t, code, stderr)
	printed, err := runGuest(t)
	require.NoError(t, err)
	require.Equal(t, "hi 999 7 1 1\n", printed)
}

// TestMallocAndFreeAlone: what the library, and C++, have of calloc and realloc is of the program's malloc where it has no others: its free gets nothing else.
func TestMallocAndFreeAlone(t *testing.T) {
	files := map[string]string{"a.cpp": `#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <stdexcept>
#include <string>
alignas(16) static char pool[1 << 22];
static size_t used;
static int wrong;
extern "C" void *malloc(size_t n) { n = (n + 15) & ~15UL; if (used + n > sizeof pool) return nullptr; void *p = pool + used; used += n; return p; }
extern "C" void free(void *p) { if (p && ((char *)p < pool || (char *)p >= pool + used)) wrong++; }
int main() {
  for (int i = 0; i < 3; i++) try { throw std::runtime_error(std::string(40, 'x')); } catch (const std::exception &e) { if (strlen(e.what()) != 40) return 1; }
  char *line = nullptr; size_t n = 0;
  FILE *f = fopen("lines", "w"); fputs(std::string(300, 'y').c_str(), f); fclose(f);
  f = fopen("lines", "r"); long got = getline(&line, &n, f); fclose(f); free(line);
  int *zero = (int *)calloc(100, 4); int sum = 0;
  for (int i = 0; i < 100; i++) sum += zero[i], zero[i] = i;
  zero = (int *)realloc(zero, 4000);
  printf("%ld %d %d %d\n", got, sum, zero[99], wrong);
  free(zero);
  return 0;
}
`}
	printsAtLevels(t, CXX, files, "a.cpp", "300 0 99 0\n")
}

// TestDataByNamesOfFunctions: a file may have data by the names of functions that clang knows by itself, and still calls others of them.
func TestDataByNamesOfFunctions(t *testing.T) {
	files := map[string]string{"a.c": `#include <stdio.h>
int index = 3; static double log[3] = {1, 2}; typedef int round;
double sqrt(double);
int main(int c, char **v) { round r = index; printf("%d %g %g %d\n", index, log[1], sqrt(c + 3), r); return 0; }
`, "bad.c": "#include <string.h>\nint strlen = 3; int main(void) { return strlen; }\n"}
	for _, level := range []string{"-O0", "-O2"} {
		code, _, stderr := build(t, C, files, level, "a.c", "-o", "a.wasm")
		require.Zero(t, code, stderr)
		require.Empty(t, stderr)
		printed, err := runGuest(t)
		require.NoError(t, err)
		require.Equal(t, "3 2 2 3\n", printed)
	}
	code, _, stderr := build(t, C, files, "bad.c", "-o", "a.wasm")
	require.NotZero(t, code, "the header declares it")
	require.Contains(t, stderr, "redefinition of 'strlen'")
}

// TestBlockedSignalsArePending: what is raised while it is blocked is pending, once, and its handler runs when it is not.
func TestBlockedSignalsArePending(t *testing.T) {
	files := map[string]string{"a.c": `#define _GNU_SOURCE
#include <signal.h>
#include <stdio.h>
#include <unistd.h>
static volatile sig_atomic_t n;
static void count(int s) { n++; }
int main(void) {
  sigset_t set, old, now;
  signal(SIGUSR1, count);
  sigemptyset(&set), sigaddset(&set, SIGUSR1);
  sigprocmask(SIG_BLOCK, &set, &old);
  raise(SIGUSR1), kill(getpid(), SIGUSR1);
  sigpending(&now);
  printf("%d %d\n", (int)n, sigismember(&now, SIGUSR1));
  sigprocmask(SIG_SETMASK, &old, 0);
  sigpending(&now);
  printf("%d %d\n", (int)n, sigismember(&now, SIGUSR1));
  raise(SIGUSR1);
  printf("%d\n", (int)n);
  return 0;
}
`}
	code, _, stderr := build(t, C, files, "a.c", "-o", "a.wasm")
	require.Zero(t, code, stderr)
	printed, err := runGuest(t)
	require.NoError(t, err)
	require.Equal(t, "0 1\n1 0\n2\n", printed)
}

// TestSignals: handlers and their masks are Linux's.
func TestSignals(t *testing.T) {
	files := map[string]string{"a.c": `#define _GNU_SOURCE
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
static sigjmp_buf top;
static int n, in, deepest, b;
static void ends(int s) { printf("abort %d\n", n); fflush(stdout); _exit(0); }
static void jumps(int s) { siglongjmp(top, s); }
static void counts(int s) { n++; }
static void again(int s) { if (++in > deepest) deepest = in; if (n++ < 3) raise(s); in--; }
static void other(int s) { b = 1; raise(SIGUSR2), raise(SIGHUP); printf("in %d %d\n", n, b); }
static void late(int s) { b = 2; }
int main(void) {
  struct sigaction a, old;
  memset(&a, 0, sizeof a);
  signal(SIGINT, SIG_IGN), raise(SIGINT);
  sigaction(SIGINT, 0, &old), printf("%d", old.sa_handler == SIG_IGN);
  a.sa_handler = counts, a.sa_flags = SA_RESETHAND;
  sigaction(SIGTERM, &a, 0), raise(SIGTERM), sigaction(SIGTERM, 0, &old);
  printf(" %d %d", n, old.sa_handler == SIG_DFL);
  printf(" %d %d %d\n", raise(SIGCHLD), raise(99), signal(99, counts) == SIG_ERR);
  n = 0, signal(SIGUSR1, again), raise(SIGUSR1), printf("%d %d\n", n, deepest);
  a.sa_handler = other, a.sa_flags = 0, sigaddset(&a.sa_mask, SIGUSR2);
  sigaction(SIGUSR1, &a, 0), signal(SIGUSR2, late), signal(SIGHUP, counts), raise(SIGUSR1), printf("%d\n", b);
  signal(SIGSEGV, jumps);
  for (int i = 0; i < 3; i++) if (!sigsetjmp(top, 1)) raise(SIGSEGV); else n++;
  printf("%d\n", n);
  signal(SIGABRT, jumps);
  if (!sigsetjmp(top, 1)) abort(); else n++;
  signal(SIGABRT, ends);
  if (n == 9) abort();
  return 1;
}
`}
	printsAtLevels(t, C, files, "a.c", "1 1 1 0 -1 1\n4 1\nin 5 1\n2\n8\nabort 9\n")
}

// printsAtLevels checks what a program of one file prints that is built without, and with, optimization.
func printsAtLevels(t *testing.T, lang Lang, files map[string]string, source, want string, options ...string) {
	t.Helper()
	for _, level := range []string{"-O0", "-O2"} {
		code, _, stderr := build(t, lang, files, append(options, level, "-w", source, "-o", "a.wasm")...)
		require.Zero(t, code, stderr)
		printed, err := runGuest(t)
		require.NoError(t, err)
		require.Equal(t, want, printed, level)
	}
}
