package mpi

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/godwit-run/godwit/mpi/abi"
)

// byHand is a Network whose frames the test delivers.
type byHand struct{ frames [][]byte }

func (n *byHand) Send(_ Rank, head, payload []byte, way Way) {
	at := len(n.frames)
	if way == UrgentWay {
		at = 0
	}
	n.frames = slices.Insert(n.frames, at, slices.Concat(head, payload))
}

func (n *byHand) Room(Rank, bool) bool { return true }

func (*byHand) Poll(func(bool) Look) bool { return false }
func (*byHand) Wake()                     {}

// deliver brings all that is under way to a World.
func (n *byHand) deliver(w *World) {
	frames := n.frames
	n.frames = nil
	for _, f := range frames {
		w.Receive(f)
	}
}

// A persistent send that went eagerly before, goes by rendezvous now (the credit is used up), and whose cancellation fails, is
// not over before its data has left (MPI 5.0 section 3.8.4).
func TestCancelRestarted(t *testing.T) {
	var nets [2]byHand
	var worlds [2]*World
	var guests [2]*guest
	for r := range guests {
		worlds[r] = NewWorld(smallConfig(2), &nets[r])
		g := newGuest(r, 2, callsByName())
		g.mem = make(arena, 1<<20)
		var err error
		g.p, err = worlds[r].AddRank(Rank(r), 1, g.mem)
		require.NoError(t, err)
		g.call("MPI_Init", 0, 0)
		guests[r] = g
	}
	flow := func() {
		for len(nets[0].frames)+len(nets[1].frames) > 0 {
			nets[0].deliver(worlds[1])
			nets[1].deliver(worlds[0])
		}
	}
	a, b := guests[0], guests[1]
	a.fill(sbuf, 100)
	a.call("MPI_Send_init", sbuf, 100, tInt, 1, 7, abi.CommWorld, 64)
	a.call("MPI_Start", 64) // eager
	a.call("MPI_Wait", 64, 0)
	flow()
	for range 40 {
		a.call("MPI_Isend", sbuf, 100, tInt, 1, 8, abi.CommWorld, 68)
		flow()
	}
	b.call("MPI_Recv", rbuf, 100, tInt, 0, 7, abi.CommWorld, 0)
	a.call("MPI_Start", 64) // an envelope alone
	flow()
	b.call("MPI_Irecv", rbuf, 100, tInt, 0, 7, abi.CommWorld, 64) // matches: CTS is under way
	require.True(t, b.p.request(uint32(b.int(64)-baseRequest)).matched)
	a.call("MPI_Cancel", 64)
	nets[0].deliver(worlds[1]) // behind the match
	nets[1].deliver(worlds[0]) // CTS, and that the cancellation has failed
	a.call("MPI_Test", 64, 72, 0)
	require.Equal(t, 0, a.int(72), "the data is still to be taken from the buffer")
	flow()
	a.call("MPI_Test", 64, 72, 0)
	require.Equal(t, 1, a.int(72))
	b.call("MPI_Wait", 64, 0)
	require.Equal(t, contribution(0, 100), b.ints(rbuf, 100))
}
