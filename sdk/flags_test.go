package sdk

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// What gcc takes for its own tuning, for a native CPU, and from builds of all kinds, compiles: it is mapped, or dropped. testdata/flags.txt has the options of
// gcc 12 (gcc -Q --help=optimizers,target) and others that build systems pass.
func TestFlagsOfOthers(t *testing.T) {
	list, err := os.ReadFile("testdata/flags.txt")
	require.NoError(t, err)
	flags := strings.Fields(string(list))
	require.Greater(t, len(flags), 500)
	code, _, stderr := build(t, C, map[string]string{"a.c": "int main(void) { return 0; }"}, append(flags, "-c", "a.c")...)
	require.Zero(t, code, stderr)
	for line := range strings.Lines(stderr) {
		require.Contains(t, line, "is ignored: ", "a note is one line that says why")
	}
}

// Without them a program would be another than the user asks for.
func TestRefusedFlags(t *testing.T) {
	files := map[string]string{"a.c": "int main(int c, char **v) { (void)v; return 1 << (c - 1); }"}
	for flag, why := range map[string]string{
		"-fsanitize=address": "check the program natively", "-fsanitize=undefined": "-fsanitize-trap=undefined", "-fwasm-exceptions": "exceptions work without an option",
		"-matomics": "threads are not there", "-shared": "make a static one",
	} {
		code, _, stderr := build(t, C, files, flag, "a.c")
		require.Equal(t, 1, code, flag)
		require.Contains(t, stderr, flag+": ")
		require.Contains(t, stderr, why)
	}
	code, _, stderr := build(t, C, files, "-fsanitize=undefined", "-fsanitize-trap=undefined", "a.c")
	require.Zero(t, code, stderr)
}

// Every level of optimisation is taken, and what is called without a prototype is an error at each.
func TestLevels(t *testing.T) {
	files := map[string]string{"a.c": "int main(void) { return 0; }", "b.c": "int main(void) { return other(); }"}
	for _, level := range []string{"-O0", "-O1", "-O2", "-O3", "-O4", "-O5", "-Os", "-Oz", "-Og", "-Ofast", "-O", "-g -flto", "-g3 -O2"} {
		code, _, stderr := build(t, C, files, append(strings.Fields(level), "a.c")...)
		require.Zero(t, code, "%s: %s", level, stderr)
		code, _, stderr = build(t, C, files, append(strings.Fields(level), "-std=gnu89", "-c", "b.c")...)
		require.Equal(t, 1, code, level)
		require.Contains(t, stderr, "implicit declaration of function 'other'")
	}
}

// A function that a guest cannot have is missing at the link, which says why.
func TestMissingFunctions(t *testing.T) {
	for call, why := range map[string]string{
		"fork": "a rank is one process", "dlopen": "a guest is one module", "alarm": "no signal comes to a rank", "socket": "no network but MPI",
		"shmget": "MPI_Win_allocate_shared", "feenableexcept": "no floating-point traps", "mprotect": "no pages of its own",
	} {
		code, _, stderr := build(t, C, map[string]string{"a.c": "int " + call + "(void);\nint main(void) { return " + call + "(); }"}, "a.c")
		require.Equal(t, 1, code)
		require.Contains(t, stderr, "godwit cc: "+call+" is not there: ")
		require.Contains(t, stderr, why)
	}
}

// What closes mapped files is in a program that maps some, and only there.
func TestMapped(t *testing.T) {
	files := map[string]string{
		"maps.c": "#include <fcntl.h>\n#include <sys/mman.h>\n#include <unistd.h>\nint main(void) { int fd = open(\"f\", O_RDWR);\n" +
			"void *p = mmap(0, 1, PROT_READ, MAP_SHARED, fd, 0); return p == MAP_FAILED || close(fd) || munmap(p, 1); }",
		"plain.c": "#include <stdio.h>\nint main(void) { return puts(\"x\") < 0; }",
	}
	for source, want := range map[string]bool{"maps.c": true, "plain.c": false} {
		code, _, stderr := build(t, C, files, source, "-o", "a.wasm")
		require.Zero(t, code, stderr)
		module, err := os.ReadFile("a.wasm")
		require.NoError(t, err)
		require.Equal(t, want, bytes.Contains(module, []byte("write_all_back")), source)
	}
}

// Several sources of one link are compiled each by itself, in its own language, and what they say comes in their order.
func TestSourcesOfALink(t *testing.T) {
	files := map[string]string{
		"a.c": "#warning first\nint b(void); int main(void) { return b(); }", "b.c": "#warning second\nint b(void) { return 0; }",
		"c.txt": "int c(void) { return 0; }",
	}
	code, _, stderr := build(t, C, files, "a.c", "b.c", "-x", "c", "c.txt", "-o", "a.wasm")
	require.Zero(t, code, stderr)
	first, second := strings.Index(stderr, "first"), strings.Index(stderr, "second")
	require.Positive(t, first)
	require.Greater(t, second, first)
	code, _, stderr = build(t, C, files, "-MD", "a.c", "b.c", "-o", "prog")
	require.Zero(t, code, stderr)
	rule, err := os.ReadFile("b.d")
	require.NoError(t, err)
	require.Contains(t, string(rule), "prog: b.c")
	code, _, stderr = build(t, C, files, "-x", "none", "c.txt")
	require.NotZero(t, code, stderr)
}

// TestOptionsOfNativeLinkers: what build systems give GNU ld, and means nothing here, is no error.
func TestOptionsOfNativeLinkers(t *testing.T) {
	files := map[string]string{"a.c": "#include <stdio.h>\nint main(void) { puts(\"linked\"); return 0; }\n"}
	code, _, stderr := build(t, C, files, "a.c", "-Wl,--fatal-warnings,--push-state,--as-needed,-lm,--pop-state", "-Wl,--exclude-libs,ALL,--exclude-libs=liba.a", "-Wl,--stats,--cref,--noinhibit-exec,-q",
		"-Xlinker", "--allow-shlib-undefined", "-Xlinker", "--exclude-libs", "-Xlinker", "ALL", "-o", "a.wasm")
	require.Zero(t, code, stderr)
	printed, err := runGuest(t)
	require.NoError(t, err)
	require.Equal(t, "linked\n", printed)
}
