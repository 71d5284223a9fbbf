package sdk

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/tetratelabs/wazero"
)

// What calls functions by other types than they have, as programs do that f2c has made.
var mismatches = map[string]string{
	"caller.c": `#include <stdio.h>
void dger_(); void twice_(); long long narrow_(); int none_(int *); double flown_(int); int few_(int);
int main(int argc, char **argv) {
  int n = 5; (void)argv;
  dger_(&n, 7LL); twice_(&n, 1, 2);
  printf("%lld %d\n", narrow_(argc + 2), none_(&n));
  if (argc > 1) printf("%g %d\n", flown_(n), few_(n));
  return 0;
}
`,
	"callee.c": `#include <stdio.h>
void third_();
int dger_(int *n, int m) { return printf("dger %d %d\n", *n, m); }
int twice_(int *n) { third_(n); return 0; }
int narrow_(long long a) { return -(int)a; }
void none_(int *n) { printf("none %d\n", *n); }
double flown_(double x) { return x; }
int few_(int a, int b) { return a + b; }
`,
	"third.c": `#include <stdio.h>
int third_(int *n) { return printf("third %d\n", *n); }
`,
	"dead.c": `void dead_();
void idle(int *n) { dead_(n); }
`,
	"alive.c": `int nowhere(int *);
int dead_(int *n) { return nowhere(n); }
`,
	"solver.cpp": "namespace lin { int solve(int a, double *b) { return a + (int)*b; } int Grid(int a) { return a; } }\n",
	"user.cpp":   "namespace lin { void solve(int, double *); double Grid(int); }\nint main(int argc, char **) { double d = 1; lin::solve(argc, &d); return (int)lin::Grid(argc); }\n",
}

// Calls by another type call the function where a native program's would; what would not, traps, and is told with the names of the user's files.
func TestMismatches(t *testing.T) {
	const (
		flown   = "warning: flown_ is called with (i32) -> f64 in caller.c and is defined with (f64) -> f64 in callee.c: that call will trap; declare it as it is defined\n"
		few     = "warning: few_ is called with (i32) -> i32 in caller.c and is defined with (i32, i32) -> i32 in callee.c: that call will trap; declare it as it is defined\n"
		more    = "note: called by other types than they have: dger_ (caller.c), twice_ (caller.c), none_ (caller.c), third_ (callee.c); each is called with what it takes, but one that is defined with ... gets wrong arguments without its declaration\n"
		sources = " -Wno-deprecated-non-prototype caller.c callee.c third.c dead.c alive.c -o a.wasm"
	)
	for _, options := range []string{"-g", "-O0 -s -msimd128 -Wl,--compress-relocations"} {
		code, _, stderr := build(t, C, mismatches, strings.Fields(options+sources)...)
		require.Zero(t, code, stderr)
		for _, want := range []string{flown, few, more} {
			require.Equal(t, 1, strings.Count(stderr, "godwit cc: "+want), "%q: %s", options, stderr)
		}
		require.Equal(t, 3, strings.Count(stderr, "\n"), stderr)
		module, err := readProgram(readFile("a.wasm"))
		require.NoError(t, err)
		for _, name := range []string{"dger_", "twice_", "third_", "flown_"} {
			require.NotContains(t, module.exported, name)
		}
		if !strings.Contains(options, "-s") {
			names := module.functionNames()
			require.Contains(t, names, "signature_mismatch:flown_", options)
			require.Contains(t, names, "signature_mismatch:few_", options)
			require.NotContains(t, names, "signature_mismatch:dger_", options)
		}
	}
	code, _, stderr := build(t, C, mismatches, strings.Fields("-v"+sources)...)
	require.Zero(t, code, stderr)
	require.Contains(t, stderr, "note: third_ is called with (i32) in callee.c and is defined with (i32) -> i32 in third.c: it is called with what it takes\n")
}

// functionNames are the names of all functions.
func (p *program) functionNames() []string {
	var out []string
	for _, name := range p.names {
		out = append(out, name)
	}
	return out
}

