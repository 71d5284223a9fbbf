package sdk

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// What objects call under a try is found in objects and in archives, thin ones too, and is defined; a program that throws nothing has plain calls.
func TestNeeds(t *testing.T) {
	files := map[string]string{
		"throws.cpp": "double g(long long, float); double f() { try { return g(1, 2); } catch (int) { return 0; } catch (char) { return 1; } }",
		"plain.cpp":  "int f(int x) { return x; }",
		"jumps.c":    "#include <setjmp.h>\njmp_buf b; void g(int); int f(void) { if (setjmp(b)) return 1; g(2); return 0; }\nvoid h(void) { longjmp(b, 1); }",
	}
	code, _, stderr := build(t, CXX, files, "-c", "throws.cpp", "plain.cpp")
	require.Zero(t, code, stderr)
	object, err := os.ReadFile("throws.o")
	require.NoError(t, err)
	for n := range object {
		importedFunctions(object[:n]) // no panic
	}
	n, err := needsOf([]string{"throws.o"}, nil)
	require.NoError(t, err)
	require.Equal(t, needs{invokes: []string{"djf"}, catches: []int{2}, throws: true}, n)
	source := string(n.source())
	require.Contains(t, source, "double invoke_djf(double (*f)(long long, float), long long a0, float a1) {\n")
	require.Contains(t, source, "void *__cxa_find_matching_catch_4(void *a0, void *a1) {\n")
	require.NotContains(t, source, "#define GODWIT_NO_THROWS")

	n, err = needsOf([]string{"plain.o"}, []string{"throws.o"})
	require.NoError(t, err)
	require.False(t, n.throws)
	require.Contains(t, string(n.source()), "#define GODWIT_NO_THROWS")

	body, _ := fattened([]member{{data: object}})
	require.NoError(t, os.WriteFile("libfat.a", append([]byte(archiveMagic), body...), 0o600))
	require.NoError(t, os.Mkdir("lib", 0o700))
	require.NoError(t, os.Rename("throws.o", filepath.Join("lib", "a long name.o")))
	thin := thinMagic + "//                                              16        `\na long name.o/\n\n" +
		"/0              0           0     0     644     " + padded(len(object)) + "`\n"
	require.NoError(t, os.WriteFile("lib/libthin.a", []byte(thin), 0o600))
	for _, words := range [][]string{{"libfat.a"}, {"-L.", "-lfat"}, {"-L", ".", "-l", "fat"}, {"lib/libthin.a"}, {"-Llib", "-lthin"}} {
		n, err := needsOf(words, nil)
		require.NoError(t, err)
		require.Equal(t, []string{"djf"}, n.invokes, words)
		indexed, err := indexArchives(words, t.TempDir())
		require.NoError(t, err)
		content, err := os.ReadFile(indexed[len(indexed)-1])
		require.NoError(t, err)
		members, isIndexed, isThin := members("", content)
		require.Len(t, members, 1)
		require.True(t, isIndexed)
		require.False(t, isThin)
		require.Equal(t, object, members[0].data)
	}

	code, _, stderr = build(t, C, files, "-c", "jumps.c")
	require.Zero(t, code, stderr)
	n, err = needsOf([]string{"jumps.o"}, nil)
	require.NoError(t, err)
	require.Equal(t, needs{invokes: []string{"vi"}, catches: []int{0}, throws: true, jumps: true}, n)
}

func padded(n int) string {
	text := strings.Repeat(" ", 10)
	digits := []byte{}
	for ; n > 0; n /= 10 {
		digits = append([]byte{byte('0' + n%10)}, digits...)
	}
	return string(digits) + text[len(digits):]
}

// A call that no clang known here makes is refused, and not linked to nothing.
func TestUnknownNeeds(t *testing.T) {
	for _, name := range []string{"__cxa_find_matching_catch_1", "__cxa_find_matching_catch_x"} {
		var n needs
		require.Error(t, n.call(name), name)
	}
	var n needs
	for _, name := range []string{"memcpy", "invoke_", "invoke_viv", "invoke_x"} { // the user's
		require.NoError(t, n.call(name), name)
	}
	require.False(t, n.any())
}

// A program without a try is not made for one: nothing of what unwinds is linked into it.
func TestNoExceptions(t *testing.T) {
	inCheck(t)
	const source = "#include <string>\n#include <vector>\n#include <cstdio>\n" +
		"int main(int c, char **v) { std::vector<std::string> a; a.push_back(v[0]); a.resize(c * 3); std::puts(a.at(c).c_str()); return 0; }"
	for option, want := range map[string]bool{"-fno-exceptions": false, "-fexceptions": true} {
		code, _, stderr := build(t, CXX, map[string]string{"a.cpp": source}, option, "a.cpp")
		require.Zero(t, code, stderr)
		module, err := os.ReadFile(defaultOutput)
		require.NoError(t, err)
		require.Equal(t, want, strings.Contains(string(module), "godwit_thrown"), option)
	}
}

// TestTriesHaveNoFrames: what is called under a try runs from its beginning when a frozen rank goes on, so it must leave the stack pointer alone: it would put it back
// while the rank is frozen, and what the rank calls later would write over frames that it has.
func TestTriesHaveNoFrames(t *testing.T) {
	inCheck(t)
	const source = `#include <string>
#include <vector>
double d(double a, float b, long long c, int e);
void g(const std::string &);
int h(void);
struct Mark { ~Mark(); };
int all(int n) {
  Mark mark;
  try {
    g(std::string("text"));
    return (int)d(1.5, 2.5f, n, 3) + h();
  } catch (const std::string &s) { return (int)s.size(); } catch (int i) { return i; }
}
int main(int argc, char **) { return all(argc); }
`
	const called = `#include <string>
#include <vector>
struct Mark { ~Mark(); };
void g(const std::string &);
double d(double a, float b, long long c, int e) { if (e > 3) throw std::string("x"); return a + b + (double)c; }
void g(const std::string &s) { if (s.empty()) throw 3; }
int h(void) { return std::vector<int>(3).at(1); }
Mark::~Mark() { g("x"); }
`
	for _, level := range []string{"-O0", "-O1", "-O2", "-O3"} {
		code, _, stderr := build(t, CXX, map[string]string{"a.cpp": source, "b.cpp": called}, level, "-g", "a.cpp", "b.cpp", "-o", "a.wasm")
		require.Zero(t, code, stderr)
		out, err := exec.CommandContext(t.Context(), "wasm-dis", "--all-features", "a.wasm", "-o", "-").Output()
		require.NoError(t, err)
		tries := 0
		for _, function := range strings.Split(string(out), "\n (func ")[1:] {
			if strings.HasPrefix(function, "$invoke_") {
				tries++
				require.NotContains(t, function, "global.set $__stack_pointer", level)
			}
		}
		require.Greater(t, tries, 2, level)
		require.Contains(t, string(out), "global.set $__stack_pointer", level) // others have frames
	}
}
