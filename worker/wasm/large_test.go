package wasm

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestLargeBlocks: one block may be of 2 GiB and more.
func TestLargeBlocks(t *testing.T) {
	w := &world{t: t, module: compile(t, "large"), args: []string{"large"}}
	r := w.run(1)[0]
	require.Equal(t, Exit{}, r.exit, "%s", &r.stderr)
	require.Equal(t, "malloc of 2200 MiB: there\nrealloc of 3500 MiB: there\naligned_alloc of 2048 MiB: there\nposix_memalign of 3000 MiB: there\nrealloc of 2499 MiB: there\n0\n", r.stdout.String())
}
