package sdk

import (
	"context"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Who has functions and data of the C library's names has them for himself; what each prints is what it prints natively.
func TestOwnNames(t *testing.T) {
	inCheck(t)
	for name, tt := range map[string]struct {
		files map[string]string
		args  string
		want  string
	}{
		"data with the names of functions": {map[string]string{"a.c": `#include <stdio.h>
#include <math.h>
double signal[64]; int link[4] = {1, 2, 3, 4}, access = 4; static int stat; struct { int x; } open;
int main(void) { for (int i = 0; i < 64; i++) signal[i] = sin(i * .1); open.x = link[2]; printf("%.6f %d %d %d\n", signal[5], open.x, stat, access); return 0; }
`}, "a.c", "0.479426 3 0 4\n"},
		"functions of other types": {map[string]string{"a.c": `#include <stdio.h>
struct st { int top, a[9]; }; int open(struct st *s, double v) { s->top = (int)v; return 0; } int access(struct st *s, int k, double f) { return s->a[k] * (int)f; }
void signal(int a, int b) { printf("sig %d\n", a + b); } double mkdir(double x) { return x * 2; } int unlink(struct st *s, int a, int b) { return a + b; }
int main(void) { struct st s = {0, {1, 2, 3}}; open(&s, 2.0); signal(1, 2); printf("%d %g %d\n", access(&s, 2, 3.0), mkdir(4), unlink(&s, 1, 2)); return 0; }
`}, "a.c", "sig 3\n9 8 3\n"},
		"functions of the same types": {map[string]string{"a.c": `#include <stdio.h>
char *strdup(const char *s) { return (char *)s; } int mkdir(const char *p, unsigned m) { return 77; } int access(const char *p, int m) { return 5; }
int main(void) { printf("%s %d %d\n", strdup("x"), mkdir("a", 1), access("q", 0)); return 0; }
`}, "a.c", "x 77 5\n"},
		"what the library's streams call": {map[string]string{"a.c": `#include <stdio.h>
static int calls; int close(int a) { calls++; return a; } long write(int a, void *b, unsigned long n) { calls++; return -1; }
int main(void) { FILE *f = fopen("x", "w"); fputs("y", f); int r = fclose(f); printf("%d %d %d\n", r, calls, close(8)); return 0; }
`}, "a.c", "0 0 8\n"},
		"what the glue stands before, and calls": {map[string]string{"a.c": `#include <stdarg.h>
#include <stdio.h>
#include <sys/mman.h>
int close(int a) { return 3; } int vfscanf(FILE *f, const char *s, va_list v) { return 7; } int vfwprintf(void *f, void *s, va_list v) { return 7; }
int vfprintf(FILE *f, const char *m, va_list a) { char b[200]; int n = vsnprintf(b, 200, m, a); fputs("<", f); fputs(b, f); return n; }
int say(const char *m, ...) { va_list a; va_start(a, m); int n = vfprintf(stdout, m, a); va_end(a); return n; }
int main(void) {
  char *p = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0); p[1] = 4; say("a %d\n", 5);
  fprintf(stdout, "b %d %d %d\n", p[1], close(1), munmap(p, 4096)); return 0;
}
`}, "a.c", "<a 5\nb 4 3 0\n"},
		"functions and data that the glue has": {map[string]string{
			"main.c": "int printf(const char *, ...), getline(char *, int); extern int daylight; double tzname[2]; int system = 4; int main(void) { char b[9]; printf(\"%d %d %d\\n\", getline(b, 9), daylight, system); return 0; }\n",
			"own.c":  "int daylight = 5; int getline(char *s, int most) { s[0] = 0; return most; }\n",
		}, "main.c own.c", "9 5 4\n"},
		"data that the library has, too": {map[string]string{"a.c": `#include <stdio.h>
int getopt(int, char **, const char *); char *optarg; int optind = 1;
int main(void) { char *v[] = {"a", "-x", "y", "z", 0}; int o = getopt(4, v, "x:"); printf("%c %s %d\n", o, optarg, optind); return 0; }
`}, "a.c", "x y 3\n"},
		"functions of malloc.h": {map[string]string{
			"a.c": `#include <stdio.h>
#include <stdlib.h>
#include <string.h>
extern int nm, nf; int main(void) { nm = 0; char *p = malloc(10); p = realloc(p, 20); strcpy(p, "hi"); char *q = strdup(p); int n = nm; free(q); free(p); printf("%s %d %d\n", q, n, nf); return 0; }
`,
			"mal.c": `#include <stddef.h>
#include <string.h>
static char pool[1 << 20]; static size_t at; int nm, nf;
void *malloc(size_t n) { nm++; n = (n + 31) & ~15UL; char *p = pool + at; *(size_t *)p = n; at += n; return p + 16; }
void free(void *p) { if ((char *)p > pool && (char *)p < pool + at) nf++; } void *calloc(size_t a, size_t b) { void *p = malloc(a * b); memset(p, 0, a * b); return p; }
void *realloc(void *p, size_t n) { void *q = malloc(n); if (p) memcpy(q, p, n); return q; }
`,
		}, "a.c mal.c", "hi 3 2\n"},
		"aligned memory, and mapped files": {map[string]string{
			"a.c": `#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
extern int foreign; int main(void) {
  void *p = aligned_alloc(16, 64), *q = NULL; int why = posix_memalign(&q, 8, 64); free(p); free(q);
  void *m = mmap(0, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0); munmap(m, 4096); printf("%d %d %d\n", why, p && q && m != MAP_FAILED, foreign); return 0; }
`,
			"mal.c": `#include <stddef.h>
#include <string.h>
static char pool[1 << 20]; static size_t at; int foreign;
void *malloc(size_t n) { n = (n + 31) & ~15UL; char *p = pool + at; *(size_t *)p = n; at += n; return p + 16; }
void free(void *p) { if (p && ((char *)p < pool || (char *)p >= pool + at)) foreign++; } void *calloc(size_t a, size_t b) { void *p = malloc(a * b); memset(p, 0, a * b); return p; }
void *realloc(void *p, size_t n) { void *q = malloc(n); if (p) memcpy(q, p, n); return q; }
`,
		}, "a.c mal.c", "0 1 0\n"},
		"free alone": {map[string]string{"a.c": `#include <stdio.h>
int freed; void free(int slot) { freed = slot; }
int main(void) { FILE *f = fopen("x", "w"); fclose(f); free(4); printf("%d\n", freed); return 0; }
`}, "a.c", "4\n"},
		"what the linker is to wrap": {map[string]string{"a.c": `#include <stdio.h>
FILE *__real_fopen(const char *, const char *); int n;
FILE *__wrap_fopen(const char *a, const char *b) { n++; return __real_fopen(a, b); }
int main(void) { FILE *f = fopen("x", "w"); printf("%d %d\n", n, fclose(f)); return 0; }
`}, "-Wl,--wrap=fopen a.c", "1 0\n"},
		"what the linker is to wrap, and the library calls": {map[string]string{"a.c": `#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
FILE *__real_fopen(const char *, const char *); int n1, n2, n3;
FILE *__wrap_fopen(const char *a, const char *b) { n1++; return __real_fopen(a, b); }
int __real_close(int); int __wrap_close(int f) { n2++; return __real_close(f); }
void *__real_malloc(size_t); void *__wrap_malloc(size_t n) { n3++; return __real_malloc(n); }
int main(void) { FILE *f = fopen("x", "w"); if (f) fclose(f); close(99); void *p = malloc(5); printf("%d %d %d %d\n", n1, n2, n3, p != 0); return 0; }
`}, "-Wl,--wrap=fopen,--wrap=close,--wrap=malloc a.c", "1 1 1 1\n"},
		"what the linker is to wrap, and the glue stands before": {map[string]string{"a.c": `#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>
int __real_close(int), n; int __wrap_close(int f) { n++; return __real_close(f); }
int main(void) {
  int d = open("x", O_RDWR | O_CREAT | O_TRUNC, 0644); write(d, "hello", 5);
  char *p = mmap(0, 5, PROT_READ | PROT_WRITE, MAP_SHARED, d, 0); p[0] = 'J'; close(d); p[1] = 'Y'; msync(p, 5, MS_SYNC); munmap(p, 5);
  char b[6] = {0}; d = open("x", O_RDONLY); read(d, b, 5); printf("%s %d\n", b, n); return 0; }
`}, "-Wl,--wrap=close a.c", "JYllo 1\n"},
		"what would stand before the library, and is not to": {map[string]string{"a.c": `#include <stdio.h>
#include <unistd.h>
int __wrap_close(int f) { return -1; } FILE *__wrap_fopen(const char *a, const char *b) { return 0; }
int main(void) { FILE *f = fopen("x", "w"); int r = fclose(f); f = fopen("x", "r"); printf("%d %d %d\n", r, f != 0, close(fileno(f))); return 0; }
`}, "a.c", "0 1 0\n"},
		"names that begin with two lines": {map[string]string{"a.c": `#include <math.h>
#include <stdio.h>
#include <string.h>
double __rem_pio2(double x, double *y) { return x; } long __memrchr; int __intscan = 4; void __lock(int *p) { *p = 1; } double __expo2(double a, double b) { return 1; }
int main(int c, char **v) { double y[2]; int k; __lock(&k); printf("%g %.4f %s %d\n", __rem_pio2(1, y), sin(c + 99), strrchr("abcb", 'b'), __intscan + k); return 0; }
`}, "a.c", "1 -0.5064 b 5\n"},
		"data of an object, and of an archive before it": {map[string]string{"a.c": `#include <stdio.h>
extern int cfg[4]; int main(void) { printf("%d\n", cfg[0]); return 0; }
`, "own.c": "int cfg[4] = {1};\n", "member.c": "int cfg[4] = {2}; int other(void) { return 3; }\n"}, "libmember.a a.c own.c", "1\n"},
		"what is called as those for tries are": {map[string]string{
			"a.c": "#include <stdio.h>\nint f(), invoke_i(int (*)()), invoke_f(float, int); int main(void) { printf(\"%d %d\\n\", invoke_i(f), invoke_f(1.5f, 2)); return 0; }\n",
			"b.c": "int f(int a) { return a + 1; } int invoke_i(int (*p)()) { return ((int (*)(int))p)(5); } int invoke_f(float x, int y) { return x * y; }\n",
		}, "a.c b.c", "6 3\n"},
		"the library among the user's": {map[string]string{"a.c": `#include <stdio.h>
int access = 3; int main(void) { FILE *f = fopen("x", "w"); fputs("y", f); printf("%d %d\n", fclose(f), access); return 0; }
`}, "a.c -L" + wasiLibraries + " -lc " + wasiLibraries + "/libc.a", "0 3\n"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, options := range []string{"", "-O0 -g"} {
				if source, ok := tt.files["member.c"]; ok {
					library(t, C, map[string]string{"member.c": source}, "", "libmember.a", "member.c")
					tt.files["libmember.a"] = string(readFile("libmember.a"))
				}
				code, _, stderr := build(t, C, tt.files, append(strings.Fields("-w -o a.wasm "+options), strings.Fields(tt.args)...)...)
				require.Zero(t, code, stderr)
				require.Empty(t, stderr)
				printed, err := runGuest(t)
				require.NoError(t, err)
				require.Equal(t, tt.want, printed)
			}
		})
	}
}

