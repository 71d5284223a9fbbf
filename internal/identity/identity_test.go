package identity

import (
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

func TestOnlyTheKeyProvesTheID(t *testing.T) {
	key, nonce := New(), Nonce()
	require.Len(t, key.ID(), 36)
	require.Equal(t, key.ID(), FromSeed(key.Seed()).ID())
	require.NotEqual(t, key.ID(), New().ID())
	signed := &apiv1.DiscoverResponse{ServerId: key.ID(), ClusterId: "c", Addr: "a:1", ProcessId: "p", Term: 3, LastLogTerm: 2, LastLogIndex: 9, Standing: 1}
	key.Sign(nonce, signed)
	require.NoError(t, Verify(nonce, signed))
	require.ErrorIs(t, Verify(Nonce(), signed), ErrUnproved, "said again")
	require.ErrorIs(t, Verify(nil, signed), ErrUnproved)

	for name, change := range map[string]func(*apiv1.DiscoverResponse){
		"id":         func(r *apiv1.DiscoverResponse) { r.ServerId = New().ID() },
		"no id":      func(r *apiv1.DiscoverResponse) { r.ServerId = "" },
		"cluster":    func(r *apiv1.DiscoverResponse) { r.ClusterId = "d" },
		"address":    func(r *apiv1.DiscoverResponse) { r.Addr = "b:1" },
		"process":    func(r *apiv1.DiscoverResponse) { r.ProcessId = "q" },
		"neighbours": func(r *apiv1.DiscoverResponse) { r.Addr, r.ProcessId = "a:1p", "" },
		"term":       func(r *apiv1.DiscoverResponse) { r.Term++ },
		"log term":   func(r *apiv1.DiscoverResponse) { r.LastLogTerm++ },
		"log index":  func(r *apiv1.DiscoverResponse) { r.LastLogIndex++ },
		"standing":   func(r *apiv1.DiscoverResponse) { r.Standing++ },
		"seeks":      func(r *apiv1.DiscoverResponse) { r.SeeksCluster = "d" },
		"seeks any":  func(r *apiv1.DiscoverResponse) { r.SeeksAny = true },
		"unsigned":   func(r *apiv1.DiscoverResponse) { r.Signature = nil },
		"no key":     func(r *apiv1.DiscoverResponse) { r.PublicKey = nil },
		"other key":  func(r *apiv1.DiscoverResponse) { New().Sign(nonce, r) },
	} {
		forged := proto.CloneOf(signed)
		change(forged)
		require.ErrorIs(t, Verify(nonce, forged), ErrUnproved, name)
	}
}

func TestNothingIsSignedForAnUnboundedNonce(t *testing.T) {
	for _, nonce := range [][]byte{nil, make([]byte, MaxNonce+1)} {
		res := &apiv1.DiscoverResponse{}
		New().Sign(nonce, res)
		require.Empty(t, res.Signature)
	}
}
