package mpi

import (
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/godwit-run/godwit/mpi/abi"
)

// pause lets the guests run for a random while, without a clock.
func pause(rnd *rand.Rand) {
	for range rnd.IntN(300) {
		runtime.Gosched()
	}
}

// script is a program that a seed makes: all ranks draw the same steps. Its
// digests depend on every byte received, and on nothing that placement or time change.
type script struct {
	seed    uint64
	steps   int
	digests []uint64 // of each rank
}

func (s *script) run(g *guest) {
	rnd := rand.New(rand.NewPCG(s.seed, 7))
	h := fnv.New64a()
	g.call("MPI_Comm_dup", abi.CommWorld, 48)
	for step := range s.steps {
		n := [...]int{0, 1, 10, 120, 500, 2000, 7000}[rnd.IntN(7)]
		root, kind := rnd.IntN(g.size), rnd.IntN(9)
		for i := range n {
			g.setInts(sbuf+4*i, g.rank*31+i*7+step)
		}
		clear(g.mem[rbuf : rbuf+4*n])
		got := s.step(g, kind, step, n, root)
		h.Write(g.mem[rbuf : rbuf+4*got])
	}
	s.digests[g.rank] = h.Sum64()
}

// step does one exchange, and returns how many ints of rbuf hold its result.
func (s *script) step(g *guest, kind, step, n, root int) int {
	next, prev := (g.rank+1)%g.size, (g.rank+g.size-1)%g.size
	switch kind {
	case 0:
		g.call("MPI_Sendrecv", sbuf, n, tInt, next, step, rbuf, n, tInt, prev, step, abi.CommWorld, 0)
	case 1:
		g.call("MPI_Allreduce", sbuf, rbuf, n, tInt, abi.OpSum, g.int(48))
	case 2:
		g.call("MPI_Bcast", sbuf, n, tInt, root, abi.CommWorld)
		copy(g.mem[rbuf:], g.mem[sbuf:sbuf+4*n])
	case 3:
		n /= 10
		g.call("MPI_Alltoall", sbuf, n/g.size, tInt, rbuf, n/g.size, tInt, abi.CommWorld)
		return n / g.size * g.size
	case 4: // anybody's messages, added up: the order does not matter
		return s.collect(g, step, n, root)
	case 5: // many at once, both ways
		return s.flood(g, step, n/10, next, prev)
	case 6: // probe, and poll for the end
		g.call("MPI_Isend", sbuf, n, tInt, next, step, abi.CommWorld, 64)
		g.call("MPI_Probe", abi.AnySource, step, abi.CommWorld, 16)
		g.call("MPI_Get_count", 16, tInt, 8)
		if g.int(8) != n || g.int(16) != prev {
			panic(fmt.Sprintf("probed %d ints from %d, not %d from %d", g.int(8), g.int(16), n, prev))
		}
		g.call("MPI_Recv", rbuf, n, tInt, prev, step, abi.CommWorld, 16)
		for g.setInts(8, 0); g.int(8) == 0; {
			g.call("MPI_Test", 64, 8, 0)
		}
	case 7:
		g.call("MPI_Scan", sbuf, rbuf, n, tInt, abi.OpMax, g.int(48))
	case 8: // one way: the sender runs ahead as far as credit lets it
		for i := range 20 {
			if g.rank%2 == 0 && g.rank+1 < g.size {
				g.setInts(sbuf, i)
				g.call("MPI_Send", sbuf, min(n, 150), tInt, g.rank+1, step, abi.CommWorld)
			} else if g.rank%2 == 1 {
				g.call("MPI_Recv", rbuf, min(n, 150), tInt, g.rank-1, step, abi.CommWorld, 0)
				if n > 0 && g.int(rbuf) != i {
					panic("a message was lost, doubled or overtaken")
				}
			}
		}
	}
	return n
}

func (s *script) collect(g *guest, step, n, root int) int {
	if g.rank != root {
		g.call("MPI_Ssend", sbuf, n, tInt, root, step, abi.CommWorld)
		return n
	}
	sum := make([]int, n)
	for range g.size - 1 {
		g.call("MPI_Recv", rbuf, n, tInt, abi.AnySource, step, abi.CommWorld, 0)
		for i, v := range g.ints(rbuf, n) {
			sum[i] += v
		}
	}
	g.setInts(rbuf, sum...)
	return n
}

func (s *script) flood(g *guest, step, n, next, prev int) int {
	const k, reqs = 10, 256
	for i := range k {
		g.call("MPI_Irecv", rbuf+4*n*i, n, tInt, prev, step*100+i, abi.CommWorld, reqs+4*i)
	}
	for i := range k {
		g.call("MPI_Isend", sbuf+4*i, n, tInt, next, step*100+k-1-i, abi.CommWorld, reqs+4*(k+i))
	}
	g.call("MPI_Waitall", 2*k, reqs, 0)
	return n * k
}

// expect runs the script where nothing happens to it.
func (s *script) expect(t *testing.T, size int) []uint64 {
	s.digests = make([]uint64, size)
	run1(t, size, s.run)
	want := s.digests
	s.digests = make([]uint64, size)
	return want
}

// The source of a migration may keep its captured copy until after the target
// has told everybody: removing it must tell again.
func TestLateRemove(t *testing.T) {
	s := &script{seed: seed(t), steps: 60}
	want := s.expect(t, 3)
	runCluster(t, smallConfig(3), 2, s.run, func(c *cluster, guests []*guest, _ <-chan struct{}) {
		c.move(guests[2], 1, true, true)
	})
	require.Equal(t, want, s.digests)
}

// Worlds joined by links give what one World gives.
func TestRemote(t *testing.T) {
	s := &script{seed: seed(t), steps: 60}
	for _, worlds := range []int{2, 5} {
		want := s.expect(t, 5)
		runCluster(t, smallConfig(5), worlds, s.run, calm)
		require.Equal(t, want, s.digests)
	}
}

// Exactly once and in order, whatever connections lose (DESIGN.md section 8).
func TestReconnect(t *testing.T) {
	first := seed(t)
	for i := range uint64(5) {
		s := &script{seed: first + i, steps: 60}
		want := s.expect(t, 5)
		runCluster(t, smallConfig(5), 3, s.run, breaker(rand.New(rand.NewPCG(first, i))))
		require.Equal(t, want, s.digests)
	}
}

// Migration is invisible: random moves, aborted moves and broken links change nothing.
func TestMigration(t *testing.T) {
	first := seed(t)
	moves := 0
	for i := range uint64(12) {
		size := 2 + int(i%5)
		s := &script{seed: first + i, steps: 80}
		want := s.expect(t, size)
		runCluster(t, smallConfig(size), 3, s.run, wanderer(rand.New(rand.NewPCG(first, i)), &moves))
		require.Equal(t, want, s.digests, "seed %d", first+i)
	}
	t.Logf("%d moves", moves)
	require.Positive(t, moves)
}
