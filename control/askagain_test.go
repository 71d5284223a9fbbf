package control

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/fsm"
)

// askedGroup notes what is changed.
type askedGroup struct {
	noGroup
	changes []string
}

func (g *askedGroup) AddNonvoter(_ context.Context, id, _ string) error {
	g.changes = append(g.changes, "add "+id)
	return nil
}

func (g *askedGroup) Promote(_ context.Context, id string) error {
	g.changes = append(g.changes, "promote "+id)
	return nil
}

// TestAskedAgainBeforeTheGroupChanges: what a server says at the last moment counts: one that was new when it was found, and has state of
// its own now, does not join; a member that moves or gets its vote has such state.
func TestAskedAgainBeforeTheGroupChanges(t *testing.T) {
	x := Peer{ID: "x", Addr: "X"}
	for name, tt := range map[string]struct {
		step memberStep
		says *apiv1.DiscoverResponse
		want string // what is changed, or the beginning of the error
	}{
		"new":              {memberStep{peer: x, added: true}, &apiv1.DiscoverResponse{Addr: "X", SeeksCluster: "c1"}, "add x"},
		"names nobody":     {memberStep{peer: x, added: true}, &apiv1.DiscoverResponse{Addr: "X", SeeksAny: true}, "add x"},
		"its log was lost": {memberStep{peer: x, added: true}, &apiv1.DiscoverResponse{Addr: "X", ClusterId: "c1"}, "add x"},
		"seeks none yet":   {memberStep{peer: x, added: true}, &apiv1.DiscoverResponse{Addr: "X"}, notSought},
		"seeks another":    {memberStep{peer: x, added: true}, &apiv1.DiscoverResponse{Addr: "X", SeeksCluster: "c2"}, notSought},
		"of another":       {memberStep{peer: x, added: true}, &apiv1.DiscoverResponse{Addr: "X", ClusterId: "c2", SeeksAny: true}, notSought},
		"not new any more": {memberStep{peer: x, added: true}, &apiv1.DiscoverResponse{Addr: "X", Bootstrapped: true}, notNew},
		"moves":            {memberStep{peer: x}, &apiv1.DiscoverResponse{Addr: "X", Bootstrapped: true}, "add x"},
		"gets its vote":    {memberStep{peer: x, promote: true}, &apiv1.DiscoverResponse{Addr: "X", ClusterId: "c1", Bootstrapped: true}, "promote x"},
		"gets none":        {memberStep{peer: x, promote: true}, &apiv1.DiscoverResponse{Addr: "X", Bootstrapped: true}, "it does not say any more that it is of this cluster"},
		"starts":           {memberStep{peer: x, promote: true}, &apiv1.DiscoverResponse{Addr: "X", ClusterId: "c1", Bootstrapped: true}, startsText},
		"has moved":        {memberStep{peer: x, added: true}, &apiv1.DiscoverResponse{Addr: "Y", ServerId: "x"}, "server x at Y answers there"},
		"is gone":          {memberStep{peer: x, added: true}, nil, context.DeadlineExceeded.Error()},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, nil)
			if tt.says != nil {
				tt.says.FeatureLevel = fsm.New().Knows()
				if name != "starts" {
					tt.says.Standing = apiv1.Standing_STANDING_RUNS
				}
			}
			peers := &toldPeers{says: map[string]*apiv1.DiscoverResponse{"x": tt.says}, asked: map[string]int{}}
			group := &askedGroup{}
			b.l.c.peers, b.l.c.group = peers, group
			if err := b.l.changeMember(b.ctx, tt.step); err != nil {
				require.EqualError(t, err, tt.want)
				require.Empty(t, group.changes)
			} else {
				require.Equal(t, []string{tt.want}, group.changes)
			}
			require.Equal(t, 1, peers.times("x"))
		})
	}
}

// TestAskedAgainForItsBuild: a server that was given an older build since it was found neither joins nor gets a vote; a member may move.
func TestAskedAgainForItsBuild(t *testing.T) {
	x := Peer{ID: "x", Addr: "X"}
	for name, step := range map[string]memberStep{"joins": {peer: x, added: true}, "gets its vote": {peer: x, promote: true}, "moves": {peer: x}} {
		b := newBench(t, nil)
		b.propose(&apiv1.Command{Op: &apiv1.Command_SetFeatureLevel{SetFeatureLevel: &apiv1.SetFeatureLevel{Level: fsm.FeatureLevel}}})
		says := map[string]*apiv1.DiscoverResponse{"x": {Addr: "X", ClusterId: "c1", Standing: apiv1.Standing_STANDING_RUNS, FeatureLevel: fsm.FeatureLevel - 1}}
		b.l.c.peers, b.l.c.group = &toldPeers{says: says, asked: map[string]int{}}, &askedGroup{}
		err := b.l.changeMember(b.ctx, step)
		if name == "moves" {
			require.NoError(t, err)
			continue
		}
		require.EqualError(t, err, tooOld(fsm.FeatureLevel-1, fsm.FeatureLevel), name)
	}
}
