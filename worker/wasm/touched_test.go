package wasm

import (
	"bytes"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

// An image of a memory leaves what was never touched as it is, and has all that was.
func TestImageTouchesNothing(t *testing.T) {
	if pagemap() == nil {
		t.Skip("the kernel does not tell what has been touched")
	}
	const size = 64 << 20
	m, err := newMemory(size, &budget{})
	require.NoError(t, err)
	defer m.release() //nolint:errcheck // of a test
	memory := m.Reallocate(size)
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
	var image bytes.Buffer
	n, err := writePages(&image, memory)
	require.NoError(t, err)
	require.EqualValues(t, 4*imagePage, n)
	require.Equal(t, before, held())
	other := make([]byte, size)
	require.NoError(t, readPages(&image, other))
	require.True(t, bytes.Equal(memory, other))
}

// Where the kernel does not tell, every page is looked at.
func TestImageWithoutPagemap(t *testing.T) {
	t1 := &touched{}
	t1.begin(make([]byte, imagePage))
	require.True(t, t1.page(0))
}
