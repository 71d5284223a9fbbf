package sdk

import (
	"bytes"
	"context"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Programs that call functions by other types than they have print what they print natively.
func TestCalledAsNatively(t *testing.T) {
	for name, tt := range map[string]struct {
		files   map[string]string
		archive string // sources of liball.a
		args    string
		want    string
	}{
		"an integer and a pointer": {map[string]string{
			"main.c": "int show(); int main(void) { show(0, 1); show(\"x\", 2); show(\"x\", 3, 4); show(0, 3, 4); return 0; }\n",
			"show.c": "#include <stdio.h>\nvoid show(char *s, int a) { printf(\"%s %d\\n\", s ? s : \"none\", a); }\n",
		}, "", "main.c show.c", "none 1\nx 2\nx 3\nnone 3\n"},
		"none, and a pointer": {map[string]string{
			"main.c": "int f(); int printf(const char *, ...); int main(void) { printf(\"%d\\n\", f(7)); f(\"z\"); return 0; }\n", "f.c": "#include <stdio.h>\nint f(void) { puts(\"f\"); return 42; }\n",
		}, "", "main.c f.c", "f\n42\nf\n"},
		"three types under a try": {map[string]string{
			"main.c": "#include <setjmp.h>\n#include <stdio.h>\njmp_buf b; int f(); int main(int c, char **v) { volatile int x = c; if (setjmp(b)) return 0; printf(\"%d\\n\", f(x, 2, 1) + f(x, 2, 2.5) + f(x, 2, 7LL) + f(x, 2)); longjmp(b, 1); }\n",
			"f.c":    "int f(int a, int b) { return 10 * a + b; }\n",
		}, "", "main.c f.c", "48\n"},
		"of two the strong one": {map[string]string{
			"main.c": "#include <setjmp.h>\n#include <stdio.h>\njmp_buf b; int hook(); int plain(); int main(void) { printf(\"%d\\n\", plain()); if (setjmp(b)) return 0; printf(\"%d\\n\", hook(1, 2, 3)); longjmp(b, 1); }\n",
			"weak.c": "__attribute__((weak)) int hook(int a) { return a; }\n", "strong.c": "int hook(int a, int b) { return 10 * a + b; }\n", "plain.c": "int hook(); int plain(void) { return hook(5, 6, 7); }\n",
		}, "", "main.c weak.c strong.c plain.c", "56\n12\n"},
		"of two that of an object, behind an archive": {map[string]string{
			"main.c": "#include <stdio.h>\nint foo(int, int), bar(); int main(void) { printf(\"%d %d\\n\", foo(1, 2), bar()); return 0; }\n", "foo.c": "int foo(int a, int b) { return 10 * a + b; }\n",
			"other.c": "int foo(int a) { return a; }\n", "bar.c": "int foo(); int bar(void) { return foo(3, 4, 5); }\n",
		}, "other.c bar.c", "liball.a main.c foo.c", "12 34\n"},
		"what is wrapped": {map[string]string{
			"main.c": "#include <stdio.h>\nint foo(), __real_foo(); int __wrap_foo(a, b) int a, b; { return __real_foo(a, b, 5) + 100; }\nint main(void) { printf(\"%d\\n\", foo(1, 2, 4)); return 0; }\n",
			"foo.c":  "int foo(int a, int b) { return 10 * a + b; }\n",
		}, "", "-Wl,--wrap=foo main.c foo.c", "112\n"},
		"the C library's, and its address": {map[string]string{"main.c": `#include <setjmp.h>
int printf(const char *, ...), puts(const char *), a64l(), ffsl(), toascii(); void swab(), tzset(int); long long getppid(); double drand48(int);
jmp_buf b; void *kept;
int main(int c, char **v) {
  char buf[20] = {0};
  if (setjmp(b)) return 0;
  kept = (void *)a64l; swab("badc", buf, 4, 9); tzset(3);
  printf("%d %d %d %d %s %d %d\n", a64l("/.", 1), toascii(0xc1LL, 3), ffsl(12, 2), kept != 0, buf, getppid(4) > 0, drand48(4) < 1);
  longjmp(b, 1);
}
`}, "", "main.c", "1 65 3 1 abcd 1 1\n"},
		"a weak one of an archive": {map[string]string{
			"main.c": "#include <stdio.h>\n__attribute__((weak)) int few(); int main(int c, char **v) { if (few) printf(\"%d %d\\n\", few(c, 2), few(c, 2, 3LL) + few(1LL)); else puts(\"no few\"); return 0; }\n",
			"few.c":  "int few(int a) { return a + 40; }\n",
		}, "few.c", "main.c liball.a", "no few\n"},
		"a weak one that is there": {map[string]string{
			"main.c": "#include <stdio.h>\n__attribute__((weak)) int few(); int other(void); int main(int c, char **v) { if (few) printf(\"%d %d\\n\", few(c, 2), other()); else puts(\"no few\"); return 0; }\n",
			"few.c":  "int few(int a) { return a + 40; } int other(void) { return 3; }\n",
		}, "few.c", "main.c liball.a", "41 3\n"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, options := range []string{"", "-O0 -g"} {
				build(t, C, tt.files, "-v")
				if tt.archive != "" {
					library(t, C, tt.files, options, "liball.a", tt.archive)
				}
				_, said := linked(t, C, options+" "+tt.args)
				require.NotContains(t, said, "will trap")
				printed, err := runGuest(t)
				require.NoError(t, err, strings.TrimSpace(said))
				require.Equal(t, tt.want, printed)
			}
		})
	}
}