// Archives, with an index and without, and C++'s names.
func TestMismatchesElsewhere(t *testing.T) {
	code, _, stderr := build(t, C, mismatches, "-c", "callee.c", "-Wno-deprecated-non-prototype", "third.c")
	require.Zero(t, code, stderr)
	require.NoError(t, exec.CommandContext(context.Background(), "ar", "rc", "libcallee.a", "callee.o", "third.o").Run())
	var out bytes.Buffer
	code = Toolchain{}.Run(context.Background(), C, []string{"-Wno-deprecated-non-prototype", "caller.c", "-L.", "-lcallee", "-o", "a.wasm"}, &out, &out)
	require.Zero(t, code, out.String())
	require.Contains(t, out.String(), "flown_ is called with (i32) -> f64 in caller.c and is defined with (f64) -> f64 in libcallee.a(callee.o): that call")
	require.NotContains(t, out.String(), "dger_ is called")

	for _, options := range []string{"-O1", "-g"} {
		code, _, stderr = build(t, CXX, mismatches, options, "user.cpp", "solver.cpp", "-o", "a.wasm")
		require.Zero(t, code, stderr)
		require.Equal(t, "godwit c++: warning: lin::Grid(int) is called with (i32) -> f64 in user.cpp and is defined with (i32) -> i32 in solver.cpp: that call will trap; declare it as it is defined\n", stderr)
	}
}

// What nobody defines is still an error, with the user's file, and of a function of the C library with an open list of arguments none is guessed. What the glue has in a function's place is called there, too.
func TestMismatchesOfLibrary(t *testing.T) {
	files := map[string]string{
		"none.c": "void nowhere(void);\nint main(void) { nowhere(); return 0; }\n",
		"null.c": "void fclose(int, long long); int main(void) { fclose(0, 1); return 0; }\n",
		"time.c": "int time(); void syslog(); int main(void) { syslog(1, \"%d %d\", 2, 3); return time(0) == 0; }\n",
	}
	code, _, stderr := build(t, C, files, "none.c")
	require.NotZero(t, code)
	require.Contains(t, stderr, "none.c: undefined symbol: nowhere")
	code, _, stderr = build(t, C, files, "-Wno-deprecated-non-prototype", "time.c")
	require.Zero(t, code, stderr)
	require.Contains(t, stderr, "syslog is called with (i32, i32, i32, i32) in time.c and is defined with (i32, i32, i32) in ")
	require.NotContains(t, stderr, "time is called")

	// With one open argument there are as many as the function takes.
	code, _, stderr = build(t, C, map[string]string{
		"a.c": "int main(void) { mylog(\"answer %d\\n\", 42); warnx(\"code %d\", 42); return 0; }\n",
		"b.c": "#include <stdarg.h>\n#include <stdio.h>\nvoid mylog(const char *f, ...) { va_list l; va_start(l, f); vprintf(f, l); va_end(l); }\n",
	}, "-Wno-error=implicit-function-declaration", "-w", "a.c", "b.c")
	require.Zero(t, code, stderr)
	require.Contains(t, stderr, "note: called by other types than they have: mylog (a.c); ")
	require.Contains(t, stderr, "warning: warnx is called with (i32, i32) -> i32 in a.c and is defined with (i32, i32) in ")
	code, _, stderr = build(t, C, files, "-w", "null.c", "-o", "a.wasm") // a wrapped one
	require.Zero(t, code, stderr)
	require.Empty(t, stderr)
	module, err := readProgram(readFile("a.wasm"))
	require.NoError(t, err)
	require.Contains(t, module.functionNames(), "__wrap_fclose")
	require.NotContains(t, module.exported, "__wrap_fclose")
}

// library compiles files, with options, and puts the objects of sources into an archive.
func library(t *testing.T, lang Lang, files map[string]string, options, archive, sources string) {
	t.Helper()
	code, _, stderr := build(t, lang, files, append(strings.Fields("-w -c "+options), strings.Fields(sources)...)...)
	require.Zero(t, code, stderr)
	args := []string{"rc", archive}
	for _, source := range strings.Fields(sources) {
		args = append(args, strings.TrimSuffix(strings.TrimSuffix(source, ".cc"), ".c")+".o")
	}
	require.NoError(t, exec.CommandContext(context.Background(), "ar", args...).Run())
}

// linked links a.wasm where the library is, and returns it and what is said.
func linked(t *testing.T, lang Lang, args string) (*program, string) {
	t.Helper()
	var out bytes.Buffer
	code := Toolchain{}.Run(context.Background(), lang, strings.Fields("-w -o a.wasm "+args), &out, &out)
	require.Zero(t, code, out.String())
	module, err := readProgram(readFile("a.wasm"))
	require.NoError(t, err)
	return module, out.String()
}

