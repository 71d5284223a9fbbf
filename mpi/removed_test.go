package mpi

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/godwit-run/godwit/mpi/abi"
	"github.com/godwit-run/godwit/mpi/channel"
	"github.com/godwit-run/godwit/mpi/layout"
)

// fragile is memory that is gone when its guest is closed.
type fragile struct {
	arena
	gone bool
}

func (f *fragile) Bytes() []byte {
	if f.gone {
		panic("memory is used after its guest has ended")
	}
	return f.arena
}

// deaf is a network that loses all.
type deaf struct{}

func (deaf) Send(Rank, []byte, []byte, Way) {}
func (deaf) Room(Rank, bool) bool           { return true }
func (deaf) Poll(func(bool) Look) bool      { return false }
func (deaf) Wake()                          {}

// TestNobodyUsesWhatIsRemoved: what was on its way to or from a rank when it is removed touches its memory no more, whoever comes across it.
func TestNobodyUsesWhatIsRemoved(t *testing.T) {
	w := NewWorld(smallConfig(2), deaf{})
	mems := [2]*fragile{{arena: make(arena, arenaBytes)}, {arena: make(arena, arenaBytes)}}
	var guests [2]*guest
	for r := range guests {
		g := newGuest(r, 2, callsByName())
		g.mem = mems[r].arena
		var err error
		g.p, err = w.AddRank(Rank(r), 1, mems[r])
		require.NoError(t, err)
		g.call("MPI_Init", 0, 0)
		guests[r] = g
	}
	a, b := guests[0], guests[1]
	const n = 20 << 10 // bytes: many chunks
	a.call("MPI_Irecv", rbuf, n, tByte, 1, 1, abi.CommWorld, 64)
	a.call("MPI_Irecv", rbuf, n, tByte, 1, 2, abi.CommWorld, 68)
	b.call("MPI_Irecv", rbuf, n, tByte, 0, 1, abi.CommWorld, 64)
	b.call("MPI_Irecv", rbuf, 1, tByte, 0, 3, abi.CommWorld, 68)

	// Rank 1's messages to rank 0: one waits to be copied, one to be taken. One of rank 0's is in its inbox.
	b.p.mu.Lock()
	for tag := range int32(2) {
		_, err := b.p.startSend(b.p.world, 0, 0, tag+1, layout.Span{Off: sbuf, Len: n}, modeStandard, true)
		require.NoError(t, err)
	}
	b.p.urge = nil
	b.p.mu.Unlock()
	a.p.mu.Lock()
	a.p.drain()
	_, err := a.p.startSend(a.p.world, 0, 1, 1, layout.Span{Off: sbuf, Len: n}, modeStandard, true)
	require.NoError(t, err)
	a.p.urge = nil
	a.p.mu.Unlock()

	b.p.Cancel(errPeer)
	w.Remove(1)
	mems[1].gone = true
	b.p.in.put(0, &channel.Packet{Kind: channel.Eager, Tag: 3, Length: 1, Payload: []byte{1}}, nil) // by who was about to when it was removed
	b.p.serve()
	b.p.Freeze()
	a.call("MPI_Test", 64, 96, 0)
	a.call("MPI_Test", 68, 96, 0)
	require.Zero(t, a.int(96))
}
