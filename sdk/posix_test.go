package sdk

import (
	"bytes"
	"context"
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
  printf("%d %d %d\n", sysconf(_SC_OPEN_MAX) > 0, sysconf(_SC_PHYS_PAGES) == 65536, sysconf(_SC_AVPHYS_PAGES) > 60000);
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
	for _, option := range [][]string{{"-u", "used"}, {"-uused"}, {"-Wl,-u,used"}, {"-Wl,--undefined=used"}, {"-Xlinker", "-u", "-Xlinker", "used"}, {"-Wl,--require-defined,used"}} {
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