// A file that calls a function by two types has the compiler's stub for the second.
func TestMismatchesInOneFile(t *testing.T) {
	files := map[string]string{
		"late.c":    "#include <stdio.h>\nint q(); int main(void) { printf(\"%d\\n\", q(1)); return q(1, 2); }\n",
		"several.c": "int q(); int main(int argc, char **v) { return argc > 1 ? q(1LL, argc) + q(1, 2.0) : q(1, 2); }\n",
		"q.c":       "int q(int a, int b) { return 10 * a + b; }\n",
	}
	for _, options := range []string{"-g", "-s"} {
		code, _, stderr := build(t, C, files, options, "-w", "several.c", "q.c", "-o", "a.wasm")
		require.Zero(t, code, stderr)
		require.Contains(t, stderr, "godwit cc: warning: q is called with (i32, f64) -> i32 in several.c and is defined with (i32, i32) -> i32 in q.c: that call will trap; declare it as it is defined\n")
		require.Equal(t, 1, strings.Count(stderr, "will trap"), stderr)
		require.Contains(t, stderr, "note: called by other types than they have: q (several.c); ")
		module, err := readProgram(readFile("a.wasm"))
		require.NoError(t, err)
		require.NotContains(t, module.exported, "q")
		require.Equal(t, options == "-g", slices.Contains(module.functionNames(), "signature_mismatch:q"))
	}
	// The first call is clang's guess of the function's type, which the second then fits, or does not.
	code, _, stderr := build(t, C, files, "-w", "late.c", "q.c", "-o", "a.wasm")
	require.Zero(t, code, stderr)
	require.Contains(t, stderr, "that call will trap")
}

// An archive's member that a call of another type has loaded: wasm-ld says nothing of that call.
func TestMismatchesThatLoadMembers(t *testing.T) {
	files := map[string]string{
		"callee.c": "#include <stdio.h>\nint xerbla_(char *s, int *info) { return printf(\"%s %d\\n\", s, *info); }\n",
		"few.c":    "int few(int a) { return a; }\n",
		"narrow.c": "int narrow(int a) { return a; }\n",
		"caller.c": "void xerbla_(); int narrow(); void dgemv_(int *n) { xerbla_(\"DGEMV \", n, 6); *n = narrow(3LL); }\n",
		"main.c":   "void dgemv_(int *); int few(); int main(int argc, char **v) { dgemv_(&argc); return argc > 8 ? few() : 0; }\n",
		"other.c":  "int few(int a) { return -a; }\n",
	}
	library(t, C, files, "", "liball.a", "callee.c few.c narrow.c caller.c")
	module, said := linked(t, C, "liball.a main.c")
	require.Contains(t, said, "warning: few is called with () -> i32 in main.c and is defined with (i32) -> i32 in liball.a(few.o): that call will trap; declare it as it is defined\n")
	require.Contains(t, said, "note: called by other types than they have: xerbla_ (liball.a(caller.o)), narrow (liball.a(caller.o)); ")
	require.Contains(t, module.functionNames(), "signature_mismatch:few")
	require.NoError(t, os.WriteFile("words", []byte("liball.a\n"), 0o600))
	for _, given := range []string{"-L. -l:liball.a", "-Wl,liball.a", "-Wl,-L. -Wl,-lall", "-Wl,-L,. -Wl,-l,all", "-Xlinker -L -Xlinker . -lall", "-Wl,--library-path=.,--library=all", "-Wl,@words", "-Wl,--start-lib callee.o few.o narrow.o caller.o -Wl,--end-lib"} {
		_, said = linked(t, C, given+" main.c")
		require.Regexp(t, `[( ]few\.o\)?: that call will trap`, said, given)
	}
	_, said = linked(t, C, "other.c liball.a main.c") // whose few it is then
	require.Contains(t, said, "few is called with () -> i32 in main.c and is defined with (i32) -> i32 in other.c: ")
}

// What archives define by other names, what the linker is to wrap, what other files do not see, and what is weak in several: each is what it is elsewhere.
func TestMismatchesAreOfSymbols(t *testing.T) {
	files := map[string]string{
		"f.c":    "int g(int a, int b) { return 10 * a + b; }\nint f_(int, int) __attribute__((alias(\"g\")));\nvoid wrapped(int a) {}\n__attribute__((weak)) int who(void) { return 1; }\nint w(int a, int b) { return a + who(); }\n",
		"m.c":    "int f_(); int wrapped(int); int w(); __attribute__((weak)) int who(void) { return 2; }\nint mid(int x) { return f_(x, 2, 3) + wrapped(x) + w(x, 2, 3) + who(); }\n",
		"w.c":    "void __real_wrapped(int); int __wrap_wrapped(int a) { __real_wrapped(a); return a; }\n",
		"main.c": "int mid(int); int own(int); int swap(int, int); int main(int c, char **v) { return mid(c) + own(c) + swap(c, 1); }\n",
		"own.c": "static int swap(); int own(int x) { long long y = x; return swap(y, 2, 3) + swap(x, 2); }\n" +
			"__attribute__((noinline)) static int swap(a, b) int a; int b; { return a - b; }\n",
		"swap.c": "int swap(int a, int b) { return a + b; }\n",
		"x.cc":   "long long plus(int a) { return a + 5; }\n",
		"y.cc":   "int plus(int); int over(int a) { return plus(a); }\n",
		"z.cc":   "int over(int); int main(int c, char **) { return over(c); }\n",
	}
	library(t, C, files, "", "liball.a", "f.c m.c w.c")
	module, said := linked(t, C, "main.c own.c swap.c -Wl,--wrap=wrapped liball.a")
	require.NotContains(t, said, "will trap")
	require.Contains(t, said, "f_ (liball.a(m.o))")
	require.NotContains(t, module.functionNames(), "signature_mismatch:wrapped")

	library(t, CXX, files, "", "libcc.a", "x.cc y.cc")
	_, said = linked(t, CXX, "z.cc libcc.a")
	require.Empty(t, said)
}

