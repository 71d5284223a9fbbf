package control

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestRemovedWhileLooking: a module whose bytes are removed while the store is being looked through is lacking, and not held: what was
// seen before does not count.
func TestRemovedWhileLooking(t *testing.T) {
	b := newBench(t, nil)
	s, h := b.l.c.modules, b.l.c.holding
	kept, going, bad := b.store("kept"), b.store("going"), b.store("bad")
	for _, digest := range []string{kept, going} {
		b.know(digest)
	}
	require.Equal(t, []string{testDigest}, h.lacks(b.l.c.state.View()), "the bench's own module has no bytes")
	b.know(bad)
	require.NoError(t, os.WriteFile(s.path(bad), []byte("what is not its bytes"), 0o600))
	s.damaged = func(digest string) { // is called while lacks looks
		require.Equal(t, bad, digest)
		require.NoError(t, os.Remove(s.path(going)))
		h.forget(going)
	}
	v := b.l.c.state.View()
	require.ElementsMatch(t, []string{testDigest, bad, going}, h.lacks(v))
	require.EqualValues(t, 3, h.missing(v))
	b.store("going")
	require.ElementsMatch(t, []string{testDigest, bad}, h.lacks(v), "bytes that came again count")
	require.EqualValues(t, 2, h.missing(v))
}
