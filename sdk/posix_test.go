package sdk

import (
	"bytes"
	"context"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestOldNames: functions of POSIX, and older and GNU's ones, that wasi-libc lacks or answers wrong.
func TestOldNames(t *testing.T) {
	files := map[string]string{"a.c": `#define _GNU_SOURCE
#include <err.h>
#include <errno.h>
#include <ftw.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
static int visited, inner;
static int inside(const char *path, const struct stat *st, int kind) { inner++; return 0; }
static int visit(const char *path, const struct stat *st, int kind) {
  if (kind == FTW_D && strcmp(path, "top/sub") == 0) ftw(path, inside, 4);
  return visited++, 0;
}
int main(void) {
  struct tm tm = {0};
  strptime("2024-02-29", "%Y-%m-%d", &tm), printf("%d %d", tm.tm_yday, tm.tm_wday);
  strptime("11:30", "%H:%M", &tm), printf(" %d %d", tm.tm_yday, tm.tm_hour);
  strptime("Mon 03/01/24", "%a %m/%d/%y", &tm), printf(" %d %d\n", tm.tm_yday, tm.tm_wday);
  printf("%d %d %d\n", sysconf(_SC_OPEN_MAX) > 0, sysconf(_SC_PHYS_PAGES) * sysconf(_SC_PAGESIZE) > 2000000000, sysconf(_SC_AVPHYS_PAGES) * sysconf(_SC_PAGESIZE) > 2000000000);
  mkdir("top", 0755), mkdir("top/sub", 0755), fclose(fopen("top/sub/file", "w"));
  int failed = ftw("top", visit, 4);
  printf("%d %d %d\n", failed, visited, inner);
  void *p = memalign(256, 100), *q = valloc(5);
  printf("%d %d %d\n", (int)((size_t)p % 256), (int)((size_t)q % (size_t)getpagesize()), mallopt(M_MMAP_THRESHOLD, 1 << 20));
  char *begin = sbrk(100), *end = sbrk(0);
  begin[99] = 1, printf("%d %d\n", end - begin >= 100, sbrk(-4096) == (void *)-1);
  printf("%s %s\n", program_invocation_name, program_invocation_short_name);
  fflush(stdout);
  warnx("%d", 5);
  return 0;
}
`, "b.c": "#include <err.h>\nint main(void) { warnx(\"%d\", 6); return 0; }\n"}
	printsAtLevels(t, C, files, "a.c", "59 4 59 11 60 1\n1 1 1\n0 3 2\n0 0 0\n1 1\na.wasm a.wasm\na.wasm: 5\n")
	printsAtLevels(t, C, files, "b.c", "a.wasm: 6\n")
}

// TestAskedFor: a file that is linked for a symbol alone does what it does before main.
func TestAskedFor(t *testing.T) {
	files := map[string]string{
		"a.c":   "#include <stdio.h>\nint main(void) { puts(\"main\"); return 0; }\n",
		"lib.c": "#include <stdio.h>\n__attribute__((constructor)) static void before(void) { puts(\"before\"); } int used(void) { return 1; }\n",
	}
	library(t, C, files, "", "liblib.a", "lib.c")
	files["liblib.a"] = string(readFile("liblib.a"))
	for _, option := range [][]string{{"-u", "used"}, {"-uused"}, {"-Wl,-u,used"}, {"-Wl,-uused"}, {"-Wl,--undefined=used"}, {"-Xlinker", "-u", "-Xlinker", "used"}, {"-Wl,--require-defined,used"}} {
		code, _, stderr := build(t, C, files, append(option, "a.c", "liblib.a", "-o", "a.wasm")...)
		require.Zero(t, code, stderr)
		printed, err := runGuest(t)
		require.NoError(t, err)
		require.Equal(t, "before\nmain\n", printed, option)
	}
}

// TestCompiledHeaders: a header is compiled for other files, by its name or where an option says that it is one.
func TestCompiledHeaders(t *testing.T) {
	files := map[string]string{"own.h": "inline int two() { return 2; }\n", "a.cpp": "int main() { return two() - 2; }\n"}
	for _, args := range [][]string{{"-x", "c++-header", "own.h", "-o", "own.h.gch"}, {"-xc++-header", "own.h"}, {"own.h"}} {
		code, _, stderr := build(t, CXX, files, args...)
		require.Zero(t, code, stderr)
		require.FileExists(t, "own.h.gch")
	}
	var stdout, stderr bytes.Buffer // where the header is compiled, as its times say
	require.Zero(t, Toolchain{}.Run(context.Background(), CXX, []string{"-include", "own.h", "-Winvalid-pch", "-Werror", "a.cpp", "-o", "a.wasm"}, &stdout, &stderr), stderr.String())
}

// TestSaidOfWhatIsNotThere: an output that cannot be, functions and headers that guests have not.
func TestSaidOfWhatIsNotThere(t *testing.T) {
	files := map[string]string{
		"a.c": "int main(void) { return 0; }\n", "gets.c": "#include <stdio.h>\nint main(void) { char s[9]; return gets(s) != 0; }\n",
		"dl.c": "#include <dlfcn.h>\nint main(void) { return 0; }\n", "info.c": "int mallinfo(void); int main(void) { return mallinfo(); }\n",
	}
	for _, tt := range []struct{ source, output, want string }{
		{"a.c", "nosuch/x", "output nosuch/x: no such file or directory"},
		{"a.c", "a.c/x", "output a.c/x: a.c is no directory"},
		{"a.c", ".", "output .: it is a directory"},
		{"gets.c", "x", "gets is in C before 2011 only: compile with -std=gnu99, or call fgets"},
		{"dl.c", "x", "dlfcn.h is not there: a guest is one module"},
		{"info.c", "x", "mallinfo is not there: the malloc of guests keeps no numbers"},
	} {
		code, _, stderr := build(t, C, files, tt.source, "-o", tt.output)
		require.NotZero(t, code)
		require.Contains(t, stderr, tt.want)
	}
	code, _, stderr := build(t, C, files, "-std=gnu99", "-w", "gets.c", "-o", "a.wasm")
	require.Zero(t, code, stderr)
}

// TestAsOnLinux: what programs take from Linux for granted, where WASI's numbers are others.
func TestAsOnLinux(t *testing.T) {
	files := map[string]string{"a.c": `#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/times.h>
#include <time.h>
#include <unistd.h>
static int handled;
static void handler(int number) { handled = number; }
int main(void) {
  int lock = open("lock", O_CREAT | O_EXCL | O_LARGEFILE, 0600), again = open("lock", O_CREAT | O_EXCL, 0600);
  printf("%d %d %d %d %d\n", lock >= 0, again == -1 && errno == EEXIST, open("lock", 0) >= 0, open(".", O_DIRECTORY) >= 0, write(lock, "x", 1) == -1);
  int fd = open("data", O_RDWR | O_CREAT | O_APPEND, 0644);
  struct stat st;
  printf("%d", (int)write(fd, "01234567890", 11)), fstat(fd, &st);
  printf(" %d %d %d %d\n", (int)st.st_blksize, (int)st.st_blocks, st.st_uid == getuid(), fcntl(fd, F_GETFD));
  struct tms before, after;
  clock_t begin = times(&before);
  struct timespec from, now;
  clock_gettime(CLOCK_MONOTONIC, &from);
  do clock_gettime(CLOCK_MONOTONIC, &now);
  while ((now.tv_sec - from.tv_sec) * 1e9 + now.tv_nsec - from.tv_nsec < 3e8);
  double passed = (double)(times(&after) - begin) / sysconf(_SC_CLK_TCK);
  printf("%d %d\n", passed > 0.2 && passed < 100, after.tms_utime >= before.tms_utime);
  struct tm tm = {0};
  strptime("2024-061", "%Y-%j", &tm), printf("%d %d %d %d\n", tm.tm_mon, tm.tm_mday, tm.tm_yday, tm.tm_wday);
  sigset_t all, blocked;
  sigfillset(&all), sigprocmask(SIG_BLOCK, &all, NULL), sigprocmask(SIG_BLOCK, NULL, &blocked);
  signal(SIGUSR1, handler), signal(SIGRTMIN + 1, handler), raise(SIGUSR1), signal(SIGUSR1, SIG_IGN), signal(SIGUSR1, handler);
  sigprocmask(SIG_UNBLOCK, &all, NULL);
  printf("%d %d %d", handled, sigismember(&blocked, SIGKILL), sigismember(&blocked, SIGSTOP));
  raise(SIGRTMIN + 1), printf(" %d\n", handled == SIGRTMIN + 1);
}
`}
	printsAtLevels(t, C, files, "a.c", "1 1 1 1 1\n11 4096 1 1 0\n1 1\n2 1 60 5\n0 0 0 1\n")
}

// TestIntrinsics: a program of another processor's instructions is told so, in one line behind the errors.
func TestIntrinsics(t *testing.T) {
	_, _, stderr := build(t, C, map[string]string{"a.c": "#include <xmmintrin.h>\nint main(void) { return 0; }\n"}, "a.c")
	lines := strings.Split(strings.TrimSpace(stderr), "\n")
	require.Contains(t, lines[len(lines)-1], "mmintrin.h is of the instructions of a processor")
}

// TestAsync: what may be deferred is, and what may not says that no thread starts.
func TestAsync(t *testing.T) {
	inCheck(t)
	files := map[string]string{"a.cpp": `#include <cerrno>
#include <cstdio>
#include <future>
int main() {
  printf("%d", std::async([](int x) { return x + 1; }, 41).get());
  try {
    std::async(std::launch::async, [] {}).get();
  } catch (const std::system_error &e) {
    printf(" %d", e.code().value() == EAGAIN);
  }
  std::packaged_task<int()> task([] { return 7; });
  auto result = task.get_future();
  printf(" %d\n", (task(), result.get()));
}
`}
	for _, std := range []string{"-std=c++11", "-std=c++23"} {
		printsAtLevels(t, CXX, files, "a.cpp", "42 1 7\n", std)
	}
}

// TestOldC: what gcc 12 warns of, and builds.
func TestOldC(t *testing.T) {
	files := map[string]string{"a.c": `#include <stdio.h>
#include <stdlib.h>
static int less(double *a, double *b) { return *a < *b ? -1 : *a > *b; }
static name(n) { return n + 1; }
static int early(int n) { if (n) return; return 2; }
main() {
  double v[] = {3, 1, 2};
  qsort(v, 3, sizeof *v, less);
  char *text = (long)"text";
  int at = text;
  printf("%g %g %g %d %d %s\n", v[0], v[1], v[2], name(4), early(0), (char *)at);
  return 0;
}
`}
	printsAtLevels(t, C, files, "a.c", "1 2 3 5 2 text\n")
	code, _, _ := build(t, C, files, "-Werror", "a.c", "-o", "a.wasm")
	require.NotZero(t, code)
}

// TestJumpsThroughTries: a jump passes the frames of functions with a try, or with something to destroy, whose files do not mention setjmp, and those of the C++ library.
func TestJumpsThroughTries(t *testing.T) {
	inCheck(t)
	files := map[string]string{"a.cpp": `#include <csetjmp>
#include <cstdio>
#include <iostream>
#include <mutex>
extern "C" { jmp_buf at; void fail(); }
void mid(void (*)(), int);
int outer(void (*f)(), int n) { jmp_buf other; return setjmp(other) ? -1 : (mid(f, n), 0); }
struct Full : std::streambuf { int overflow(int) override { longjmp(at, 3); } };
int main() {
  for (int n = 0; n < 3; n++) {
    int came = setjmp(at);
    if (came == 0) outer(fail, n), puts("it went on");
    printf("%d ", came);
  }
  int came = setjmp(at);
  std::once_flag once;
  if (came == 0) std::call_once(once, [] { longjmp(at, 2); }), puts("it went on");
  printf("%d ", came);
  static Full full;
  static std::ostream out(&full);
  came = setjmp(at);
  if (came == 0) out << 5, puts("it went on");
  printf("%d ", came);
  came = setjmp(at);
  if (came == 0) try { mid([] { throw 4; }, 1); } catch (int n) { longjmp(at, n); }
  printf("%d\n", came);
}
`, "b.cpp": `#include <cstdio>
#include <string>
struct Told { ~Told() { puts("destroyed"); } };
void mid(void (*f)(), int n) {
  switch (n) {
  case 0:
    try { f(), puts("it went on"); } catch (long) { puts("caught"); }
    break;
  case 1: { std::string kept("a text that is too long to be kept in place"); f(); puts(kept.c_str()); break; }
  default: { Told told; f(); puts("it went on"); }
  }
}
`, "c.c": `#include <setjmp.h>
extern jmp_buf at;
void fail(void) { longjmp(at, 5); }
`}
	for _, level := range []string{"-O0", "-O2"} {
		for source, lang := range map[string]Lang{"a.cpp": CXX, "b.cpp": CXX, "c.c": C} {
			code, _, stderr := build(t, lang, files, level, "-w", "-c", source, "-o", source+".o")
			require.Zero(t, code, stderr)
			files[source+".o"] = string(readFile(source + ".o"))
		}
		code, _, stderr := build(t, CXX, files, level, "a.cpp.o", "b.cpp.o", "c.c.o", "-o", "a.wasm")
		require.Zero(t, code, stderr)
		printed, err := runGuest(t)
		require.NoError(t, err)
		require.Equal(t, "5 5 5 2 3 4\n", printed, level)
	}
}

// TestJumpsOutOfTerminate: a handler of SIGABRT may jump out of std::terminate to a function with a call on the way there, and runs once where that cannot be: the program ends by that, and not by what
// std::terminate would have done.
func TestJumpsOutOfTerminate(t *testing.T) {
	files := map[string]string{"a.cpp": `#include <csetjmp>
#include <csignal>
#include <cstdio>
#include <exception>
#include <stdexcept>
sigjmp_buf at;
void jumps(int) { puts("handler"), siglongjmp(at, 7); }
__attribute__((noinline)) void ends() { std::terminate(); }
int main(int argc, char **) {
  signal(SIGABRT, jumps);
  int came = sigsetjmp(at, 1);
  if (came == 0) ends();
  printf("%d\n", came);
  if (sigsetjmp(at, 1) == 0) throw std::runtime_error("x");
  puts("it went on");
}
`}
	for _, level := range []string{"-O0", "-O2"} {
		code, _, stderr := build(t, CXX, files, level, "a.cpp", "-o", "a.wasm")
		require.Zero(t, code, stderr)
		printed, err := runGuest(t)
		require.ErrorContains(t, err, "unreachable")
		require.Equal(t, "std::terminate was called, without an exception\nhandler\n7\nuncaught exception of type std::runtime_error: x\nhandler\n", printed, level)
	}
}

// TestJumpsToNowhere: a jump to a function that has returned ends the program with that reason, whatever calls of setjmp and tries there are, and a handler of SIGABRT that makes such a jump, too, runs once.
func TestJumpsToNowhere(t *testing.T) {
	text := `#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
static jmp_buf outer, inner;
__attribute__((noinline)) int leave(int n) { volatile char room[64]; room[n] = 1; if (setjmp(inner)) puts("inner"); return room[n]; }
__attribute__((noinline)) void go(int n) { volatile char room[ROOM]; room[n] = 1; longjmp(inner, room[n]); }
static void handler(int number) { puts("handler"), go(number); }
int main(int argc, char **argv) {
  signal(SIGABRT, handler);
  if (setjmp(outer)) return puts("outer"), 0;
  leave(argc), go(argc);
}
`
	for _, room := range []string{"8", "4000"} {
		for source, lang := range map[string]Lang{"a.c": C, "a.cpp": CXX} {
			for _, level := range []string{"-O0", "-O2"} {
				code, _, stderr := build(t, lang, map[string]string{source: text}, level, "-DROOM="+room, source, "-o", "a.wasm")
				require.Zero(t, code, stderr)
				printed, err := runGuest(t)
				require.ErrorContains(t, err, "unreachable")
				require.Equal(t, "longjmp to a function that has returned\nhandler\n", printed, level)
			}
		}
	}
}

// TestJumpsToNowhereThroughTries: so it ends where a file that knows of no jumps has a try.
func TestJumpsToNowhereThroughTries(t *testing.T) {
	files := map[string]string{"a.cpp": `#include <cstdio>
extern "C" void leave(int), go(int);
int main(int argc, char **) {
  leave(argc);
  try { go(argc), puts("it went on"); } catch (...) { puts("caught"); }
}
`, "c.c": `#include <setjmp.h>
static jmp_buf at;
void leave(int n) { volatile char room[64]; room[n] = (char)setjmp(at); }
void go(int n) { volatile char room[4000]; room[n] = 1; longjmp(at, room[n]); }
`}
	code, _, stderr := build(t, C, files, "-O2", "-c", "c.c", "-o", "c.o")
	require.Zero(t, code, stderr)
	files["c.o"] = string(readFile("c.o"))
	code, _, stderr = build(t, CXX, files, "-O2", "a.cpp", "c.o", "-o", "a.wasm")
	require.Zero(t, code, stderr)
	printed, err := runGuest(t)
	require.ErrorContains(t, err, "unreachable")
	require.Equal(t, "longjmp to a function that has returned\n", printed)
}
