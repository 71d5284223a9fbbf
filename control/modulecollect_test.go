package control

import (
	"fmt"
	"os"
	"testing"
	"time"

	"connectrpc.com/connect/v2"
	"github.com/stretchr/testify/require"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/internal/apierr"
)

// store puts bytes into the bench's store, as an upload does, and returns their digest.
func (b *bench) store(code string) string {
	b.t.Helper()
	digest := digestOf([]byte(code))
	in, err := b.l.c.modules.begin(digest)
	require.NoError(b.t, err)
	defer in.drop()
	require.NoError(b.t, in.add([]byte(code)))
	require.NoError(b.t, in.check())
	require.NoError(b.t, in.keep())
	return digest
}

func (b *bench) know(digest string) {
	b.t.Helper()
	b.propose(&apiv1.Command{Op: &apiv1.Command_AddModule{AddModule: &apiv1.AddModule{Module: &apiv1.Module{Digest: digest}}}})
}

// TestRemoveModule: a retry is answered again, one that is needed is refused with who needs it.
func TestRemoveModule(t *testing.T) {
	b := newBench(t, nil)
	c := b.l.c
	b.submit("a", &apiv1.AppSpec{Size: 1})
	_, err := c.RemoveModule(b.ctx, &apiv1.RemoveModuleRequest{Digest: testDigest})
	require.Equal(t, connect.CodeFailedPrecondition, connect.CodeOf(err), "%v", err)
	require.ErrorContains(t, err, "needed by a (queued)")
	_, err = c.CancelApp(b.ctx, &apiv1.CancelAppRequest{App: "a"})
	require.NoError(t, err)
	for range 2 {
		_, err = c.RemoveModule(b.ctx, &apiv1.RemoveModuleRequest{IdempotencyKey: "k", Digest: testDigest})
		require.NoError(t, err)
	}
	_, ok := c.state.View().Module(testDigest)
	require.False(t, ok)
	_, err = c.RemoveModule(b.ctx, &apiv1.RemoveModuleRequest{Digest: testDigest})
	require.Equal(t, connect.CodeNotFound, connect.CodeOf(err), "%v", err)
	_, err = c.RemoveModule(b.ctx, &apiv1.RemoveModuleRequest{IdempotencyKey: "k", Digest: digestOf(nil)})
	require.Equal(t, apierr.ReasonKeyReused, apierr.Info(err).GetReason(), "%v", err)
	_, err = c.RemoveModule(b.ctx, &apiv1.RemoveModuleRequest{Digest: "x"})
	require.Equal(t, "digest", apierr.Info(err).GetField(), "%v", err)
}

// TestUsersOf: a refusal names the first of those that need the module, and says how many there are.
func TestUsersOf(t *testing.T) {
	b := newBench(t, nil)
	require.Equal(t, "an app that has ended meanwhile", usersOf(b.l.c.state.View(), testDigest))
	for i := range 7 {
		b.submit(fmt.Sprintf("a%d", 7-i), &apiv1.AppSpec{Size: 1})
	}
	require.Equal(t, "7 apps, among them a7 (queued), a6 (queued), a5 (queued), a4 (queued), a3 (queued)", usersOf(b.l.c.state.View(), testDigest))
}

// TestCollect: bytes go when the state does not name them, and they are neither young nor on their way.
func TestCollect(t *testing.T) {
	b := newBench(t, nil)
	c := b.l.c
	known, orphan, coming := b.store("known"), b.store("orphan"), b.store("coming")
	b.know(known)
	require.Empty(t, c.holding.lacks(c.state.View())[1:], "the bench's own module has no bytes")
	in, err := c.modules.begin(coming)
	require.NoError(t, err)
	all := time.Now().Add(time.Hour) // all that is there came before

	require.NoError(t, c.collect(b.ctx, time.Now().Add(-moduleGrace)))
	require.True(t, c.modules.has(orphan), "too young")
	require.NoError(t, c.collect(b.ctx, all))
	require.True(t, c.modules.has(known))
	require.True(t, c.modules.has(coming), "on its way")
	require.False(t, c.modules.has(orphan))
	in.drop()
	require.NoError(t, c.collect(b.ctx, all))
	require.False(t, c.modules.has(coming))

	_, err = c.RemoveModule(b.ctx, &apiv1.RemoveModuleRequest{Digest: known})
	require.NoError(t, err)
	require.NoError(t, c.collect(b.ctx, all))
	require.False(t, c.modules.has(known))
	b.know(known)
	require.EqualValues(t, 2, c.holding.missing(c.state.View()), "known again, and not held any more")
}

// TestBytesThatComeAgainStay: bytes that were uploaded again after an old copy was found to be unknown are not that copy.
func TestBytesThatComeAgainStay(t *testing.T) {
	b := newBench(t, nil)
	s := b.l.c.modules
	digest := b.store("x")
	old := time.Now().Add(-2 * moduleGrace)
	require.NoError(t, os.Chtimes(s.path(digest), old, old))
	cutoff := time.Now().Add(-moduleGrace)
	found, err := s.older(cutoff)
	require.NoError(t, err)
	require.Equal(t, []string{digest}, found)
	b.store("x")
	removed, err := s.remove(digest, cutoff)
	require.NoError(t, err)
	require.False(t, removed)
	require.True(t, s.has(digest))
}

// TestFollowersCollect: a server that does not lead removes bytes too, once it has what the leader has; without a leader it
// removes nothing.
func TestFollowersCollect(t *testing.T) {
	tr := newTrio(t, nil)
	leader, follower := tr.servers[0], tr.servers[1]
	tr.lead(leader, follower, tr.servers[2])
	orphan := digestOf([]byte("orphan"))
	in, err := follower.control.modules.begin(orphan)
	require.NoError(t, err)
	require.NoError(t, in.add([]byte("orphan")))
	require.NoError(t, in.keep())
	in.drop()
	later := time.Now().Add(time.Hour)
	nobody, leads := "", follower.leader.Load()
	follower.leader.Store(&nobody)
	require.Error(t, follower.control.collect(t.Context(), later), "no leader is known")
	require.True(t, follower.control.modules.has(orphan))
	follower.leader.Store(leads)
	require.NoError(t, follower.control.collect(t.Context(), later))
	require.False(t, follower.control.modules.has(orphan))
}

// TestHoldingIsShared: what looks at the store and what removes from it run at once.
func TestHoldingIsShared(t *testing.T) {
	b := newBench(t, nil)
	var digests []string
	for i := range 200 {
		digest := b.store(fmt.Sprint("module ", i))
		b.know(digest)
		digests = append(digests, digest)
	}
	h, v := b.l.c.holding, b.l.c.state.View()
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range 300 {
			h.lacks(v)
		}
	}()
	for i := 0; ; i++ {
		select {
		case <-done:
			return
		default:
			h.forget(digests[i%len(digests)])
		}
	}
}
