package sdk

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestEnds: at a program's end all is done in the order that it has with gcc and glibc, where this text is from.
func TestEnds(t *testing.T) {
	files := map[string]string{
		"a.cpp": `#include <cstdio>
#include <cstdlib>
struct S { const char *n; S(const char *n) : n(n) {} ~S() { printf("~%s\n", n); } };
static S one("one");
static S arr[2] = {S("a0"), S("a1")};
__attribute__((init_priority(200))) S early("early");
__attribute__((constructor(150))) static void c150() { atexit([]{ puts("atexit of c150"); }); }
__attribute__((destructor)) static void d1() { puts("d1"); atexit([]{ puts("atexit of d1"); }); }
__attribute__((destructor)) static void d2() { puts("d2"); }
__attribute__((destructor(150))) static void d150() { puts("d150"); }
__attribute__((destructor(300))) static void d300() { puts("d300"); atexit([]{ puts("atexit of d300"); }); }
__attribute__((destructor(300))) static void d300b() { puts("d300b"); }
extern "C" void other();
int main(int count, char **) {
  static S local("local");
  thread_local S tl("tl");
  (void)tl;
  atexit([]{ puts("atexit of main"); });
  other();
  if (AT_EXIT) exit(0);
  return 0;
}
`,
		"b.c": `#include <stdio.h>
#include <stdlib.h>
__attribute__((destructor)) static void e1(void) { puts("e1"); }
__attribute__((destructor(150))) static void e150(void) { puts("e150"); }
__attribute__((destructor(300))) void e300(void) { puts("e300"); }
static void x(void) { puts("atexit of other"); }
void other(void) { atexit(x); }
`,
		"plain.c": "#include <stdio.h>\n#include <stdlib.h>\nstatic void f(void) { puts(\"f\"); }\n__attribute__((destructor)) static void d(void) { puts(\"d\"); }\nint main(void) { atexit(f); return 0; }\n",
	}
	want := strings.Fields("~tl atexit_of_other atexit_of_main ~local ~a1 ~a0 ~one ~early atexit_of_c150 e1 d2 d1 atexit_of_d1 e300 d300b d300 e150 d150 atexit_of_d300")
	for _, level := range []string{"-O0", "-O1", "-O2", "-Os"} {
		for _, at := range []string{"-DAT_EXIT=0", "-DAT_EXIT=1"} {
			code, _, stderr := build(t, CXX, files, level, at, "a.cpp", "-x", "c", "b.c", "-o", "a.wasm")
			require.Zero(t, code, stderr)
			require.Empty(t, stderr)
			printed, err := runGuest(t)
			require.NoError(t, err)
			require.Equal(t, want, strings.Split(strings.TrimSpace(strings.ReplaceAll(printed, " ", "_")), "\n"), level+" "+at)
		}
	}
	printsAtLevels(t, C, files, "plain.c", "f\nd\n")
	library(t, C, files, "", "libb.a", "b.c") // loaded for its symbol
	files["libb.a"] = string(readFile("libb.a"))
	files["main.c"] = "void other(void);\nint main(void) { other(); return 0; }\n"
	code, _, stderr := build(t, C, files, "-s", "main.c", "libb.a", "-o", "a.wasm")
	require.Zero(t, code, stderr)
	printed, err := runGuest(t)
	require.NoError(t, err)
	require.Equal(t, "atexit of other\ne1\ne300\ne150\n", printed)
}
