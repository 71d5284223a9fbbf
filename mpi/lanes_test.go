package mpi

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/godwit-run/godwit/mpi/abi"
	"github.com/godwit-run/godwit/mpi/channel"
)

// ways is a Network whose frames the test delivers, that notes how they may go, and may have no room for pieces of long messages.
type ways struct {
	byHand
	full bool
	went map[channel.Kind][]Way // without those that are equal in a row
}

func (n *ways) Send(dst Rank, head, payload []byte, way Way) {
	kind := channel.Kind(head[1])
	n.went[kind] = slices.Compact(append(n.went[kind], way))
	n.byHand.Send(dst, head, payload, way)
}

func (n *ways) Room(_ Rank, bulk bool) bool { return !bulk || !n.full }

// bulky are two ranks in Worlds of their own, of which the first is about to send the second so many bytes, whose pieces have no room; both have begun, and the second
// knows of it.
func bulky(t *testing.T, bytes int) (worlds [2]*World, nets [2]*ways, a, b *guest) {
	t.Helper()
	var guests [2]*guest
	for r := range guests {
		nets[r] = &ways{went: map[channel.Kind][]Way{}}
		worlds[r] = NewWorld(smallConfig(2), nets[r])
		guests[r] = begun(t, worlds[r], r, arenaBytes)
	}
	a, b = guests[0], guests[1]
	nets[0].full = true
	for i := range bytes {
		a.mem[sbuf+i] = byte(i * 7)
	}
	b.call("MPI_Irecv", rbuf, bytes, tByte, 0, 1, abi.CommWorld, 64)
	a.call("MPI_Isend", sbuf, bytes, tByte, 1, 1, abi.CommWorld, 64)
	nets[0].deliver(worlds[1]) // RTS
	nets[1].deliver(worlds[0]) // CTS
	return worlds, nets, a, b
}

// TestBulkHoldsUpNoTalk: pieces of long messages for which there is no room, or whose window is full, hold up no other messages, and each frame goes its way.
func TestBulkHoldsUpNoTalk(t *testing.T) {
	const bytes = 30_000 // more than the window
	worlds, nets, a, b := bulky(t, bytes)
	c := a.p.pair(1)
	for i, full := range []bool{true, false} { // no room, no window
		if nets[0].full = full; !full {
			worlds[0].Room()
			require.True(t, c.Full(channel.Bulk))
			nets[0].frames = nil // they are lost
		}
		require.Equal(t, 1, c.data.Len())
		require.False(t, c.Full(channel.Talk))
		a.setInts(sbuf-4, 77+i)
		a.call("MPI_Send", sbuf-4, 1, tInt, 1, 2, abi.CommWorld)
		nets[0].deliver(worlds[1])
		b.call("MPI_Recv", rbuf-4, 1, tInt, 0, 2, abi.CommWorld, 0)
		require.Equal(t, 77+i, b.int(rbuf-4))
	}
	worlds[0].Reconnect(1)
	for trips := 0; a.p.pair(1).data.Len()+a.p.pair(1).Unacked() > 0; trips++ {
		require.Less(t, trips, 1000)
		nets[0].deliver(worlds[1])
		nets[1].deliver(worlds[0])
	}
	b.call("MPI_Wait", 64, 0)
	require.Equal(t, a.mem[sbuf:sbuf+bytes], b.mem[rbuf:rbuf+bytes])
	require.Equal(t, map[channel.Kind][]Way{channel.Eager: {OrderedWay}, channel.RTS: {OrderedWay}, channel.Data: {BulkWay}, channel.Attach: {OrderedWay}}, nets[0].went)
	require.Equal(t, []Way{UrgentWay}, nets[1].went[channel.Ack])
}

// TestBulkIsExchanged: pieces that are on their way when the two ranks come into one World arrive there, and what is behind them, whichever of the two has moved.
func TestBulkIsExchanged(t *testing.T) {
	for _, bytes := range []int{3000, 30_000} { // all on their way, or some
		for moves := range 2 {
			worlds, nets, a, b := bulky(t, bytes)
			nets[0].full = false
			worlds[0].Room()
			require.NotEmpty(t, nets[0].frames)
			nets[0].frames = nets[0].frames[:len(nets[0].frames)/2] // of which some come
			nets[0].deliver(worlds[1])
			g := []*guest{a, b}[moves]
			state, err := worlds[moves].Capture(Rank(moves))
			require.NoError(t, err)
			worlds[moves].Remove(Rank(moves))
			g.p, err = worlds[1-moves].RestoreRank(Rank(moves), 2, g.mem, state)
			require.NoError(t, err)
			b.call("MPI_Wait", 64, 0)
			a.call("MPI_Wait", 64, 0)
			require.Equal(t, a.mem[sbuf:sbuf+bytes], b.mem[rbuf:rbuf+bytes])
			require.NotNil(t, a.p.pair(1).near(), "nothing is left")
		}
	}
}

// TestBulkOfARankThatEnds: what waits for room is not delivered yet; when the peer is nowhere any more it is let go.
func TestBulkOfARankThatEnds(t *testing.T) {
	worlds, _, a, _ := bulky(t, 3000)
	c := a.p.pair(1)
	require.Zero(t, c.Unacked())
	require.Equal(t, 1, c.undelivered())
	worlds[0].PeerEnded(1)
	require.Zero(t, c.undelivered())
}

// TestBulkInState: a captured rank keeps what waits for room, and a state in which it waits among other things is damaged.
func TestBulkInState(t *testing.T) {
	worlds, _, a, _ := bulky(t, 3000)
	state, err := worlds[0].Capture(0)
	require.NoError(t, err)
	p, err := NewWorld(smallConfig(2), sink{}).Decode(0, make(arena, arenaBytes), state)
	require.NoError(t, err)
	require.Equal(t, 1, p.pair(1).data.Len())
	c := a.p.pair(1)
	c.pending.Push(c.data.Pop())
	_, err = NewWorld(smallConfig(2), sink{}).Decode(0, make(arena, arenaBytes), a.p.encodeLocked())
	require.ErrorIs(t, err, ErrState)
	it := c.pending.Pop()
	it.kind = itemSend
	c.data.Push(it)
	_, err = NewWorld(smallConfig(2), sink{}).Decode(0, make(arena, arenaBytes), a.p.encodeLocked())
	require.ErrorIs(t, err, ErrState)
}
