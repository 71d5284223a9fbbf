package sdk

import (
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/require"
)

// Relocations stay as they are, of whatever kind: those with one more number are of WebAssembly's tool conventions, Linking.md, and LLVM's WasmRelocs.def.
func TestRelocations(t *testing.T) {
	addends := map[uint64]bool{3: true, 4: true, 5: true, 8: true, 9: true, 11: true, 14: true, 15: true, 16: true, 17: true, 21: true, 22: true, 23: true, 25: true}
	section := []byte{3, 27}
	for kind := range uint64(27) {
		section = binary.AppendUvarint(append(section, byte(kind)), 300+kind)
		section = append(section, 7)
		if addends[kind] {
			section = append(section, 0xff, 0x7e) // signed
		}
	}
	r := &reader{b: section}
	all := r.relocations()
	require.False(t, r.bad)
	require.Empty(t, r.b)
	require.Len(t, all.list, 27)
	for i, next := range all.list {
		require.EqualValues(t, i, next.kind)
		require.EqualValues(t, 300+i, next.at)
	}
	require.Equal(t, section, all.append(nil))
}
