package main

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/internal/identity"
	"github.com/godwit-run/godwit/raftnode"
)

// TestRecoverIsRefusedWhileOthersAnswer: a proved answer of a server of the cluster refuses a recovery, and no other answer does.
func TestRecoverIsRefusedWhileOthersAnswer(t *testing.T) {
	members := []raftnode.Server{{ID: "s1", Addr: "a1"}, {ID: "s2", Addr: "a2"}, {ID: "s3", Addr: "a3"}}
	of := func(i int, cluster string, former ...string) *apiv1.DiscoverResponse {
		res := says(i, nil)
		res.ClusterId, res.FormerClusterIds = cluster, former
		return res
	}
	moved := of(2, "c")
	moved.Members = []*apiv1.GroupMember{{Id: "s3", Addr: "b3"}}
	for _, tc := range []struct {
		name    string
		answers map[string]*apiv1.DiscoverResponse
		fails   error
		want    []string // of the refusal; none: there is none.
	}{
		{"nobody", nil, errors.New("connection refused"), nil},
		{"what proves nothing", nil, identity.ErrUnproved, nil},
		{"servers started anew, of no cluster and of another", map[string]*apiv1.DiscoverResponse{"a2": of(7, ""), "a3": of(8, "d")}, nil, nil},
		{"one", map[string]*apiv1.DiscoverResponse{"a3": of(3, "c")}, nil, []string{"still answer: s3 at a3. "}},
		{"two, one of them somewhere else", map[string]*apiv1.DiscoverResponse{"a2": moved, "b3": of(3, "c")}, nil, []string{"s2 at a2, s3 at b3. "}},
		{"one at two addresses", map[string]*apiv1.DiscoverResponse{"a2": of(2, "c"), "a3": of(2, "c")}, nil, []string{"still answer: s2 at a2. "}},
		{"a copy of this one", map[string]*apiv1.DiscoverResponse{"a1": of(1, "c")}, nil, []string{"s1 at a1"}},
		{"one that was recovered before", map[string]*apiv1.DiscoverResponse{"a2": of(2, "d", "b", "c")}, nil, []string{"s2 at a2 (recovered already, as cluster d)"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			there, err := stillThere(t.Context(), "c", members, func(_ context.Context, addr string) (*apiv1.DiscoverResponse, error) {
				if res := tc.answers[addr]; res != nil {
					return res, nil
				}
				return nil, errors.Join(tc.fails, errors.New("nobody there"))
			})
			require.NoError(t, err)
			err = errStillThere("c", there)
			if len(tc.want) == 0 {
				require.NoError(t, err)
				return
			}
			for _, want := range append(tc.want, "nothing was changed", "--others-are-lost", "godwit servers") {
				require.ErrorContains(t, err, want)
			}
		})
	}
}

// TestInterruptedRecovery: who is asked to stop while the others are asked knows nothing of them, and changes nothing.
func TestInterruptedRecovery(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	_, err := stillThere(ctx, "c", []raftnode.Server{{ID: "s1", Addr: "a1"}}, func(ctx context.Context, _ string) (*apiv1.DiscoverResponse, error) {
		cancel()
		<-ctx.Done()
		return nil, ctx.Err()
	})
	require.ErrorContains(t, err, "nothing was changed")
	require.Equal(t, exitInterrupted, exitCode(err))
}
