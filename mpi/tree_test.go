package mpi

import (
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/godwit-run/godwit/mpi/abi"
)

// inTree runs f on the ranks of a World, each to its end.
func inTree(t *testing.T, size int, f func(g *guest)) {
	t.Helper()
	w := NewWorld(DefaultConfig(size), noNetwork{})
	var all []*guest
	for r := range size {
		all = append(all, begun(t, w, r, arenaBytes))
	}
	var ranks sync.WaitGroup
	for _, g := range all {
		ranks.Go(func() {
			f(g)
			g.call("MPI_Finalize")
			_ = g.p.Drain() // who is waited for hears of it
		})
	}
	ranks.Wait()
}

// TestTreesFailAsOne: where a rank takes no part in a gather or scatter that goes along a tree, or gives another number of bytes, those fail that do not get
// what they are to, and what the root would gather in is as it was.
func TestTreesFailAsOne(t *testing.T) {
	const size, in, out = 8, 4096, 8192
	for name, c := range map[string]struct {
		call    string
		counts  func(rank int) (given, taken int) // given less than 0: the rank ends
		refused []int                             // these ranks
	}{
		"gather, one ends":              {"MPI_Gather", func(rank int) (int, int) { return pick(rank == 7, -1, 1), 1 }, []int{6, 4, 0}},
		"gather of nothing, one ends":   {"MPI_Gather", func(rank int) (int, int) { return pick(rank == 7, -1, 0), 0 }, []int{6, 4, 0}},
		"gather, one has nothing":       {"MPI_Gather", func(rank int) (int, int) { return pick(rank == 5, 0, 1), 1 }, []int{4, 0}},
		"scatter of nothing, root ends": {"MPI_Scatter", func(rank int) (int, int) { return pick(rank == 0, -1, 0), 0 }, []int{1, 2, 3, 4, 5, 6, 7}},
		"gather, one gives more":        {"MPI_Gather", func(rank int) (int, int) { return pick(rank == 5, 3, 2), 2 }, []int{4, 0}},
		"gather, one gives less":        {"MPI_Gather", func(rank int) (int, int) { return pick(rank == 6, 1, 2), 2 }, []int{6, 4, 0}},
		"gather, a leaf gives less":     {"MPI_Gather", func(rank int) (int, int) { return pick(rank == 3, 1, 2), 2 }, []int{2, 0}},
		"scatter, root gives less":      {"MPI_Scatter", func(rank int) (int, int) { return 1, pick(rank == 0, 1, 2) }, []int{1, 2, 3, 4, 5, 6, 7}},
		"scatter, one takes less":       {"MPI_Scatter", func(rank int) (int, int) { return 2, pick(rank == 4, 1, 2) }, []int{4, 5, 6, 7}},
	} {
		t.Run(name, func(t *testing.T) {
			var mu sync.Mutex
			codes := map[int]bool{}
			inTree(t, size, func(g *guest) {
				g.call("MPI_Comm_set_errhandler", abi.CommWorld, abi.ErrorsReturn)
				given, taken := c.counts(g.rank)
				for i := range 2 * size {
					g.setInts(in+4*i, 100*g.rank+i)
					g.setInts(out+4*i, -1)
				}
				g.call("MPI_Barrier", abi.CommWorld)
				if given < 0 {
					return
				}
				code := g.call(c.call, in, given, tInt, out, taken, tInt, 0, abi.CommWorld)
				mu.Lock()
				defer mu.Unlock()
				if codes[g.rank] = code != abi.Success; codes[g.rank] && c.call == "MPI_Gather" {
					for _, v := range g.ints(out, 2*size) {
						require.Equal(t, -1, v, "rank %d", g.rank)
					}
				}
			})
			for rank := range size {
				failed := false
				for _, r := range c.refused {
					failed = failed || r == rank
				}
				require.Equal(t, failed, codes[rank], "rank %d", rank)
			}
		})
	}
}

// TestRootGivesLess: where the root takes more of each than it gives itself, what is behind its own part stays.
func TestRootGivesLess(t *testing.T) {
	inTree(t, 4, func(g *guest) {
		g.setInts(4096, 7, 7, 7, 7)
		g.setInts(8192, -1, -1, -1, -1, -1, -1, -1, -1)
		g.call("MPI_Allreduce", 4096, 16384, 4, tInt, abi.OpSum, abi.CommWorld) // leaves its sums in memory that is used again
		g.call("MPI_Gather", 4096, pick(g.rank == 0, 1, 2), tInt, 8192, 2, tInt, 0, abi.CommWorld)
		if g.rank == 0 {
			require.Equal(t, []int{7, -1, 7, 7, 7, 7, 7, 7}, g.ints(8192, 8))
		}
	})
}

// TestTreesNeedNoRoom: a gather or scatter along a tree needs no memory beyond what calls may always have.
func TestTreesNeedNoRoom(t *testing.T) {
	inTree(t, 4, func(g *guest) {
		g.p.kept = g.p.w.cfg.MaxMemory
		for _, n := range []int{4 << 10, 8 << 10, 9 << 10, 16 << 10} {
			require.EqualValues(t, abi.Success, g.call("MPI_Gather", 4096, n, tByte, 131072, n, tByte, 1, abi.CommWorld))
			require.EqualValues(t, abi.Success, g.call("MPI_Scatter", 131072, n, tByte, 4096, n, tByte, 2, abi.CommWorld))
		}
		copy(g.mem[64:], "external32\x00")
		g.setInts(96, 0)
		require.EqualValues(t, abi.Success, g.call("MPI_Pack_external", 64, 4096, 100<<10/4, tInt, 131072, 110<<10, 96))
		g.setInts(96, 0)
		require.EqualValues(t, abi.Success, g.call("MPI_Unpack_external", 64, 131072, 110<<10, 96, 4096, 100<<10/4, tInt))
	})
}

// TestTreeIsCaptured: a rank that is frozen in the midst of a gather knows afterwards that a shorter message says that something is missing.
func TestTreeIsCaptured(t *testing.T) {
	w := NewWorld(DefaultConfig(4), noNetwork{})
	var all []*guest
	for r := range 4 {
		all = append(all, begun(t, w, r, arenaBytes))
	}
	g := all[2]
	g.call("MPI_Igather", 4096, 1, tInt, 8192, 1, tInt, 0, abi.CommWorld, 64) // rank 3's part is missing
	state, err := w.Capture(2)
	require.NoError(t, err)
	p, err := NewWorld(DefaultConfig(4), sink{}).RestoreRank(2, 2, g.mem, state)
	require.NoError(t, err)
	require.Len(t, p.active, 1)
	rounds := p.active[0].coll.rounds
	require.Len(t, rounds, 3)
	require.True(t, rounds[1].Whole())
	require.True(t, rounds[2].Whole())
}

// TestShortTransfersNeedNoRequest: what a collective sends to a neighbour at once has none.
func TestShortTransfersNeedNoRequest(t *testing.T) {
	inTree(t, 2, func(g *guest) {
		g.call("MPI_Barrier", abi.CommWorld) // they have had to do with each other
		g.p.mu.Lock()
		g.p.requests, g.p.freeList = nil, nil
		g.p.mu.Unlock()
		for range 100 {
			g.call("MPI_Barrier", abi.CommWorld)
		}
		require.LessOrEqual(t, len(g.p.requests), 2, "the collective, and what it receives")
	})
}
