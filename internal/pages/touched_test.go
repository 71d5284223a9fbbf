package pages

import (
	"bytes"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

// A round of a memory leaves what was never touched as it is, and has all that was.
func TestRoundTouchesNothing(t *testing.T) {
	if pagemap() == nil {
		t.Skip("the kernel does not tell what has been touched")
	}
	const size = 64 << 20
	memory := mapped(t, size)
	held := func() (n int) {
		touched := newTouched(memory)
		for at := 0; at < size; at += os.Getpagesize() {
			if touched.page(at) {
				n++
			}
		}
		return n
	}
	require.Zero(t, held())
	for _, at := range []int{0, 5 << 20, 33<<20 + 17, size - 1} {
		memory[at] = 1
	}
	before := held()
	p := newPair(t, memory, NewGuess())
	stats := p.round(1, true)
	require.EqualValues(t, 4*Bytes, stats.Memory)
	require.Equal(t, before, held())
	require.True(t, bytes.Equal(memory, p.there))
}

// Where the kernel does not tell, every page is looked at.
func TestTouchedWithoutPagemap(t *testing.T) {
	t1 := &touched{}
	t1.begin(make([]byte, Bytes))
	require.True(t, t1.page(0))
}