// Who only takes the address of a function without a prototype calls it by no type.
func TestAddressesAreNoCalls(t *testing.T) {
	files := map[string]string{
		"cmp.c":  "int cmp(const void *a, const void *b) { return *(int *)a - *(int *)b; }\nint same(int (*f)(const void *, const void *)) { return f == cmp; }\n",
		"main.c": "#include <stdlib.h>\nint cmp(); int same(int (*)(const void *, const void *)); void *table[] = {(void *)cmp};\nint main(void) { int a[2] = {2, 1}; qsort(a, 2, sizeof *a, cmp); return same(cmp); }\n",
	}
	library(t, C, files, "", "libcmp.a", "cmp.c")
	for _, args := range []string{"main.c libcmp.a", "libcmp.a main.c"} {
		_, said := linked(t, C, args)
		require.Empty(t, said)
	}
}

// Functions of an archive that the program does not have are not asked for, whatever others it has by their names, as the C library's own pad, or of a type that C does not have.
func TestNothingIsLoadedForItsName(t *testing.T) {
	files := map[string]string{
		"foo.c":    "int helper(int x) { return x + 2; } int foo(int a, int b) { return helper(a) + b; } int pad(int a, int b) { return helper(a) + b; }\n",
		"unused.c": "int foo(); int pad(); int unused(void) { return foo(1LL) + pad(1LL); }\n",
		"other.c":  "int other(void) { return 0; }\n",
		"take.c":   "int take(__externref_t r, int a) { return a; }\n",
		"main.c": "#include <stdio.h>\nint other(void); int take(); int helper(int x) { return x + 1; }\n" +
			"__attribute__((noinline)) static int foo(int a) { printf(\"foo %d %5f\\n\", a, 1.0); return a; }\n" +
			"int main(int c, char **v) { return foo(c) + other() - helper(1) - foo(0) + (c > 5 ? take() : 0); }\n",
	}
	library(t, C, files, "-mreference-types", "liball.a", "foo.c unused.c other.c take.c")
	module, _ := linked(t, C, "main.c liball.a")
	for _, name := range []string{"pad", "foo", "take"} {
		require.NotContains(t, module.exported, name)
	}
}

func TestStubsOfCompiler(t *testing.T) {
	for stub, want := range map[string]string{
		".Lq_bitcast": "q", ".Lq_bitcast.2": "q", ".Lq_bitcast_invalid": "q", ".Lq_bitcast_invalid.17": "q", ".Lq_bitcast_bitcast_invalid": "q_bitcast",
		"q_bitcast": "", ".Lq": "", ".Lq_bitcaster": "", ".Lq_bitcast_invalidated": "",
	} {
		name, ok := calledBySeveral(stub)
		require.Equal(t, want != "", ok, stub)
		if ok {
			require.Equal(t, want, name)
		}
	}
}

