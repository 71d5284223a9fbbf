package wasm

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestChangesTables: code that changes a table is found among other code, by the instruction; reading one, and what clang writes, is not.
func TestChangesTables(t *testing.T) {
	for want, body := range map[string][]byte{
		"":           {0, 0x41, 0x26, 0x25, 0, 0x1a, 0xfc, 13, 0, 0xfc, 16, 0, 0x1a, 0xd2, 0x26, 0x1a, 0x0b}, // a constant, table.get, elem.drop, table.size, ref.func
		"table.set":  {1, 2, 0x7f, 0x41, 0, 0xd0, 0x70, 0x26, 0, 0x0b},
		"table.grow": {0, 0xd0, 0x70, 0x41, 1, 0xfc, 15, 0, 0x1a, 0x0b},
		"table.copy": {0, 0x41, 0, 0x41, 0, 0x41, 0, 0xfc, 14, 0, 0, 0x0b},
		"table.init": {0, 0x41, 0, 0x41, 0, 0x41, 0, 0xfc, 12, 0, 0, 0x0b},
		"table.fill": {0, 0x41, 0, 0xd0, 0x70, 0x41, 0, 0xfc, 17, 0, 0x0b},
	} {
		code := append([]byte{2, 2, 0, 0x0b, byte(len(body))}, body...) // behind a function that does nothing
		require.Equal(t, want, changesTables(code))
	}
	require.Empty(t, changesTables([]byte{1, 6, 0xff, 0xff, 0xff, 0xff, 0x0f, 0})) // many locals, of which there are none
	require.Empty(t, changesTables([]byte{0xff, 0xff, 0xff, 0xff, 0x0f}))
	conformance, err := os.ReadFile("../../mpi/conformance/conformance.wasm")
	require.NoError(t, err)
	s, err := decodeSections(conformance)
	require.NoError(t, err)
	require.NotEmpty(t, s.code)
	require.Empty(t, changesTables(s.code))
}

func BenchmarkInspect(b *testing.B) {
	module, err := os.ReadFile("../../mpi/conformance/conformance.wasm")
	require.NoError(b, err)
	b.SetBytes(int64(len(module)))
	for b.Loop() {
		_, err := Inspect(module)
		require.NoError(b, err)
	}
}
