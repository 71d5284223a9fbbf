package mpi

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/godwit-run/godwit/mpi/abi"
)

// vicinity is what a rank's neighbourhood is: where its messages come from, and how many it sends.
type vicinity struct {
	in  []arrival
	out int
}

// arrival is a message that a rank receives: from which of the sender's parts. Nothing arrives from MPI_PROC_NULL.
type arrival struct{ rank, part int }

// gridVicinity is the neighbourhood in a grid: what a rank sends down arrives from above, also where both neighbours are the
// same rank (MPI 5.0 section 8.6, example 8.10).
func gridVicinity(me int, dims []int, periods []bool) vicinity {
	at, rest := make([]int, len(dims)), me
	for i := len(dims) - 1; i >= 0; i-- {
		at[i], rest = rest%dims[i], rest/dims[i]
	}
	var m vicinity
	for d := range dims {
		for side, step := range []int{-1, 1} {
			x, r := at[d]+step, 0
			if periods[d] {
				x = (x + dims[d]) % dims[d]
			}
			for i := range dims {
				r = r*dims[i] + pick(i == d, x, at[i])
			}
			if x < 0 || x >= dims[d] {
				r = abi.ProcNull
			}
			m.in = append(m.in, arrival{r, 2*d + 1 - side})
		}
	}
	m.out = 2 * len(dims)
	return m
}

// Neighbourhood collectives in grids of 1, 2 and 3 ranks a dimension, with ends or without (MPI 5.0 section 8.6).
func TestGridNeighbors(t *testing.T) {
	s := seed(t)
	for _, dims := range [][]int{{}, {1}, {2}, {3}, {1, 1}, {1, 2}, {2, 2}, {3, 1}, {2, 3}, {1, 2, 3}} {
		size := 1
		for _, d := range dims {
			size *= d
		}
		for ends := range 1 << len(dims) {
			periods := make([]bool, len(dims))
			for i := range periods {
				periods[i] = ends>>i&1 == 0
			}
			t.Run(fmt.Sprint(dims, periods), func(t *testing.T) {
				run1(t, size, func(g *guest) {
					x := newDriller(t, g, s, nil)
					for i, p := range periods {
						g.setInts(drillA+4*i, dims[i])
						g.setInts(drillB+4*i, truth(p))
					}
					g.call("MPI_Cart_create", abi.CommWorld, len(dims), drillA, drillB, 0, drillReq)
					x.meet(g.int(drillReq), func(me int) vicinity { return gridVicinity(me, dims, periods) })
				})
			})
		}
	}
}

// Neighbourhood collectives in graphs whose edges may be there several times, and lead to oneself (MPI 5.0 section 8.6): of
// several edges between two ranks the first meets the first.
func TestGraphNeighbors(t *testing.T) {
	s := seed(t)
	for size := 1; size <= 5; size++ {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			run1(t, size, func(g *guest) {
				x := newDriller(t, g, s, nil)
				for range 4 {
					in, out := make([][]int, size), make([][]int, size)
					for range x.rnd.IntN(3 * size) {
						a, b := x.rnd.IntN(size), x.rnd.IntN(size)
						in[b], out[a] = append(in[b], a), append(out[a], b)
					}
					for r := range size {
						x.rnd.Shuffle(len(in[r]), func(i, j int) { in[r][i], in[r][j] = in[r][j], in[r][i] })
						x.rnd.Shuffle(len(out[r]), func(i, j int) { out[r][i], out[r][j] = out[r][j], out[r][i] })
					}
					g.setInts(drillA, in[g.rank]...)
					g.setInts(drillB, out[g.rank]...)
					g.call("MPI_Dist_graph_create_adjacent", abi.CommWorld, len(in[g.rank]), drillA, abi.Unweighted, len(out[g.rank]), drillB,
						abi.Unweighted, abi.InfoNull, 0, drillReq)
					x.meet(g.int(drillReq), func(me int) vicinity { return edgeVicinity(me, in, out) })

					// A graph topology has every edge both ways.
					both, index, edges := make([][]int, size), []int{}, []int{}
					for a := range size {
						for _, b := range out[a] {
							both[a] = append(both[a], b)
							if a != b {
								both[b] = append(both[b], a)
							}
						}
					}
					for _, list := range both {
						edges = append(edges, list...)
						index = append(index, len(edges))
					}
					g.setInts(drillA, index...)
					g.setInts(4096, edges...)
					g.call("MPI_Graph_create", abi.CommWorld, size, drillA, 4096, 0, drillReq)
					x.meet(g.int(drillReq), func(me int) vicinity { return edgeVicinity(me, both, both) })
				}
			})
		})
	}
}

