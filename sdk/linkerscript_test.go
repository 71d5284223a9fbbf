package sdk

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestLinkerScripts: texts that name libraries stand for what they name; what a guest cannot be linked by is told.
func TestLinkerScripts(t *testing.T) {
	t.Chdir(t.TempDir())
	require.NoError(t, os.Mkdir("dir", 0o700))
	for name, text := range map[string]string{
		"dir/libfirst.so": "/* GNU ld script */\nOUTPUT_FORMAT(elf64-x86-64)\nGROUP ( -lsecond, libthird.a AS_NEEDED ( other.o ) )\n",
		"libsecond.a":     "INPUT(-lstdc++ -lmpi)",
		"dir/libthird.a":  archiveMagic,
		"dir/other.o":     wasmMagic,
		"libplain.so":     "\x7fELF",
		"libdirs.so":      "SEARCH_DIR(\"/x\") EXTERN(sym); INPUT(a.o)",
		"libloop.so":      "INPUT(-lloop)",
		"libbad.so":       "SECTIONS { . = 0; }",
		"libworse.a":      "INPUT(a.o) SECTIONS { . = 0; }",
		"libopen.a":       "INPUT(a.o",
		"libentry.a":      "ENTRY(main)",
	} {
		require.NoError(t, os.WriteFile(name, []byte(text), 0o600))
	}
	for words, want := range map[string]string{
		"a.o -L. -Ldir -lfirst b.o": "a.o -L. -Ldir -lc++ -lc++abi " + filepath.Join("dir", "libthird.a") + " " + filepath.Join("dir", "other.o") + " b.o",
		"-L dir -l first":           "-L dir -lsecond " + filepath.Join("dir", "libthird.a") + " " + filepath.Join("dir", "other.o"),
		"libsecond.a":               "-lc++ -lc++abi",
		"-L. -lplain -lnone -o x":   "-L. -lplain -lnone -o x",
		"libdirs.so":                "-L/x -Wl,--undefined=sym -Wl,--export-if-defined=sym a.o",
		"-Ldir -l:libthird.a":       "-Ldir -l:libthird.a",
		"libbad.so":                 "libbad.so",
	} {
		got, err := followScripts(strings.Fields(words))
		require.NoError(t, err, words)
		require.Equal(t, strings.Fields(want), got, words)
	}
	for words, why := range map[string]string{
		"-L. -lloop": "name each other", "libworse.a": "more than INPUT and GROUP", "libopen.a": "its INPUT( does not end", "libentry.a": "linker script with ENTRY",
	} {
		_, err := followScripts(strings.Fields(words))
		require.ErrorContains(t, err, why, words)
	}
}

// TestLinkerScriptsByOtherWays: a text is followed by whatever option or name it is given, names archives where shared libraries are beside them, and files with spaces; others are refused.
func TestLinkerScriptsByOtherWays(t *testing.T) {
	t.Chdir(t.TempDir())
	require.NoError(t, os.MkdirAll("sp ace/lib", 0o700))
	for name, text := range map[string]string{
		"sp ace/lib/libx.so": "\x7fELF", "sp ace/lib/libx.a": archiveMagic, "sp ace/lib/liball.so": "INPUT(-lx)", "sp ace/lib/libtext.a": "INPUT(-lx)", "sp ace/lib/libtext.so": "\x7fELF",
		"t.ld": `INPUT("sp ace/lib/libx.a", AS_NEEDED("b)c.o") AS_NEEDED_too.o)`, "b)c.o": wasmMagic, "AS_NEEDED_too.o": wasmMagic, "dirs.ld": `SEARCH_DIR("sp ace/lib") INPUT(-lall)`,
		"bad.ld": "ENTRY(main)", "all.ld": "SECTIONS { . = 0; }", "a.c": "MACRO(x)", "odd": "MACRO(x)",
	} {
		require.NoError(t, os.WriteFile(name, []byte(text), 0o600))
	}
	named := []string{"sp ace/lib/libx.a", "b)c.o", "AS_NEEDED_too.o"}
	for _, row := range []struct{ words, want []string }{
		{[]string{"-Lsp ace/lib", "-lall"}, []string{"-Lsp ace/lib", "-lx"}},
		{[]string{"-Lsp ace/lib", "-ltext"}, []string{"-Lsp ace/lib", "-lx"}},
		{[]string{"-Lsp ace/lib", "-Wl,-lall"}, []string{"-Lsp ace/lib", "-lx"}},
		{[]string{"-Wl,-L", "-Wl,sp ace/lib", "-Wl,-l", "-Wl,all"}, []string{"-Lsp ace/lib", "-lx"}},
		{[]string{"-Wl,--library=all", "-Lsp ace/lib"}, []string{"-lx", "-Lsp ace/lib"}},
		{[]string{"t.ld"}, named},
		{[]string{"-T", "t.ld"}, named},
		{[]string{"-Wl,-T", "-Wl,t.ld"}, named},
		{[]string{"-Tt.ld"}, named},
		{[]string{"-Wl,-Tt.ld"}, named},
		{[]string{"-Wl,--script=t.ld"}, named},
		{[]string{"-u", "-Tt.ld"}, []string{"-u", "-Tt.ld"}},
		{[]string{"dirs.ld"}, []string{"-Lsp ace/lib", "-lx"}},
		{[]string{"a.c", "-x", "c", "odd", "-x", "none", "b)c.o"}, []string{"a.c", "-x", "c", "odd", "-x", "none", "b)c.o"}},
	} {
		got, err := followScripts(row.words)
		require.NoError(t, err, row.words)
		require.Equal(t, row.want, got, row.words)
	}
	for words, why := range map[string]string{
		"-T all.ld": "all.ld: a guest cannot be linked by a linker script", "-T bad.ld": "bad.ld: it is a linker script with ENTRY", "bad.ld": "bad.ld: it is a linker script with ENTRY", "-T none.ld": "none.ld",
	} {
		_, err := followScripts(strings.Fields(words))
		require.ErrorContains(t, err, why)
	}
}

