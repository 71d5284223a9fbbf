package mpi

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// slim is a Network that has room for few frames at a time.
type slim struct {
	byHand
	most int // that were under way
}

const slimFrames = 2

func (n *slim) Send(dst Rank, head, payload []byte, urgent bool) {
	n.byHand.Send(dst, head, payload, urgent)
	n.most = max(n.most, len(n.frames))
}

func (n *slim) Room(Rank) bool { return len(n.frames) < slimFrames }

// TestResendWaitsForRoom: what was sent before and is to be sent again on a new route waits for room like all else, goes first, and arrives in order, also if that
// route is lost in the midst.
func TestResendWaitsForRoom(t *testing.T) {
	const n = 40
	for _, again := range []int{0, 1, 7} { // how often the route is lost, after so many trips
		net, back := &slim{}, &byHand{}
		there, here := NewWorld(DefaultConfig(2), net), NewWorld(DefaultConfig(2), back)
		a, b := begun(t, there, 0, arenaBytes), begun(t, here, 1, arenaBytes)
		for i := range n {
			a.setInts(sbuf, i)
			a.call("MPI_Isend", sbuf, 1, tInt, 1, 1, commWorld, 64+4*i)
			net.frames = nil // it is lost, and there is room again
		}
		require.Equal(t, n, a.p.channel(1).replay.len())
		net.most = 0
		for trip := range 4 * n {
			if trip <= again {
				net.frames, back.frames = nil, nil
				there.Reconnect(1)
				here.Reconnect(0)
			}
			net.deliver(here)
			back.deliver(there)
			there.Room()
		}
		require.LessOrEqual(t, net.most, slimFrames+3, "and what has no number")
		for i := range n {
			b.call("MPI_Recv", rbuf, 1, tInt, 0, 1, commWorld, 0)
			require.Equal(t, i, b.int(rbuf))
		}
		require.Zero(t, a.p.channel(1).unsent)

	}
}
