package sdk

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const hello = `#include <mpi.h>
#include <stdio.h>
#include <time.h>
int main(int argc, char **argv) {
  MPI_Init(&argc, &argv);
  printf("%s %ld\n", __FILE__, (long)clock());
  return MPI_Finalize();
}
`

// TestMain gives all tests one directory for the unpacked SDK and its glue, apart from the user's.
func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "godwit-sdk-test-")
	if err == nil {
		err = os.Setenv("XDG_CACHE_HOME", dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// build runs the toolchain in a directory that holds files and returns exit code, stdout and stderr.
func build(t *testing.T, lang Lang, files map[string]string, args ...string) (int, string, string) {
	t.Helper()
	return buildBy(t, Toolchain{}, lang, files, args...)
}

// buildBy is build by this toolchain.
func buildBy(t *testing.T, by Toolchain, lang Lang, files map[string]string, args ...string) (int, string, string) {
	t.Helper()
	for _, tool := range []string{preferred("clang"), "wasm-opt"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("needs %s", tool)
		}
	}
	if _, err := FindCXX(); lang == CXX && err != nil {
		t.Skip(err)
	}
	t.Chdir(t.TempDir())
	for name, content := range files {
		require.NoError(t, os.WriteFile(name, []byte(content), 0o600))
	}
	var stdout, stderr bytes.Buffer
	code := by.Run(context.Background(), lang, args, &stdout, &stderr)
	return code, stdout.String(), stderr.String()
}

func TestSameBytesFromAnyDirectory(t *testing.T) {
	var modules [2][]byte
	for i := range modules {
		code, _, stderr := build(t, C, map[string]string{"a.c": hello}, "-g", "-Wall", "-Werror", "a.c", "-o", "a.wasm")
		require.Zero(t, code, stderr)
		module, err := os.ReadFile("a.wasm")
		require.NoError(t, err)
		cwd, err := os.Getwd()
		require.NoError(t, err)
		require.NotContains(t, string(module), cwd)
		modules[i] = module
	}
	require.Equal(t, modules[0], modules[1])
}

func TestSeparateCompilation(t *testing.T) {
	files := map[string]string{"a.c": hello, "flags": "-O2 '-DX=\"a b\"'\n-Wall"}
	code, _, stderr := build(t, C, files, "@flags", "-c", "a.c")
	require.Zero(t, code, stderr)
	require.FileExists(t, "a.o")
	stderrBuf := new(bytes.Buffer)
	code = Toolchain{}.Run(context.Background(), C, []string{"a.o", "-lmpi"}, new(bytes.Buffer), stderrBuf)
	require.Zero(t, code, stderrBuf.String())
	require.FileExists(t, defaultOutput)
}

func TestCXX(t *testing.T) {
	source := `#include <mpi.h>
#include <string>
#include <vector>
int main() { std::vector<std::string> v(3); MPI_Init(nullptr, nullptr); return (int)v[0].size(); }`
	code, _, stderr := build(t, CXX, map[string]string{"a.cpp": source}, "-std=c++17", "-Wall", "-Werror", "a.cpp", "-oa.wasm")
	require.Zero(t, code, stderr)
	require.FileExists(t, "a.wasm")
}

// errno is thread-local, in a guest of one thread.
func TestErrno(t *testing.T) {
	files := map[string]string{
		"a.c":     "#include <errno.h>\nint main(void) { errno = 0; return errno; }",
		"a.cpp":   "#include <cerrno>\n#include <cmath>\nint main() { errno = 0; return errno; }",
		"old.c":   "#include <errno.h>\nextern int errno;\nint main(void) { errno = 0; return errno; }",
		"old.cpp": "#include <errno.h>\nextern int errno;\nint main() { errno = 0; return errno; }",
	}
	for lang, sources := range [][]string{C: {"a.c", "old.c"}, CXX: {"a.cpp", "old.cpp"}} {
		for _, source := range sources {
			code, _, stderr := build(t, Lang(lang), files, "-Wall", "-Werror", source)
			require.Zero(t, code, stderr)
		}
	}
}

// A source compiles that has what a rank cannot have in a function that nobody calls. Where it is called, the link says why it is not there.
func TestDeclaredMissing(t *testing.T) {
	files := map[string]string{
		"idle.cpp": "#include <unistd.h>\nstruct file { int fd; file copy() { int ends[2]; ::pipe(ends); return file{::dup(fd)}; } };\nint copied(int fd) { return file{fd}.copy().fd; }\n" +
			"int main() { return 0; }",
		"used.cpp": "#include <unistd.h>\nint main() { return dup(0) + fork(); }",
	}
	code, _, stderr := build(t, CXX, files, "-Wall", "-Werror", "idle.cpp")
	require.Zero(t, code, stderr)
	code, _, stderr = build(t, CXX, files, "used.cpp")
	require.NotZero(t, code)
	require.Contains(t, stderr, "a rank is one process")
}

// The names of functions are in a module, for the stack of a trap, unless they are stripped.
func TestNames(t *testing.T) {
	const program = `#include <stdio.h>
__attribute__((noinline)) int innermost(volatile int *p) { return 7 / *p; }
int main(int argc, char **argv) { (void)argv; int zero = argc - argc; printf("%d\n", innermost(&zero) + innermost(&argc)); return 0; }
`
	for args, want := range map[string]bool{"": true, "-O0": true, "-O2": true, "-g": true, "-s": false, "-g -s": false, "-Wl,--strip-all": false} {
		code, _, stderr := build(t, C, map[string]string{"a.c": program}, append(strings.Fields(args), "a.c", "-o", "a.wasm")...)
		require.Zero(t, code, stderr)
		module, err := os.ReadFile("a.wasm")
		require.NoError(t, err)
		require.Equal(t, want, bytes.Contains(module, []byte("innermost")), "with %q", args)
		require.Equal(t, args == "-g", bytes.Contains(module, []byte(".debug_info")), "with %q", args)
	}
}

// A clang that makes wrong code of vectors is not let to, and one that makes right code is.
func TestVectors(t *testing.T) {
	files := map[string]string{"a.c": "int main(void) { return 0; }"}
	code, _, stderr := build(t, C, files, "-msimd128", "a.c")
	fake := func(version string) string {
		name := filepath.Join(t.TempDir(), "clang-"+version)
		script := "#!/bin/sh\nif [ \"$1\" = -dumpversion ]; then echo " + version + "; fi\n"
		require.NoError(t, os.WriteFile(name, []byte(script), 0o700)) //nolint:gosec // it is run
		return "-cc=" + name
	}
	if code != 0 {
		require.Contains(t, stderr, "makes wrong code of vectors")
	}
	for args, want := range map[string]bool{
		fake("15.0.7") + " -msimd128": false, fake("15.0.7") + " -mrelaxed-simd": false, fake("none") + " -msimd128": false,
		fake("16.0.0") + " -msimd128": true, fake("21.1.0") + " -msimd128": true,
		fake("14.0.6"): true, fake("14.0.6") + " -msimd128 -mno-simd128": true,
	} {
		_, _, stderr := build(t, C, files, append(strings.Fields(args), "-c", "a.c")...)
		require.Equal(t, !want, strings.Contains(stderr, "makes wrong code of vectors"), "%s: %s", args, stderr)
	}
}

// Vectors that no option of the compiler's own shows are refused too, wherever they come from, and nothing is left of them.
func TestHiddenVectors(t *testing.T) {
	const loop = "void f(void) { for (int i = 0; i < 64; i++) d[i] += 1; }\nint main(void) { f(); return 0; }\n"
	files := map[string]string{
		"plain.c": "float d[64];\n" + loop,
		"attr.c":  "float d[64];\n__attribute__((target(\"simd128\")))\n" + loop,
	}
	code, version, stderr := build(t, C, files, "-dumpversion")
	require.Zero(t, code, stderr)
	if major, _, _ := strings.Cut(version, "."); len(major) > 1 && major >= strconv.Itoa(vectorsFrom) {
		t.Skip("this clang may make vectors")
	}
	for _, tt := range []struct{ args, made string }{
		{"plain.c", ""},
		{"plain.c -c", ""},
		{"attr.c -S -o attr.s", ""},
		{"-Xclang -target-feature -Xclang +simd128 plain.c", "a.out"},
		{"-Xclang -target-feature -Xclang +simd128 -mno-simd128 plain.c -s", "a.out"},
		{"-Xclang -target-cpu -Xclang bleeding-edge plain.c", "a.out"},
		{"attr.c", "a.out"},
		{"attr.c -s -o out.wasm", "out.wasm"},
		{"attr.c -g -O2", "a.out"},
		{"-c attr.c", "attr.o"},
		{"-c plain.c attr.c", "attr.o"},
		{"-c attr.c -o x.o", "x.o"},
		{"-msimd128 -mno-simd128 plain.c", ""},
	} {
		code, _, stderr := build(t, C, files, strings.Fields(tt.args)...)
		require.Equal(t, tt.made != "", strings.Contains(stderr, "makes wrong code of vectors"), "%s: %d, %s", tt.args, code, stderr)
		require.Equal(t, tt.made == "", code == 0, "%s: %s", tt.args, stderr)
		if tt.made != "" {
			require.NoFileExists(t, tt.made, tt.args)
		}
	}
}

// What the glue adds to the C library steps back for a program's own.
func TestOwnSystem(t *testing.T) {
	const own = `#include <unistd.h>
int system(const char *command) { return command == 0; }
int gethostname(char *name, size_t size) { return name[size - 1]; }
int main(void) { return 0; }
`
	code, _, stderr := build(t, C, map[string]string{"a.c": own}, "-Wall", "-Werror", "a.c", "-o", "a.wasm")
	require.Zero(t, code, stderr)
}

// The link has each function that takes a FILE look at it, and no program pays for those it does not call.
func TestNullFile(t *testing.T) {
	const writes = "#include <stdio.h>\nint main(void) { FILE *f = fopen(\"a\", \"w\"); fprintf(f, \"%d\", 1); return fclose(f); }"
	code, _, stderr := build(t, C, map[string]string{"a.c": writes, "none.c": "int main(void) { return 0; }"}, "-Wall", "-Werror", "a.c", "-o", "a.wasm")
	require.Zero(t, code, stderr)
	require.Contains(t, string(readFile("a.wasm")), "__wrap_fprintf")
	var out bytes.Buffer
	require.Zero(t, Toolchain{}.Run(context.Background(), C, []string{"none.c"}, &out, &out), out.String())
	for _, name := range []string{"fprintf", "fclose", "fwprintf", "fdopen"} {
		require.NotContains(t, string(readFile("a.out")), "__wrap_"+name)
	}
}

// What is called without a declaration is an error that names the header, of the hand-made list or of all that the C library has; only of what has none the guess is offered.
func TestUndeclared(t *testing.T) {
	const offer = "-Wno-error=implicit-function-declaration its type is guessed"
	files := map[string]string{
		"a.c":    "int main(void) { usleep(1); gettimeofday(0, 0); fnmatch(0, 0, 0); fork(); ptrace(); MPI_Finalize(); MPI_None(); return own(); }",
		"time.c": "int main(void) { return time(0) == 0; }",
	}
	code, _, stderr := build(t, C, files, "-c", "a.c")
	require.Equal(t, 1, code)
	for _, want := range []string{
		"usleep is declared in <unistd.h>", "gettimeofday is declared in <sys/time.h>", "fnmatch is declared in <fnmatch.h>", "fork is declared in <unistd.h>", "MPI_Finalize is declared in <mpi.h>",
		"-include unistd.h -include sys/time.h -include fnmatch.h -include mpi.h", "declare MPI_None, own before the call", offer,
	} {
		require.Contains(t, stderr, want)
	}
	code, _, stderr = build(t, C, files, "-std=c99", "time.c")
	require.Equal(t, 1, code)
	for _, want := range []string{"time is declared in <time.h>", "-include time.h", "-std=c99 hides what is not standard C's"} {
		require.Contains(t, stderr, want)
	}
	require.NotContains(t, stderr, offer)
}

// What GNU's headers have that wasi-libc's have not.
func TestGNU(t *testing.T) {
	files := map[string]string{
		"a.c": `#define _GNU_SOURCE
#include <pthread.h>
#include <stdlib.h>
static int order(const void *a, const void *b, void *sign) { return (*(const int *)a - *(const int *)b) * *(int *)sign; }
int main(void) { cpu_set_t set; int list[2] = {1, 2}, sign = -1; qsort_r(list, 2, sizeof *list, order, &sign);
  return pthread_getaffinity_np(pthread_self(), sizeof set, &set) + (secure_getenv("A") != 0) + list[0] - 2; }
`,
		"a.cpp": `#include <cstring>
#include <libgen.h>
int main(int, char **v) { char path[] = "a/b"; const char *last = basename(static_cast<const char *>(v[0])); return basename(path) == last; }
`,
	}
	code, _, stderr := build(t, C, files, "-Wall", "-Werror", "a.c")
	require.Zero(t, code, stderr)
	code, _, stderr = build(t, CXX, files, "-Wall", "-Werror", "a.cpp")
	require.Zero(t, code, stderr)
}

// A profiling layer (MPI 5.0 section 15.2) defines MPI_X and calls PMPI_X.
func TestProfilingLayer(t *testing.T) {
	files := map[string]string{
		"main.c": "#include <mpi.h>\nint main(void) { return MPI_Barrier(MPI_COMM_WORLD); }",
		"prof.c": "#include <mpi.h>\nint MPI_Barrier(MPI_Comm c) { return PMPI_Barrier(c) + PMPI_Finalize(); }",
	}
	code, _, stderr := build(t, C, files, "-Wall", "-Werror", "main.c", "prof.c")
	require.Zero(t, code, stderr)
	module, err := os.ReadFile(defaultOutput)
	require.NoError(t, err)
	require.Contains(t, string(module), "MPI_Finalize", "the layer was not linked in")
}

// Configure scripts look for a function by linking a call of it, without a header: every one of MPI's is found, and no other. What is linked so is no program.
func TestConfigureProbe(t *testing.T) {
	for _, name := range []string{"MPI_Init", "MPI_Accumulate", "PMPI_Send", "MPI_Comm_spawn", "MPI_Send_c", "isnan", "isinf", "qsort_r", "sigsetjmp"} {
		code, _, stderr := build(t, C, map[string]string{"a.c": "char " + name + "(); int main(void) { return " + name + "(); }"}, "-w", "a.c")
		require.Zero(t, code, stderr)
		require.FileExists(t, "a.out")
		require.Equal(t, strings.Contains(name, "MPI") || name == "sigsetjmp", strings.Contains(stderr, "note: "+name+" is called where its header is not included"), stderr)
	}
	code, _, stderr := build(t, C, map[string]string{"a.c": "char MPI_Nosuch(); int main(void) { return MPI_Nosuch(); }"}, "a.c")
	require.Equal(t, 1, code)
	require.Contains(t, stderr, "MPI_Nosuch")
}

func TestShow(t *testing.T) {
	code, stdout, stderr := build(t, C, nil, "-showme", "a.c", "-o", "x y.wasm")
	require.Zero(t, code, stderr)
	lines := strings.Split(strings.TrimSpace(stdout), "\n")
	require.Len(t, lines, 4) // the source, the glue, the link, wasm-opt
	require.Contains(t, lines[0], " a.c ")
	require.Contains(t, lines[3], "'x y.wasm'")
	entries, err := os.ReadDir(".")
	require.NoError(t, err)
	require.Empty(t, entries, "-showme ran something")

	_, stdout, _ = build(t, C, nil, "--showme:compile")
	require.Contains(t, stdout, "--target=wasm32-wasi")
	require.NotContains(t, stdout, "-Wl,")
}

func TestFailures(t *testing.T) {
	code, _, stderr := build(t, C, map[string]string{"a.c": "int main(void) { return x; }"}, "a.c", "-o", "a.wasm")
	require.Equal(t, 1, code)
	require.Contains(t, stderr, "undeclared identifier")
	require.NoFileExists(t, "a.wasm")

	code, _, stderr = build(t, C, nil)
	require.Equal(t, 1, code)
	require.Contains(t, stderr, "no input files")

	code, _, stderr = build(t, C, nil, "-c", "solver.F90")
	require.NotZero(t, code)
	require.Contains(t, stderr, "solver.F90: Fortran is not supported yet; C and C++ are")
	code, _, stderr = build(t, C, nil, "-shared", "a.o", "-o", "liba.so")
	require.Equal(t, 1, code)
	require.Contains(t, stderr, "make a static one")
	for _, option := range []string{"-Ddefault_library=static", "-DBUILD_SHARED_LIBS=OFF", "--disable-shared"} {
		require.Contains(t, stderr, option)
	}

	var out bytes.Buffer
	code = Toolchain{WasmOpt: "no-such-tool", Dir: t.TempDir()}.Run(context.Background(), C, []string{"a.c"}, &out, &out)
	require.Equal(t, 1, code)
	require.Contains(t, out.String(), "binaryen")
}

func TestParse(t *testing.T) {
	dir := t.TempDir()
	loop := filepath.Join(dir, "loop")
	require.NoError(t, os.WriteFile(loop, []byte("@"+loop), 0o600))
	for _, tt := range []struct {
		name string
		args string
		want arguments
	}{
		{"link", "a.c -o b", arguments{output: "b", rest: []string{"a.c"}}},
		{"joined output", "a.c -ob", arguments{output: "b", rest: []string{"a.c"}}},
		{"compile", "-c a.c", arguments{mode: modePartial, rest: []string{"-c", "a.c"}}},
		{"value is no input", "-I a.c", arguments{mode: modeAsk, rest: []string{"-I", "a.c"}}},
		{"version", "--version", arguments{mode: modeAsk, rest: []string{"--version"}}},
		{"debug", "-g -O0 a.c", arguments{debug: true, optimise: "-O0", rest: []string{"-g", "-O0", "a.c"}}},
		{"stripped", "-s a.c", arguments{strip: true, rest: []string{"a.c"}}},
		{"stripped by the linker", "a.c -Wl,--strip-all", arguments{strip: true, rest: []string{"a.c"}}},
		{"no debug", "-g -g0 a.c", arguments{rest: []string{"-g", "-g0", "a.c"}}},
		{"dropped", "-static -lmpi a.c", arguments{rest: []string{"a.c"}}},
		{
			"noted", "-pthread a.c",
			arguments{rest: []string{"a.c"}, linkNotes: []string{"-pthread is ignored: a rank has one thread"}},
		},
		{
			"unwind area", "-D GODWIT_UNWIND_BYTES=64 a.c",
			arguments{unwind: "-DGODWIT_UNWIND_BYTES=64", rest: []string{"-D", "GODWIT_UNWIND_BYTES=64", "a.c"}},
		},
		{"dropped with a separate value", "-l mpi a.c", arguments{rest: []string{"a.c"}}},
		{"a C++ library has another name", "a.o -lstdc++ -lpthread", arguments{rest: []string{"a.o", "-lc++", "-lc++abi", "-lpthread"}}},
		{
			"OpenMP", "-fopenmp -ffast-math -m64 a.c",
			arguments{
				rest:      []string{"-D_OPENMP=201511", "-Wno-unknown-pragmas", "-ffast-math", "a.c"},
				linkNotes: []string{"-fopenmp: a rank has one thread, and OpenMP's pragmas are left out"},
			},
		},
		{
			"native linker", "a.c -Wl,-rpath,/x,-z,relro -Wl,--enable-new-dtags,-O1 -Wl,-rpath=/y -Wl,-rpath -Wl,/z -Wl,--hash-style=gnu -rpath /w -z now",
			arguments{rest: []string{"a.c", "-Wl,-O1"}},
		},
		{"native linker by words", "-Xlinker -rpath -Xlinker /x -Xlinker --gc-sections a.c", arguments{rest: []string{"-Wl,--gc-sections", "a.c"}}},
		{"stack size", "-Wl,-z,stack-size=64 -z stack-size=32 a.c", arguments{rest: []string{"-Wl,-z,stack-size=64", "-Wl,-z,stack-size=32", "a.c"}}},
		{"another compiler", "-cc=clang-15 -c a.c", arguments{mode: modePartial, driver: "clang-15", rest: []string{"-c", "a.c"}}},
		{"MPICH's question", "-link_info", arguments{show: showLink, bare: true}},
		{"-V", "-V", arguments{mode: modeAsk, rest: []string{"--version"}}},
		{"no such response file", "@none", arguments{rest: []string{"@none"}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := parse(strings.Fields(tt.args))
			require.NoError(t, err)
			got.inputs = nil // they are in rest
			require.Equal(t, tt.want, got)
		})
	}
	_, err := parse([]string{"@" + loop})
	require.ErrorContains(t, err, "nested")
}

func TestObjects(t *testing.T) {
	for args, want := range map[string][]string{
		"a.c": nil, "-c a.c ../d/b.cpp": {"a.o", "b.o"}, "-c a.c -o x/y.obj": {"x/y.obj"}, "-c a.o libb.a -I d.c": nil, "-S -c a.c": nil, "-c -E a.c": nil,
	} {
		a, err := parse(strings.Fields(args))
		require.NoError(t, err)
		require.Equal(t, want, a.objects(), args)
	}
}

func TestSplitWords(t *testing.T) {
	require.Equal(t, []string{"a", "b c", `d"e`, "", "f g"}, SplitWords("a 'b c'\n\"d\\\"e\" '' f\\ g "))
}

// Every question has an answer of one line, with what it names in it.
func TestQuestions(t *testing.T) {
	for question, want := range map[string]string{
		"-show": "clang --target=wasm32-wasi .* -lm .*$", "--showme": "clang ", "-showme:compile": "^--target=wasm32-wasi .*-I[^ ]*/include",
		"-compile_info": "-I[^ ]*/include", "-show-compile-info": "-I", "-showme:link": "^--target=wasm32-wasi .*stack-first.* -lm ",
		"-link-info": " -lm ", "-show-link-info": " -lm ", "-showme:incdirs": "^/.*/include$", "-showme:libdirs": "^/.*/lib$",
		"-showme:libs": "^wasi-emulated-signal .*m c-printscan-long-double$", "-showme:command": "clang$", "-showme:version": `^godwit cc: Godwit 1\.2 \(Language: C\)$`,
	} {
		var stdout, stderr bytes.Buffer
		code := Toolchain{Clang: "true", ClangXX: "true", WasmOpt: "true", Dir: t.TempDir(), Version: "1.2"}.Run(
			context.Background(), C, []string{question}, &stdout, &stderr)
		require.Zero(t, code, stderr.String())
		require.Empty(t, stderr.String())
		answer := strings.ReplaceAll(strings.TrimSpace(stdout.String()), "/usr/bin/true", "clang")
		require.NotContains(t, answer, "\n", question)
		require.Regexp(t, want, answer, question)
	}
	_, stdout, _ := build(t, CXX, nil, "-showme:help")
	require.Contains(t, stdout, "-showme:incdirs")
}

func TestAnotherCompiler(t *testing.T) {
	t.Setenv("OMPI_CC", preferred("clang")+" -DFROM_ENV=1")
	source := map[string]string{"a.c": "#if FROM_ENV != 1\n#error no\n#endif\nint main(void) { return 0; }"}
	code, _, stderr := build(t, C, source, "-c", "a.c")
	require.Zero(t, code, stderr)
	_, stdout, _ := build(t, C, source, "-cc="+preferred("clang")+" -O1", "-showme:command")
	require.Regexp(t, `clang(-19)? -O1\n$`, stdout)

	t.Setenv("MPI_CC", "false")
	code, _, stderr = build(t, C, source, "a.c")
	require.Equal(t, 1, code)
	require.Contains(t, stderr, "because of MPI_CC; it has to be a clang")
}

// What Makefiles written for other MPIs pass does not break a build.
func TestNativeFlags(t *testing.T) {
	files := map[string]string{"a.c": "#include <mpi.h>\n#include <math.h>\nint main(int c, char **v) { (void)v; return (int)floor(c) - 1; }"}
	args := strings.Fields("-m64 -O3 -march=native -ffast-math -funroll-loops -fomit-frame-pointer -fopenmp -pipe -Wall a.c -o a.wasm -L. " +
		"-Wl,-rpath,/usr/lib -Wl,--enable-new-dtags -Wl,-z,relro -Wl,--as-needed -lpthread -lrt -ldl -lm -lutil -lgomp -fstack-protector-strong -g0 " +
		"-I/usr/include -isystem /usr/include -L/usr/lib -L/usr/lib/x86_64-linux-gnu/ -xHost -axCORE-AVX2")
	code, _, stderr := build(t, C, files, args...)
	require.Zero(t, code, stderr)
	require.FileExists(t, "a.wasm")
	require.Equal(t, 8, strings.Count(stderr, "\n"), stderr)
	for _, flag := range []string{"-march=native", "-I/usr/include", "-isystem/usr/include", "-L/usr/lib", "-L/usr/lib/x86_64-linux-gnu/", "-xHost", "-axCORE-AVX2"} {
		require.Contains(t, stderr, flag+" is ignored")
	}
	require.Contains(t, stderr, "-fopenmp: a rank has one thread")
}
