package mpi

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/godwit-run/godwit/mpi/abi"
)

// TestHeard: messages are counted by their length, once, whichever way they come: at once, as unexpected ones, by pieces, in collectives.
func TestHeard(t *testing.T) {
	const large = 1 << 17
	run1(t, 3, func(g *guest) {
		ints := func(n, peer, tag int) []int { return []int{sbuf, n, tInt, peer, tag, abi.CommWorld} }
		if g.rank == 1 {
			for range 10 {
				g.call("MPI_Send", ints(2, 0, 1)...)
			}
			g.call("MPI_Send", ints(1, 0, 3)...)
			g.call("MPI_Send", ints(large/4, 0, 2)...)
		}
		if g.rank == 0 {
			g.call("MPI_Recv", rbuf, 1, tInt, 1, 3, abi.CommWorld, 0) // the others wait for it
			for range 10 {
				g.call("MPI_Recv", rbuf, 2, tInt, 1, 1, abi.CommWorld, 0)
			}
			g.call("MPI_Recv", rbuf, large/4, tInt, 1, 2, abi.CommWorld, 0)
			g.p.lock()
			require.EqualValues(t, 10*8+large+4, g.p.pairs[1].heard)
			g.p.release()
			told := g.p.w.Traffic(0, 10)
			require.Len(t, told, 1)
			require.Equal(t, Rank(1), told[0].From)
			require.Positive(t, told[0].BytesPerSecond)
			require.Positive(t, g.p.w.MemoryBytes(0))
		}
		g.call("MPI_Bcast", sbuf, 25, tInt, 2, abi.CommWorld)
		g.call("MPI_Barrier", abi.CommWorld)
		if g.rank != 2 {
			require.NotEmpty(t, g.p.w.Traffic(Rank(g.rank), 10))
		}
	})
}

// TestHeardOfLate: what is told is of the last one or two windows, and of the peers from which most comes.
func TestHeardOfLate(t *testing.T) {
	run1(t, 4, func(g *guest) {
		if g.rank != 0 {
			return
		}
		w, p := g.p.w, g.p
		p.lock()
		for peer := range 4 {
			p.pair(Rank(peer)).heard = uint64(1000 * peer)
		}
		now := w.now()
		p.hearings[0] = hearing{at: now - 40*time.Second, bytes: []uint64{0, 1000, 0, 0}}
		p.hearings[1] = hearing{at: now - 20*time.Second, bytes: []uint64{0, 1000, 1000, 1000}}
		p.release()
		told := w.Traffic(0, 10)
		require.Len(t, told, 2, "of rank 1 nothing has come since")
		require.InDelta(t, 50, told[0].BytesPerSecond, 1)
		require.InDelta(t, 75, told[1].BytesPerSecond, 1)
		require.Equal(t, []Rank{3}, []Rank{w.Traffic(0, 1)[0].From})
		p.lock()
		p.hearings[1].at = now - 31*time.Second
		p.release()
		told = w.Traffic(0, 10)
		require.InDelta(t, 1000.0/31, told[0].BytesPerSecond, 1, "the window before the last has gone")
		require.Nil(t, w.Traffic(9, 1))
	})
}