// An archive's are the user's, too, whoever else has the library among his words: without names of his own he has the library as it is.
func TestOwnNamesOfArchives(t *testing.T) {
	files := map[string]string{
		"compat.c": "int vfprintf(void *f, const char *s, void *v) { return 1; }\n", "used.c": "int warn(int a) { return a + 1; } double stat[3] = {2};\n",
		"main.c":  "#include <stdio.h>\nint warn(int); extern double stat[3]; int main(void) { fprintf(stdout, \"x %d %g\\n\", warn(1), stat[0]); return 0; }\n",
		"plain.c": "#include <stdio.h>\nint main(void) { FILE *f = fopen(\"x\", \"w\"); fputs(\"y\", f); printf(\"%d\\n\", fclose(f)); return 0; }\n",
	}
	library(t, C, files, "", "liball.a", "compat.c used.c")
	_, said := linked(t, C, "main.c -L. -lall")
	require.Empty(t, said)
	printed, err := runGuest(t)
	require.NoError(t, err)
	require.Equal(t, "x 2 2\n", printed)
	_, said = linked(t, C, "plain.c -L"+wasiLibraries+" -lm -lc "+wasiLibraries+"/libc.a")
	require.Empty(t, said)
	printed, err = runGuest(t)
	require.NoError(t, err)
	require.Equal(t, "0\n", printed)
}

