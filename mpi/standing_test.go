package mpi

import (
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/godwit-run/godwit/mpi/abi"
)

// stuck says whether two looks at all ranks, one after the other, show that none of them will ever go on.
func stuck(w *World) bool {
	look := func() (all []Standing, ok bool) {
		sent, received := uint64(0), uint64(0)
		for r := range w.cfg.Size {
			s := w.Standing(Rank(r))
			if !s.Waits {
				return nil, false
			}
			all, sent, received = append(all, s), sent+s.Sent, received+s.Received
		}
		return all, sent == received
	}
	first, ok := look()
	if !ok {
		return false
	}
	second, ok := look()
	return ok && slices.Equal(first, second)
}

// TestStanding: ranks that wait for each other for good are found out, and ranks that only wait for a moment are not, however often it is looked.
func TestStanding(t *testing.T) {
	const size, rounds = 3, 300
	w, guests := localGuests(t, smallConfig(size))
	var done atomic.Int32
	var wg sync.WaitGroup
	for r, g := range guests {
		wg.Go(func() {
			err := g.run(func(g *guest) {
				g.call("MPI_Init", 0, 0)
				next, before := (r+1)%size, (r+size-1)%size
				for i := range rounds {
					n := 1 + i%7*2000 // some are long
					if r == 0 {
						g.call("MPI_Send", 64, n, tInt, next, 0, abi.CommWorld)
						g.call("MPI_Recv", 64, n, tInt, before, 0, abi.CommWorld, 0)
					} else {
						g.call("MPI_Recv", 64, n, tInt, before, 0, abi.CommWorld, 0)
						g.call("MPI_Send", 64, n, tInt, next, 0, abi.CommWorld)
					}
				}
				done.Add(1)
				g.call("MPI_Recv", 64, 1, tInt, before, 1, abi.CommWorld, 0)
			})
			require.Error(t, err)
		})
	}
	for !stuck(w) {
		runtime.Gosched()
	}
	require.EqualValues(t, size, done.Load(), "none has more to do")
	for _, g := range guests {
		g.p.Cancel(errPeer)
	}
	waitFor(t, &wg, func() string { return inspectAll(w) })
}
