package sdk

import (
	"os"
	"path/filepath"
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
