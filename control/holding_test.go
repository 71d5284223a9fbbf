package control

import (
	"context"
	"fmt"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	apiv1 "github.com/godwit-run/godwit/api/v1"
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

// TestHoldingLooksWhenThereIsCause: when a module has come into the state, when one went from the store, and as long as one is lacking;
// not because the log goes on.
func TestHoldingLooksWhenThereIsCause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil)
		c, h := b.l.c, b.l.c.holding
		b.propose(&apiv1.Command{Op: &apiv1.Command_RemoveModule{RemoveModule: &apiv1.RemoveModule{Digest: testDigest}}})
		one := b.store("one")
		b.know(one)
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- c.KeepModules(ctx) }()
		sees := func(digest string) bool {
			time.Sleep(3 * holdingTick)
			synctest.Wait()
			h.mu.Lock()
			defer h.mu.Unlock()
			_, ok := h.held[digest]
			return ok
		}
		unsee := func() { // what a look would set right
			h.mu.Lock()
			defer h.mu.Unlock()
			clear(h.held)
		}
		require.True(t, sees(one), "at its start")
		unsee()
		for i := range 5 {
			b.host(fmt.Sprintf("w%d", i), 1)
			require.False(t, sees(one), "no module has come or gone")
		}
		two := digestOf([]byte("two"))
		b.know(two)
		require.True(t, sees(one), "one has come, which has no bytes")
		require.False(t, sees(two))
		b.store("two")
		require.True(t, sees(two), "it was lacking")
		unsee()
		require.False(t, sees(two), "nothing is lacking")
		require.NoError(t, os.Remove(c.modules.path(one)))
		h.forget(one)
		require.True(t, sees(two), "one went")
		require.False(t, sees(one))
		b.store("one")
		require.True(t, sees(one))
		stop()
		require.ErrorIs(t, <-done, context.Canceled)
	})
}
