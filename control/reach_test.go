package control

import (
	"context"
	"net"
	"testing"

	"github.com/stretchr/testify/require"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/fsm"
)

// everybodyIsReached stands for the network where a test's workers have no port.
func everybodyIsReached(context.Context, *apiv1.Host) string { return "" }

// TestReach: a host takes ranks from when it is reached at its own address, not before.
func TestReach(t *testing.T) {
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, l.Close())
	for _, tc := range []struct{ name, addr, unfit string }{
		{"it is there", someone{host: "w1", incarnation: "i1"}.serve(t), ""},
		{"nobody is there", l.Addr().String(), "connection refused"},
		{"another host is there", someone{host: "w2", incarnation: "i1"}.serve(t), "where host \"w2\" answers"},
		{"another process is there", someone{host: "w1", incarnation: "i0"}.serve(t), "where host \"w1\" answers"},
		{"it is no address", "nosuchhost.invalid:1", notReached},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := newBench(t, nil)
			b.l.c.reach = b.l.c.askAtAddress
			h := &apiv1.Host{Id: "w1", Addr: tc.addr, Slots: 4, Incarnation: "i1", NodeId: "n-w1"}
			require.NoError(t, b.l.register(b.ctx, h, nil))
			state := func() *apiv1.Host {
				got, ok := b.l.c.state.View().Host("w1")
				require.True(t, ok)
				return got
			}
			if tc.unfit == "" {
				require.True(t, fsm.TakesRanks(state()))
				require.Empty(t, unreachedIn(b.l.c.state.View(), "w1"))
				return
			}
			require.False(t, fsm.TakesRanks(state()))
			require.Contains(t, state().Unfit, tc.unfit)
			require.Contains(t, state().Unfit, tc.addr)

			s := newSession("w1", "i1", func() {})
			s.setUnreached(unreachedIn(b.l.c.state.View(), "w1"))
			b.l.hearFitness(s, "")
			b.l.takeFitness(b.ctx)
			require.False(t, fsm.TakesRanks(state()), "that it calls itself fit is not enough")
			b.l.hearFitness(s, "its disk is full")
			b.l.takeFitness(b.ctx)
			require.Equal(t, "its disk is full", state().Unfit)

			b.l.c.reach = everybodyIsReached
			b.l.reachAgain(b.ctx, s)
			b.l.hearFitness(s, "")
			b.l.takeFitness(b.ctx)
			require.True(t, fsm.TakesRanks(state()))
		})
	}
}