func TestAdapter(t *testing.T) {
	const i32, i64, f32, f64 = "\x7f", "\x7e", "\x7d", "\x7c"
	for _, tt := range []struct {
		name            string
		called, defined signature
		want            []byte // nil: none
	}{
		{"result dropped", signature{i32, ""}, signature{i32, i32}, []byte{0, opLocalGet, 0, opCall, 0x89, 0x80, 0x80, 0x80, 0, opDrop, opEnd}},
		{"float result dropped", signature{"", ""}, signature{"", f64}, []byte{0, opCall, 0x89, 0x80, 0x80, 0x80, 0, opDrop, opEnd}},
		{"no result", signature{f64, i64}, signature{f64, ""}, []byte{0, opLocalGet, 0, opCall, 0x89, 0x80, 0x80, 0x80, 0, 0x42, 0, opEnd}},
		{"result wrapped", signature{i32, i32}, signature{i32, i64}, []byte{0, opLocalGet, 0, opCall, 0x89, 0x80, 0x80, 0x80, 0, opWrap, opEnd}},
		{"result extended", signature{"", i64}, signature{"", i32}, []byte{0, opCall, 0x89, 0x80, 0x80, 0x80, 0, opExtend, opEnd}},
		{"parameters", signature{i32 + i64, ""}, signature{i64 + i32, ""}, []byte{0, opLocalGet, 0, opExtend, opLocalGet, 1, opWrap, opCall, 0x89, 0x80, 0x80, 0x80, 0, opEnd}},
		{"too many", signature{i32 + f64, ""}, signature{i32, ""}, []byte{0, opLocalGet, 0, opCall, 0x89, 0x80, 0x80, 0x80, 0, opEnd}},
		{"too few", signature{i32, ""}, signature{i32 + i32, ""}, nil},
		{"float for an integer", signature{f64, ""}, signature{i32, ""}, nil},
		{"another float", signature{f32, ""}, signature{f64, ""}, nil},
		{"a float's result for an integer's", signature{"", i32}, signature{"", f64}, nil},
		{"several results", signature{"", i32 + i32}, signature{"", i32}, nil},
	} {
		body, ok := adapter(tt.called, tt.defined, 9)
		require.Equal(t, tt.want != nil, ok, tt.name)
		require.Equal(t, tt.want, body, tt.name)
	}
}

// No code moves, also where one more function takes one more byte to count them: debug information tells of code by its place.
func TestNothingMoves(t *testing.T) {
	build(t, C, nil) // for its directory, and the tools
	run := func(name string, args ...string) string {
		out, err := exec.CommandContext(context.Background(), name, args...).CombinedOutput()
		require.NoError(t, err, "%s", out)
		return string(out)
	}
	driver := preferred("clang")
	for _, functions := range []int{100, 125, 126, 127, 128} { // with the stub
		var caller strings.Builder
		caller.WriteString("int far(int); int entry(int a) { return far(a)")
		for range functions - 3 {
			caller.WriteString(" + 1")
		}
		caller.WriteString("; }\n")
		for i := range functions - 3 {
			caller.WriteString("int pad" + strings.Repeat("x", i) + "(void) { return 0; }\n")
		}
		require.NoError(t, os.WriteFile("caller.c", []byte(caller.String()), 0o600))
		require.NoError(t, os.WriteFile("far.c", []byte("void far(long long a) { (void)a; }\n"), 0o600))
		said := run(driver, target, "-nostdlib", "-Wl,--no-entry", "-Wl,--export-dynamic", "-Wl,--no-gc-sections", "-fvisibility=default", "caller.c", "far.c", "-o", "linked.wasm")
		list, rest := cutMismatches(said, strings.NewReplacer())
		require.Len(t, list, 1)
		require.Empty(t, rest)
		before, err := readProgram(readFile("linked.wasm"))
		require.NoError(t, err)
		before.findStubs(list, nil)
		require.NotNil(t, list[0].stub)
		count := len(before.typeOf)
		places := func(p *program) (out []int) {
			for _, s := range p.parts {
				for r := (&reader{b: s.content}); s.id == codeSection && len(r.b) > 0; {
					if len(out) == 0 {
						r.uint()
					}
					out = append(out, len(s.content)-len(r.b))
					r.bytes(r.uint())
				}
			}
			return out
		}
		was := places(before)
		before.adapt(list)
		require.True(t, list[0].adapted)
		after, err := readProgram(before.bytes())
		require.NoError(t, err)
		require.Len(t, after.typeOf, count+1)
		stub := int(*list[0].stub - after.imports)
		require.Equal(t, was[stub+1:], places(after)[stub+1:count], "%d functions", count)
		require.NoError(t, os.WriteFile("adapted.wasm", before.bytes(), 0o600))
		run("wasm-opt", "adapted.wasm", "-o", "checked.wasm") // it is valid
	}
}

func TestShortenedTypes(t *testing.T) {
	for types, want := range map[string]string{
		"(i32) -> void":                         "(i32)",
		"() -> i32":                             "() -> i32",
		"(i32, i32, i32, i32, f64) -> i64":      "(i32, i32, i32, i32, f64) -> i64",
		"(f64, i32, i32, i32, i32, i32) -> i32": "(f64, 5 times i32) -> i32",
		"something else":                        "something else",
	} {
		require.Equal(t, want, shortened(types))
	}
}

