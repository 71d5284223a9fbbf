package sdk

import (
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// searched are the directories that a compiler says it searches for headers.
func searched(t *testing.T, verbose string) []string {
	t.Helper()
	_, rest, ok := strings.Cut(verbose, "#include <...> search starts here:\n")
	require.True(t, ok, verbose)
	list, _, ok := strings.Cut(rest, "End of search list.")
	require.True(t, ok, verbose)
	return strings.Fields(list)
}

// The headers of the machine that builds are not a guest's, in C and in C++; wasi-libc's and libc++'s are.
func TestHeadersOfTheMachine(t *testing.T) {
	files := map[string]string{"a.c": "int x;", "a.cpp": "int x;"}
	cxx := "/c\\+\\+/v1 .*/lib/include " + wasiHeaders + "$"
	for source, own := range map[string]string{"a.c": "/lib/include " + wasiHeaders + "$", "a.cpp": cxx} {
		for _, lang := range []Lang{C, CXX} {
			if lang == CXX {
				own = cxx // to clang++ a .c is C++
			}
			code, _, stderr := build(t, lang, files, "-v", "-Wno-deprecated", "-c", source)
			require.Zero(t, code, stderr)
			dirs := searched(t, stderr)
			require.NotContains(t, dirs, "/usr/include")
			require.NotContains(t, dirs, "/usr/local/include")
			require.Regexp(t, own, strings.Join(dirs, " "), source)
		}
	}
}

// A header that wasi-libc does not have is missing by its own name, and not by that of one it includes.
func TestMissingHeader(t *testing.T) {
	for _, header := range []string{"dlfcn.h", "spawn.h", "sys/shm.h", "termios.h", "ucontext.h", "zlib.h"} {
		for lang, source := range map[Lang]string{C: "a.c", CXX: "a.cpp"} {
			code, _, stderr := build(t, lang, map[string]string{source: "#include <" + header + ">\nint main(void) { return 0; }"}, source)
			require.NotZero(t, code)
			require.Regexp(t, regexp.QuoteMeta("'"+header+"' file not found"), stderr, source)
		}
	}
}

// TestHeadersBringOthers: a program that names one header has what glibc's brings with it.
func TestHeadersBringOthers(t *testing.T) {
	types := "uint a; ushort b; ulong c; u_int d; fd_set e;"
	for header, uses := range map[string]string{
		"stdlib.h": types, "sys/socket.h": types, "regex.h": types, "sys/uio.h": types, "ftw.h": types, "netdb.h": types, "sys/param.h": types + "int f = SIGINT;",
		"sys/wait.h": "int a = SIGINT;", "malloc.h": "FILE *a;",
	} {
		for lang, source := range map[Lang]string{C: "a.c", CXX: "a.cpp"} {
			code, _, stderr := build(t, lang, map[string]string{source: "#include <" + header + ">\n" + uses}, "-c", source)
			require.Zero(t, code, header+": "+stderr)
		}
	}
}

// What the user says of headers counts more.
func TestUsersHeaders(t *testing.T) {
	for option, want := range map[string]bool{"": true, "-nostdinc": false, "--sysroot=/nowhere": false, "--sysroot /nowhere": false} {
		_, stdout, _ := build(t, C, nil, append(strings.Fields(option), "-showme:compile")...)
		require.Equal(t, want, strings.Contains(stdout, wasiHeaders), option)
	}
	_, stdout, _ := build(t, CXX, nil, "-nostdinc++", "-showme:compile")
	require.Contains(t, stdout, wasiHeaders)
	require.NotContains(t, stdout, "c++/v1")
}