// Of a function that a file calls by types with parts of one size clang makes wrong code, which is told with its name.
func TestMixedTypes(t *testing.T) {
	code, _, stderr := build(t, C, map[string]string{
		"main.c": "int f(); int main(int c, char **v) { volatile int x = c; return f(x, 2, 1) + f(x, 2, 2.5) + f(x, 2, 7LL); }\n", "f.c": "int f(int a, int b) { return 10 * a + b; }\n",
	}, "-w", "main.c", "f.c")
	require.NotZero(t, code)
	require.Contains(t, stderr, "godwit cc: f is called by several types in a file, of which clang takes two for one: declare it as it is defined\n")
}

// Objects that are made one are linked as they are alone. The linker has given it names, by functions' indices.
func TestMergedObjects(t *testing.T) {
	code, _, stderr := build(t, C, map[string]string{
		"main.c": "#include <stdio.h>\nint both(int), aside(int); int main(int c, char **v) { printf(\"%d\\n\", both(aside(c))); return 0; }\n", "f.c": "int f(int a, int b) { return 10 * a + b; }\n",
		"both.c": "int f(); __attribute__((noinline)) int aside(int a) { return a * a; }\n__attribute__((noinline)) int both(int a) { return f(a, 2, 3) + 1; }\n", "two.c": "int two;\n",
	}, "-w", "-c", "both.c", "two.c")
	require.Zero(t, code, stderr)
	var out bytes.Buffer
	require.Zero(t, Toolchain{}.Run(context.Background(), C, []string{"-r", "both.o", "two.o", "-o", "all.o"}, &out, &out), out.String())
	module, _ := linked(t, C, "main.c f.c all.o")
	require.Subset(t, module.functionNames(), []string{"both", "aside", "f"})
	printed, err := runGuest(t)
	require.NoError(t, err)
	require.Equal(t, "13\n", printed)
}

// A function with an open list of arguments that is called without its declaration is told where it is compiled, whatever warnings are off; configure scripts declare such functions anyhow, and call them without arguments.
func TestOpenListsAreTold(t *testing.T) {
	files := map[string]string{
		"a.c": "int printf(), open(char *, int); int main(int c, char **v) { return printf(\"%d\", c) + open(\"x\", 2); }\n", "conftest.c": "char printf(); int main(void) { return printf(); }\n",
	}
	for _, options := range []string{"-c", "-c -w", "-S -Wno-deprecated-non-prototype -MMD", "-w"} {
		code, _, stderr := build(t, C, files, append(strings.Fields(options), "a.c")...)
		require.Zero(t, code, stderr)
		require.Equal(t, 1, strings.Count(stderr, "godwit cc: warning: printf is called without the declaration of its open list of arguments: the C library's gets wrong ones; it is declared in <stdio.h>\n"), stderr)
		require.NotContains(t, stderr, "open is called without")
	}
	code, _, stderr := build(t, C, files, "conftest.c")
	require.Zero(t, code, stderr)
	require.NotContains(t, stderr, "open list")
}