// What stands between a call and a function of another type, as the engine runs it.
func TestBetween(t *testing.T) {
	build(t, C, nil) // for its directory, and the tools
	ctx := context.Background()
	for name, content := range map[string]string{
		"caller.c": `int adapted(long long, int, double) __asm__("signature_adapted:f"); int entry(int a) { return adapted(a, 2, 3); }
double emptied(int, int) __asm__("signature_adapted:g"); double zero(void) { return emptied(7, 8); }
void few(int) __asm__("signature_mismatch:f"); void traps(void) { few(1); }
`,
		"f.c": "int kept; long long f(int a, int b) { return 10 * a + b; }\nvoid g(int a) { kept = a; }\nint last(void) { return kept; }\n",
	} {
		require.NoError(t, os.WriteFile(name, []byte(content), 0o600))
	}
	const i32, i64, f64 = "\x7f", "\x7e", "\x7c"
	calls := redirects{dir: ".", list: []*redirection{
		{call: call{"f", signature{i64 + i32 + f64, i32}, "", false}, name: "signature_adapted:f", adapted: true, defined: signature{i32 + i32, i64}},
		{call: call{"g", signature{i32 + i32, f64}, "", false}, name: "signature_adapted:g", adapted: true, defined: signature{i32, ""}},
		{call: call{"f", signature{i32, ""}, "", false}, name: "signature_mismatch:f", defined: signature{i32 + i32, i64}},
	}}
	archive, err := calls.archive()
	require.NoError(t, err)
	out, err := exec.CommandContext(ctx, preferred("clang"), append(archive, target, "-nostdlib", "-Wl,--no-entry", "-Wl,--export-dynamic", "-fvisibility=default", "-Wl,--fatal-warnings", "caller.c", "f.c", "-o", "a.wasm")...).CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.Len(t, calls.linked(readFile("a.wasm")), 3)
	engine := wazero.NewRuntime(ctx)
	defer engine.Close(ctx) //nolint:errcheck // a test's end
	module, err := engine.Instantiate(ctx, readFile("a.wasm"))
	require.NoError(t, err)
	invoke := func(name string, args ...uint64) uint64 {
		result, err := module.ExportedFunction(name).Call(ctx, args...)
		require.NoError(t, err)
		return result[0]
	}
	require.Equal(t, uint64(52), invoke("entry", 5))
	require.Zero(t, invoke("zero"))
	require.Equal(t, uint64(7), invoke("last"))
	_, err = module.ExportedFunction("traps").Call(ctx)
	require.ErrorContains(t, err, "unreachable")
	require.ErrorContains(t, err, "signature_mismatch:f")
	require.Nil(t, module.ExportedFunction("signature_adapted:f")) // it is nobody's but the program's
}

// Who is called under a try is called, and who is only named in such a call is not, however the code is made.
func TestCallsUnderTry(t *testing.T) {
	files := map[string]string{"s.c": `#include <setjmp.h>
void called(), same(), passed(), two(), mine(); int given(), invoke_callback(int (*)(), int); double real(); jmp_buf b; void *kept;
int main(int c, char **v) {
  int a[2] = {c, c};
  if (setjmp(b)) return a[1];
  called(c, c + 1, (double)c * 2); same(); two(a, 4, passed); invoke_callback((int (*)())mine, 3); kept = (void *)given; a[0] += real((long long)c, 3.0f, a[c]);
  if (c > 1) called(c, given == (int (*)())v[0], real(1LL, 2.0f, c) + c); longjmp(b, 1);
}
`}
	for _, options := range []string{"-O0", "-O1", "-O3", "-Oz", "-O2 -g"} {
		code, _, stderr := build(t, C, files, append(strings.Fields("-w -c -o s.o "+options), "s.c")...)
		require.Zero(t, code, stderr)
		var called []string
		for _, s := range readObject(readFile("s.o")).functions {
			if len(s.called) > 0 && slices.Contains(strings.Fields("called same passed two given real mine"), s.name) {
				called = append(called, s.name)
			}
		}
		require.ElementsMatch(t, []string{"called", "same", "two", "real"}, called, options)
	}
}

// Each trap has its function's name, though wasm-opt takes equal ones for one where nothing is for debugging: one is the linker's, and the other is of what the linker sees no call of.
func TestTrapsHaveNames(t *testing.T) {
	files := map[string]string{
		"main.c": "int few(); int access(); int main(int c, char **v) { if (c == 2) return few(c); if (c == 3) return access(c); return 0; }\n", "few.c": "int few(int a, int b) { return a + b; }\n",
	}
	code, _, stderr := build(t, C, files, "-w", "main.c", "few.c", "-o", "a.wasm")
	require.Zero(t, code, stderr)
	module, err := readProgram(readFile("a.wasm"))
	require.NoError(t, err)
	require.Subset(t, module.functionNames(), []string{"signature_mismatch:few", "signature_mismatch:access"})
}

