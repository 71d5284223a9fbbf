package mpi

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/godwit-run/godwit/mpi/abi"
	"github.com/godwit-run/godwit/mpi/channel"
)

// slim is a Network that has room for few frames at a time.
type slim struct {
	byHand
	most int // that were under way
}

const slimFrames = 2

func (n *slim) Send(dst Rank, head, payload []byte, way Way) {
	n.byHand.Send(dst, head, payload, way)
	n.most = max(n.most, len(n.frames))
}

func (n *slim) Room(Rank, bool) bool { return len(n.frames) < slimFrames }

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
			a.call("MPI_Isend", sbuf, 1, tInt, 1, 1, abi.CommWorld, 64+4*i)
			net.frames = nil // it is lost, and there is room again
		}
		require.Equal(t, n, a.p.pair(1).Unacked())
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
			b.call("MPI_Recv", rbuf, 1, tInt, 0, 1, abi.CommWorld, 0)
			require.Equal(t, i, b.int(rbuf))
		}
		require.Zero(t, a.p.pair(1).Unsent(channel.Talk))

	}
}

// TestNewIsBehindWhatIsSentAgain: also where that waits for room.
func TestNewIsBehindWhatIsSentAgain(t *testing.T) {
	const n = 20
	at := func(i int) int { return sbuf + 4*i }
	net, back := &slim{}, &byHand{}
	there, here := NewWorld(DefaultConfig(2), net), NewWorld(DefaultConfig(2), back)
	a, b := begun(t, there, 0, arenaBytes), begun(t, here, 1, arenaBytes)
	for i := range n {
		a.setInts(at(i), i)
		a.call("MPI_Isend", at(i), 1, tInt, 1, 1, abi.CommWorld, 64+4*i)
		net.frames = nil
	}
	there.Reconnect(1)
	net.deliver(here)
	back.deliver(there)
	for i := range n {
		net.deliver(here)
		back.deliver(there)
		a.setInts(at(n+i), n+i)
		a.call("MPI_Isend", at(n+i), 1, tInt, 1, 1, abi.CommWorld, 64+4*(n+i))
		there.Room()
	}
	for range 8 * n {
		net.deliver(here)
		back.deliver(there)
		there.Room()
	}
	for i := range 2 * n {
		b.call("MPI_Iprobe", 0, 1, abi.CommWorld, 96, 0)
		require.Equal(t, 1, b.int(96), "message %d", i)
		b.call("MPI_Recv", rbuf, 1, tInt, 0, 1, abi.CommWorld, 0)
		require.Equal(t, i, b.int(rbuf))
	}
}

// TestWhatNeedsNotBeSentAgain: an ack that comes by the old route, a peer that comes into the same World, and one that has ended, take back what still waits for room.
func TestWhatNeedsNotBeSentAgain(t *testing.T) {
	const n = 20
	stuck := func() (there, here *World, net *slim, a, b *guest) {
		net = &slim{}
		back := &byHand{}
		there, here = NewWorld(DefaultConfig(2), net), NewWorld(DefaultConfig(2), back)
		a, b = begun(t, there, 0, arenaBytes), begun(t, here, 1, arenaBytes)
		for i := range n {
			a.setInts(sbuf, i)
			a.call("MPI_Isend", sbuf, 1, tInt, 1, 1, abi.CommWorld, 64+4*i)
			net.frames = nil
		}
		for len(net.frames) < slimFrames {
			net.frames = append(net.frames, nil) // of others
		}
		there.Reconnect(1)
		here.Receive(net.frames[slimFrames]) // ATTACH
		back.deliver(there)
		require.Equal(t, n, a.p.pair(1).Unsent(channel.Talk))
		return there, here, net, a, b
	}
	receives := func(b *guest) {
		t.Helper()
		for i := range n {
			b.call("MPI_Recv", rbuf, 1, tInt, 0, 1, abi.CommWorld, 0)
			require.Equal(t, i, b.int(rbuf))
		}
	}
	there, _, net, a, _ := stuck()
	ack := bytesOf(&channel.Frame{Packet: channel.Packet{Kind: channel.Ack}, Src: 1, Dst: 0, Epoch: 1, Acked: channel.Numbers{n - 3}})
	there.Receive(ack)
	require.Equal(t, 3, a.p.pair(1).Unsent(channel.Talk))
	net.frames = nil
	there.Room()
	var f channel.Frame
	require.True(t, f.Decode(net.frames[0]))
	require.EqualValues(t, n-3, f.Seq)

	there, here, _, a, b := stuck()
	state, err := here.Capture(1)
	require.NoError(t, err)
	here.Remove(1)
	b.p, err = there.RestoreRank(1, 2, b.mem, state)
	require.NoError(t, err)
	require.Zero(t, a.p.pair(1).Unsent(channel.Talk))
	receives(b)
	a.setInts(sbuf, 77)
	a.call("MPI_Send", sbuf, 1, tInt, 1, 1, abi.CommWorld)
	b.call("MPI_Recv", rbuf, 1, tInt, 0, 1, abi.CommWorld, 0)
	require.Equal(t, 77, b.int(rbuf))

	there, _, net, a, _ = stuck()
	there.PeerEnded(1)
	require.Zero(t, a.p.pair(1).Unsent(channel.Talk))
	net.frames = nil
	there.Room()
	require.Empty(t, net.frames)
}