func edgeVicinity(me int, in, out [][]int) vicinity {
	m := vicinity{out: len(out[me])}
	seen := map[int]int{}
	for _, from := range in[me] {
		k := seen[from]
		seen[from]++
		for part, to := range out[from] {
			if to != me {
				continue
			}
			if k == 0 {
				m.in = append(m.in, arrival{from, part})
				break
			}
			k--
		}
	}
	return m
}

// meet makes all neighbourhood collectives in all forms.
func (x *driller) meet(comm int, of func(rank int) vicinity) {
	x.call("MPI_Comm_rank", comm, drillReq)
	require.Equal(x.t, x.rank, x.int(drillReq))
	for _, name := range []string{
		"Neighbor_allgather", "Neighbor_allgatherv", "Neighbor_alltoall", "Neighbor_alltoallv", "Neighbor_alltoallw",
	} {
		for form := range forms3 {
			for _, n := range []int{0, 1, 200} {
				d := x.draw(name, n)
				d.comm, d.me = comm, x.rank
				d.run(form, d.neighbors(of(d.me)))
			}
		}
	}
}

func (d *drill) neighbors(m vicinity) answer {
	gather := d.name == "Neighbor_allgather" || d.name == "Neighbor_allgatherv"
	counted := d.name != "Neighbor_allgather" && d.name != "Neighbor_alltoall"
	each := d.name == "Neighbor_alltoallw"
	parts := pick(gather, 1, m.out)
	count := func(from, part int) int {
		return pick(!counted, d.n, d.n*((from+part)%3))
	}
	out, in := make([]int, m.out+1), make([]int, len(m.in)+1) // where parts begin, in elements
	for i := range m.out {
		out[i+1] = out[i] + count(d.me, i)
		d.setCount(drillA, i, count(d.me, i))
		d.setInts(drillB+4*i, out[i]*pick(each, d.send.step, 1))
		d.setInts(drillC+4*i, d.send.typ)
	}
	for i, a := range m.in {
		n := count(max(a.rank, 0), pick(gather, 0, a.part))
		in[i+1] = in[i] + n
		d.setCount(drillD, i, n)
		d.setInts(drillE+4*i, in[i]*pick(each, d.recv.step, 1))
		d.setInts(drillF+4*i, d.recv.typ)
	}
	args := []int{sbuf, d.n, d.send.typ, rbuf, d.n, d.recv.typ, d.comm}
	switch d.name {
	case "Neighbor_allgatherv":
		args = []int{sbuf, count(d.me, 0), d.send.typ, rbuf, drillD, drillE, d.recv.typ, d.comm}
	case "Neighbor_alltoallv":
		args = []int{sbuf, drillA, drillB, d.send.typ, rbuf, drillD, drillE, d.recv.typ, d.comm}
	case "Neighbor_alltoallw":
		args = []int{sbuf, drillA, drillB, drillC, rbuf, drillD, drillE, drillF, d.comm}
	}
	return answer{
		args: args,
		fill: func() {
			d.blank(rbuf, in[len(m.in)]*d.recv.step)
			for i := range parts {
				d.put(sbuf+out[i]*d.send.step, d.send, d.items(d.me, i, count(d.me, i)))
			}
		},
		check: func() {
			for i, a := range m.in {
				n := in[i+1] - in[i]
				want := make([]int, n)
				for k := range want {
					want[k] = untouched
				}
				if a.rank != abi.ProcNull {
					want = d.items(a.rank, pick(gather, 0, a.part), n)
				}
				d.expect(rbuf+in[i]*d.recv.step, d.recv, want)
			}
		},
	}
}