// The address of a function that is called by another type is its own; whose place in the module is another for a new import stays who he is.
func TestAddressesStay(t *testing.T) {
	build(t, C, nil) // for its directory, and the tools
	ctx := context.Background()
	for name, content := range map[string]string{
		"f.cc": `extern "C" { int f(int a) { return a + 1; } int ap(int (*g)(int)) { return g(10); } int same(int (*g)(int)) { return g == f; } }
inline int shared(int x) { return x + f(1); } int unlike(int x) { return -x; } int (*volatile in_f)(int) = shared;`,
		"m.cc": `extern "C" { int f(long long); int ap(void *); int same(void *); }
static int own(int x) { return x * 2; } int (*volatile table[2])(int) = {own, (int (*)(int))f};
inline int shared(int x) { return x + f(1LL); } template <int n> int times(int x) { return n * x; } int (*volatile made)(int) = times<3>; int (*volatile inl)(int) = shared;
extern "C" int entry(int a) { return f(a) + 100 * ap((void *)f) + 10000 * same((void *)f) + 100000 * (table[0](1) + table[1](2)) + 1000000 * made(1) + 10000000 * inl(0); }`,
	} {
		require.NoError(t, os.WriteFile(name, []byte(content), 0o600))
	}
	for _, options := range []string{"-O0", "-O2 -g"} {
		clang := func(args ...string) {
			out, err := exec.CommandContext(ctx, preferred("clang"), slices.Concat([]string{target, "-nostdlib", "-fvisibility=default"}, strings.Fields(options), args)...).CombinedOutput()
			require.NoError(t, err, "%s", out)
		}
		clang("-c", "f.cc")
		clang("-c", "m.cc")
		calls := redirects{dir: "."}
		calls.read([]string{"f.o", "m.o"}, []string{"f.cc", "m.cc"})
		words, err := calls.redirect()
		require.NoError(t, err)
		archive, err := calls.archive()
		require.NoError(t, err)
		clang(slices.Concat(archive, words, strings.Fields("-Wl,--no-entry -Wl,--export-dynamic -Wl,--fatal-warnings -o a.wasm"))...)
		engine := wazero.NewRuntime(ctx)
		module, err := engine.Instantiate(ctx, readFile("a.wasm"))
		require.NoError(t, err)
		result, err := module.ExportedFunction("entry").Call(ctx, 5)
		require.NoError(t, err)
		require.EqualValues(t, 6+100*11+10000+100000*(2+3)+1000000*3+10000000*2, result[0])
		require.NoError(t, engine.Close(ctx))
	}
}

