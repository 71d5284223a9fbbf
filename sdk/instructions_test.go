package sdk

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Every function of a real program is read to its end, and no instruction is taken for another.
func TestInstructions(t *testing.T) {
	modules, err := filepath.Glob("../examples/*/*.wasm")
	require.NoError(t, err)
	require.NotEmpty(t, modules)
	for _, file := range modules {
		module, err := os.ReadFile(file) //nolint:gosec // of this tree
		require.NoError(t, err)
		functions := bodies(module)
		require.NotEmpty(t, functions)
		for i, f := range functions {
			require.False(t, f.vectors(), "%s, function %d", file, i)
			require.False(t, f.bad, "%s, function %d", file, i)
		}
	}
}

func TestUsesVectors(t *testing.T) {
	module := func(code ...byte) []byte {
		body := append([]byte{1, 2, 0x7b}, code...) // two locals
		body = append([]byte{byte(len(body))}, body...)
		return append(append([]byte(wasmMagic), codeSection, byte(len(body)+1), 1), body...)
	}
	for _, tt := range []struct {
		name string
		code []byte
		want bool
	}{
		{"none", []byte{0x0b}, false},
		{"plain", []byte{0xfd, 0x0c, 0x0b}, true},
		{"behind a number like it", []byte{0x41, 0xfd, 0xfd, 0x00, 0x42, 0xfd, 0xff, 0x7f, 0x43, 0xfd, 0xfd, 0xfd, 0xfd, 0x0b}, false},
		{"behind the least number", []byte{0x42, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x7f, 0xfd, 0x0c, 0x0b}, true},
		{"behind a table of branches", []byte{0x0e, 0x02, 0x01, 0xfd, 0x01, 0x00, 0xfd, 0x0c}, true},
		{"in a place of memory", []byte{0x28, 0x02, 0xfd, 0x01, 0x0b}, false},
		{"behind a copy of memory", []byte{0xfc, 0x0a, 0x00, 0x00, 0xfd, 0x0c}, true},
		{"behind an atomic addition", []byte{0xfe, 0x1e, 0x02, 0x00, 0xfd, 0x0c}, true},
		{"behind what is no instruction", []byte{0xff, 0xfd, 0x0c}, false},
		{"cut off", []byte{0x44, 0xfd}, false},
	} {
		require.Equal(t, tt.want, usesVectors(module(tt.code...)), tt.name)
	}
	require.False(t, usesVectors(nil))
	require.False(t, usesVectors([]byte("int main(void)")))
	require.False(t, usesVectors([]byte(wasmMagic+"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff")))
}

// Functions of one instruction each, on vectors, memory and numbers, leave as much on the stack as they return.
func TestEffects(t *testing.T) {
	build(t, C, nil) // for its directory, and the tools
	where, err := exec.CommandContext(t.Context(), preferred("clang"), "-print-resource-dir").Output()
	require.NoError(t, err)
	header := string(readFile(filepath.Join(strings.TrimSpace(string(where)), "include", "wasm_simd128.h")))
	var source strings.Builder
	source.WriteString(`#include <string.h>
#include <wasm_simd128.h>
#define MAKES(n, value, ...) void f##n(void *to, ##__VA_ARGS__) { __auto_type r = value; *(__typeof__(r) *)to = r; }
void copies(void *a, void *b, unsigned long n) { memcpy(a, b, n); }
void fills(void *a, int b, unsigned long n) { memset(a, b, n); }
void stores(void *to, v128_t a) { wasm_v128_store8_lane(to, a, 3); }
`)
	made := 3
	makes := func(value, params string) {
		fmt.Fprintf(&source, "MAKES(%d, %s, %s)\n", made, value, params)
		made++
	}
	for _, m := range regexp.MustCompile(`(wasm_\w+)\(\s*v128_t __\w+(,\s*v128_t __\w+)?(,\s*v128_t __\w+)?\) \{`).FindAllStringSubmatch(header, -1) {
		if strings.Contains(m[1], "relaxed") {
			continue
		}
		n := 1 + min(1, len(m[2])) + min(1, len(m[3]))
		makes(m[1]+"("+strings.Join(strings.Split("abc"[:n], ""), ", ")+")", "v128_t a, v128_t b, v128_t c")
	}
	require.Greater(t, made, 150)
	for _, m := range regexp.MustCompile(`(wasm_v128_load\w*)\(const void`).FindAllStringSubmatch(header, -1) {
		makes(m[1]+"(p)", "void *p")
	}
	for _, lane := range strings.Fields("i8x16:char i16x8:short i32x4:int i64x2:long_long f32x4:float f64x2:double") {
		shape, number, _ := strings.Cut(lane, ":")
		number = strings.ReplaceAll(number, "_", " ")
		makes("wasm_"+shape+"_splat(x)", number+" x")
		makes("wasm_"+shape+"_extract_lane(a, 1)", "v128_t a")
		makes("wasm_"+shape+"_replace_lane(a, 1, x)", "v128_t a, "+number+" x")
	}
	for _, bits := range strings.Fields("8 16 32 64") {
		makes("wasm_v128_load"+bits+"_lane(p, a, 1)", "void *p, v128_t a")
	}
	makes("wasm_i8x16_shuffle(a, b, 0, 17, 2, 19, 4, 21, 6, 23, 8, 25, 10, 27, 12, 29, 14, 31)", "v128_t a, v128_t b")
	makes("wasm_i32x4_const(1, 2, 3, 4)", "int x")
	for _, from := range []string{"float", "double"} {
		for _, to := range []string{"int", "unsigned", "long long", "unsigned long long"} {
			makes("("+to+")x", from+" x")
		}
	}
	code, _, stderr := build(t, C, map[string]string{"a.c": source.String()}, strings.Fields("-w -O2 -msimd128 -mbulk-memory -mnontrapping-fptoint -c a.c")...)
	require.Zero(t, code, stderr)
	o, straight := readObject(readFile("a.o")), 0
	for i, body := range bodies(readFile("a.o")) {
		for n := body.uint(); n > 0; n-- {
			body.numbers(2) // locals
		}
		height, branches := 0, false
		for len(body.b) > 1 && !branches {
			op := body.byte()
			takes, gives, ok := o.effect(op, body.b)
			branches = !ok && op != opBulk && op != vectorPrefix && op < opDrop
			require.True(t, ok || branches, "function %d: %#x %x", i, op, body.b[:min(4, len(body.b))])
			require.GreaterOrEqual(t, height, takes, "function %d: %#x %x", i, op, body.b)
			body.immediates(op)
			height += gives - takes
		}
		if !branches {
			require.Zero(t, height, "function %d", i)
			straight++
		}
	}
	require.Greater(t, straight, made-10)
}