// TestOptionsOfNoLink: what the linker would be told is nothing to a compilation.
func TestOptionsOfNoLink(t *testing.T) {
	files := map[string]string{"a.c": "int main(void) { return 0; }\n"}
	code, _, stderr := build(t, C, files, "-c", "a.c", "-Wl,--defsym=a=b", "-T", "none.ld", "-lnone")
	require.Zero(t, code, stderr)
	require.Empty(t, stderr)
}

// TestSymbolsThatAreRequired: what nobody has is an error, and so is a symbol's address.
func TestSymbolsThatAreRequired(t *testing.T) {
	files := map[string]string{"a.c": "int one(void) { return 1; }\nint main(void) { return one(); }\n"}
	code, _, stderr := build(t, C, files, "a.c", "-Wl,--require-defined=one", "-o", "a.wasm")
	require.Zero(t, code, stderr)
	for option, why := range map[string]string{
		"-Wl,--require-defined=nosuch": "not found: nosuch", "-Wl,--require-defined,nosuch": "not found: nosuch", "-Wl,--defsym=a=5": "define a function or a variable by that name",
		"-Wl,--defsym,a=5": "define a function or a variable by that name",
		"-Ttext=0x1000":    "-Ttext=0x1000: a guest's code and data have no address", "-Wl,-Tdata=0x1000": "no address", "-Wl,--section-start=.x=5": "no address", "-Wl,-Ttext,0x1000": "no address",
	} {
		code, _, stderr := build(t, C, files, "a.c", option, "-o", "a.wasm")
		require.NotZero(t, code, option)
		require.Contains(t, stderr, why, option)
	}
}

// TestLevelsWithoutWarnings: levels that clang only knows by other names are no reason for a warning, and the last level counts, with what -Ofast means besides.
func TestLevelsWithoutWarnings(t *testing.T) {
	files := map[string]string{"a.c": "int main(void) {\n#ifdef __FAST_MATH__\n  return 1;\n#endif\n#ifndef __OPTIMIZE__\n  return 2;\n#endif\n  return 0;\n}\n"}
	for levels, want := range map[string]string{"-Ofast": "1", "-O4": "0", "-O9": "0", "-O33": "0", "-Ofast -O2": "0", "-O2 -Ofast": "1", "-Ofast -fno-fast-math": "0", "-O": "0", "-Ofast -O0": "2"} {
		code, _, stderr := build(t, C, files, append(strings.Fields(levels), "-Wall", "-Wextra", "-Werror", "a.c", "-o", "a.wasm")...)
		require.Zero(t, code, stderr)
		require.Empty(t, stderr, levels)
		_, err := runGuest(t)
		if want == "0" {
			require.NoError(t, err, levels)
		} else {
			require.ErrorContains(t, err, "exit_code("+want+")", levels)
		}
	}
}

// TestBuiltinJumps: gcc's __builtin_setjmp and __builtin_longjmp, with setjmp.h and without.
func TestBuiltinJumps(t *testing.T) {
	text := `#include <stdio.h>
HEADER
static void *at[5], *outer[5];
static int n;
__attribute__((noinline)) static void jumps(void) { __builtin_longjmp(at, 1); }
__attribute__((noinline)) static void again(void) { if (__builtin_setjmp(at)) __builtin_longjmp(outer, 1); else jumps(); }
int main(void) {
  if (__builtin_setjmp(at) == 0) jumps(), puts("it went on");
  if (__builtin_setjmp(outer)) return puts("end"), 0;
  n++, puts("back"), again();
  return 1;
}
`
	for _, header := range []string{"", "#include <setjmp.h>"} {
		for name, lang := range map[string]Lang{"a.c": C, "a.cpp": CXX} {
			files := map[string]string{name: strings.ReplaceAll(text, "HEADER", header)}
			printsAtLevels(t, lang, files, name, "back\nend\n", "-Wall", "-Wextra", "-pedantic", "-Werror")
		}
	}
}