// What fresh eyes have found of calls by other types, beside programs that gcc makes of the same files.
func TestMismatchesOfAllKinds(t *testing.T) {
	const told = "note: called by other types than they have: "
	for name, tt := range map[string]struct {
		lang        Lang
		files       map[string]string
		args        string
		said        string   // part of it; empty: nothing
		there, gone []string // functions
	}{
		"a static function of the same name elsewhere": {C, map[string]string{
			"main.c": "int swap(); int own(int); int main(int c, char **v) { int a = swap(1LL, c), b = swap((long long)c, c, 4); return c > 5 ? own(c) : a + b; }\n",
			"own.c":  "static int swap(); int own(int x) { long long y = x; return swap(y, 2, 3) + swap(x, 2); }\n__attribute__((noinline)) static int swap(a, b) int a; int b; { return a - b; }\n",
			"swap.c": "int swap(int a, int b) { return 10 * a + b; }\n",
		}, "main.c swap.c own.c", told + "swap (main.c);", []string{"signature_adapted:swap", "signature_adapted2:swap"}, nil},
		"two that trap, of which the linker tells one": {C, map[string]string{
			"main.c": "int few(); int access(); int main(int c, char **v) { if (c == 2) return few(c); if (c == 3) return access(c); return 0; }\n",
			"few.c":  "int few(int a, int b) { return a + b; }\n",
		}, "main.c few.c", "access is called with", []string{"signature_mismatch:few", "signature_mismatch:access"}, nil},
		"several types in a file under a try": {C, map[string]string{
			"main.c": "#include <setjmp.h>\njmp_buf b; int mine(); int main(int c, char **v) { int n = 0; if (setjmp(b)) return n; n = mine(c, 2, 7) + mine(1, 2, (long long)c); longjmp(b, 1); }\n",
			"f.c":    "int mine(int a, int c) { return a + c; }\n",
		}, "main.c f.c", told + "mine (main.c);", nil, []string{".Lmine_bitcast", ".Lmine_bitcast_invalid"}},
		"a weak one": {C, map[string]string{
			"main.c": "__attribute__((weak)) long long few(); int main(int c, char **v) { return few ? few(c, 2) : 9; }\n",
			"few.c":  "int few(int a) { return a; }\n",
		}, "main.c few.c", told + "few (main.c);", []string{"signature_adapted:few"}, []string{"undefined_weak:few"}},
		"the user's own of the glue's names": {C, map[string]string{
			"main.c": "void errx(char *); int warn(int); int main(void) { errx(\"x\"); return warn(1); }\n",
			"own.c":  "#include <stdio.h>\nvoid errx(char *s) { printf(\"mine: %s\", s); } int warn(int a) { return a; }\n",
		}, "main.c own.c", "", nil, []string{"godwit_own:errx", "godwit_own:warn"}},
		"the user's own of the names of open lists": {C, map[string]string{
			"main.c": "int ioctl(); int main(void) { return ioctl(\"x\"); }\n",
			"own.c":  "#include <stdio.h>\nvoid ioctl(char *s) { puts(s); }\n",
		}, "main.c own.c", told + "ioctl (main.c);", nil, nil},
		"two C types of one": {C, map[string]string{
			"main.c": "int show(); int main(int c, char **v) { show(0, 1); show(\"x\", c); show(\"x\", 3, 4); return show(0, 3, 4); }\n",
			"show.c": "#include <stdio.h>\nvoid show(char *s, int a) { printf(\"%s %d\\n\", s ? s : \"none\", a); }\n",
		}, "main.c show.c", told + "show (main.c);", []string{"signature_adapted:show"}, nil},
		"C++ under a try": {CXX, map[string]string{
			"user.cpp":   "#include <string>\nnamespace lin { void solve(int, double *); double Grid(int); }\nint main(int c, char **v) { std::string s(v[0]); double d = 1; lin::solve(c, &d); return c > 1 ? (int)lin::Grid(c) : (int)s.size(); }\n",
			"solver.cpp": "#include <cstdio>\nnamespace lin { int solve(int a, double *b) { return printf(\"%g\", *b + a); } int Grid(int a) { return a; } }\n",
		}, "user.cpp solver.cpp", "lin::Grid(int) is called with (i32) -> f64 in user.cpp and is defined with (i32) -> i32 in solver.cpp: that call", []string{"signature_mismatch:lin::Grid(int)"}, nil},
		"a function of the user's that begins as the compiler's": {C, map[string]string{
			"main.c": "int invoke_callback(int); int main(void) { return invoke_callback(0); }\n",
			"own.c":  "int invoke_callback(int a) { return a; }\n",
		}, "main.c own.c", "", nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			code, _, stderr := build(t, tt.lang, tt.files, append(strings.Fields("-g -w -o a.wasm"), strings.Fields(tt.args)...)...)
			require.Zero(t, code, stderr)
			if tt.said == "" {
				require.Empty(t, stderr)
			}
			require.Contains(t, stderr, tt.said)
			module, err := readProgram(readFile("a.wasm"))
			require.NoError(t, err)
			for _, name := range tt.there {
				require.Contains(t, module.functionNames(), name)
			}
			for _, name := range tt.gone {
				require.NotContains(t, module.functionNames(), name)
			}
		})
	}
}

// Who calls, and whose function it is, are files that are linked.
func TestMismatchesTellOfWhatIsLinked(t *testing.T) {
	files := map[string]string{
		"unused.c": "int few(); int unused(void) { return few(); }\n", "few.c": "int few(int a) { return a; }\n", "other.c": "int few(int a) { return a + 1; }\n",
		"main.c": "int few(); int main(int c, char **v) { return c > 1 ? few() : 0; }\n", "weak.c": "__attribute__((weak)) int few(); int main(void) { return few ? few() : 3; }\n",
	}
	library(t, C, files, "", "liball.a", "unused.c few.c")
	_, said := linked(t, C, "liball.a main.c")
	require.Equal(t, "godwit cc: warning: few is called with () -> i32 in main.c and is defined with (i32) -> i32 in liball.a(few.o): that call will trap; declare it as it is defined\n", said)
	_, said = linked(t, C, "liball.a other.c main.c")
	require.Equal(t, "godwit cc: warning: few is called with () -> i32 in main.c and is defined with (i32) -> i32 in other.c: that call will trap; declare it as it is defined\n", said)
	module, _ := linked(t, C, "weak.c liball.a")
	require.NotContains(t, module.functionNames(), "few", "nobody has it loaded")
}