// An object that is cut off is no trouble.
func TestOwnNamesOfDamage(t *testing.T) {
	code, _, stderr := build(t, C, map[string]string{"a.c": "int close(int), n; int f(void) { return close(n); } int g(void) { return f(); }\n"}, "-c", "a.c")
	require.Zero(t, code, stderr)
	object := readFile("a.o")
	names := ownNames{private: map[string]bool{"close": true, "f": true}, shared: map[string]bool{"n": true}, wrapped: map[string]bool{"g": true}}
	for n := range object {
		names.object(object[:n]) // no panic
	}
	var got []string
	for s := range symbolsOf(names.object(object)) {
		got = append(got, s.name)
	}
	require.Subset(t, got, []string{"godwit_own:close", "godwit_own:f", "godwit_own:g", "g", "n"})
	require.Equal(t, []string{"godwit_own:f", "godwit_own:g", "g"}, definedSymbols(names.object(object)))
	require.Equal(t, "--wrap=godwit_own:close\n--wrap=h\n--wrap=godwit_own:g\n", string(names.wrapOptions([]byte("--wrap=close\n--wrap=h\n--wrap=g\n"))))
}

// What the host asks for is of the program's own malloc, wherever it is to stand, and goes back to its free.
func TestOwnMallocForHost(t *testing.T) {
	code, _, stderr := build(t, C, map[string]string{"a.c": `#include <stddef.h>
static char pool[1 << 16]; static size_t at = 4; static void *last;
void *malloc(size_t n) { n = (n + 3) & ~3UL; if (n > sizeof pool - at) return NULL; last = pool + at; at += n; return last; }
void free(void *p) { if (p == last) at = 1 << 15; }
__attribute__((export_name("used"))) unsigned used(void) { return at; }
int main(void) { return 0; }
`}, "-w", "a.c", "-o", "a.wasm")
	require.Zero(t, code, stderr)
	guest, _, err := startGuest(t)
	require.NoError(t, err)
	call := func(name string, args ...uint64) uint64 {
		result, err := guest.ExportedFunction(name).Call(context.Background(), args...)
		require.NoError(t, err)
		return append(result, 0)[0]
	}
	for _, align := range []uint64{1, 16, 256} {
		before := call("used")
		at := call("godwit_alloc", 100, align)
		require.NotZero(t, at)
		require.Zero(t, at%max(align, 16))
		require.Greater(t, call("used"), before+100)
		call("godwit_free", at)
		require.EqualValues(t, 1<<15, call("used"))
	}
	require.Zero(t, call("godwit_alloc", 1<<16, 16))
	require.Zero(t, call("godwit_alloc", 1<<32-8, 16))
	call("godwit_free", 0)
}
