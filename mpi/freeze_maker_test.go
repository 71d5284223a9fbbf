package mpi

import (
	"github.com/stretchr/testify/require"

	"github.com/godwit-run/godwit/mpi/abi"
)

// sum adds up over a communicator, which shows that its members are the same to all.
func (x *ice) sum(comm, want int) {
	x.setInts(sbuf, 1<<x.rank)
	x.call("MPI_Allreduce", sbuf, rbuf, 1, tInt, abi.OpSum, comm)
	require.Equal(x.t, want, x.int(rbuf))
}

// everyone is what sum gives over all three ranks.
const everyone = 7

// makes is a row of a call that makes a communicator of the ranks that sum to want, at 64.
func makes(name string, want int, f func(x *ice)) frozenRow {
	return frozenRow{name: name, all: func(x *ice) {
		f(x)
		x.sum(x.int(64), want)
		x.call("MPI_Comm_free", 64)
	}}
}

func frozenComms() []frozenRow {
	// The group has the ranks backwards: the first one, who decides, is not the one that is frozen.
	group := func(x *ice) int {
		x.call("MPI_Comm_group", abi.CommWorld, 64)
		x.setInts(128, 2, 1, 0)
		x.call("MPI_Group_incl", x.int(64), 3, 128, 68)
		return x.int(68)
	}
	text := func(x *ice) int {
		copy(x.mem[512:], "tag\x00")
		return 512
	}
	rows := []frozenRow{
		makes("MPI_Comm_dup", everyone, func(x *ice) {
			x.meet()
			x.call("MPI_Comm_dup", abi.CommWorld, 64)
		}),
		makes("MPI_Comm_dup_with_info", everyone, func(x *ice) {
			x.meet()
			x.call("MPI_Comm_dup_with_info", abi.CommWorld, abi.InfoNull, 64)
		}),
		makes("MPI_Comm_split", everyone, func(x *ice) {
			x.meet()
			x.call("MPI_Comm_split", abi.CommWorld, 1, -x.rank, 64)
			x.call("MPI_Comm_rank", x.int(64), 68)
			require.Equal(x.t, 2-x.rank, x.int(68))
		}),
		makes("MPI_Comm_split_type", everyone, func(x *ice) {
			x.meet()
			x.call("MPI_Comm_split_type", abi.CommWorld, abi.SplitShared, 0, abi.InfoNull, 64)
		}),
		makes("MPI_Comm_create", everyone, func(x *ice) {
			g := group(x)
			x.meet()
			x.call("MPI_Comm_create", abi.CommWorld, g, 64)
		}),
		makes("MPI_Comm_create_group", everyone, func(x *ice) {
			g := group(x)
			x.meet()
			x.call("MPI_Comm_create_group", abi.CommWorld, g, 3, 64)
		}),
		makes("MPI_Comm_create_from_group", everyone, func(x *ice) {
			g := group(x)
			x.meet()
			x.call("MPI_Comm_create_from_group", g, text(x), abi.InfoNull, abi.ErrorsAreFatal, 64)
		}),
	}
	idup := makes("MPI_Comm_idup", everyone, func(x *ice) {
		x.meet()
		x.call("MPI_Comm_idup", abi.CommWorld, 64, 68)
		x.call("MPI_Wait", 68, 0)
	})
	idup.call = "MPI_Wait"
	return append(rows, idup)
}

// inter makes an intercommunicator of ranks 0 and 2 with rank 1, at 72.
func (x *ice) inter(before func()) {
	x.call("MPI_Comm_split", abi.CommWorld, x.rank%2, 0, 64)
	before()
	x.call("MPI_Intercomm_create", x.int(64), 0, abi.CommWorld, 1-x.rank%2, 5, 72)
	x.call("MPI_Comm_free", 64)
}

func frozenInters() []frozenRow {
	// merged checks an intercommunicator by merging it.
	merged := func(x *ice) {
		x.call("MPI_Intercomm_merge", x.int(72), 1-x.rank%2, 64)
		x.call("MPI_Comm_rank", x.int(64), 68)
		require.Equal(x.t, []int{1, 0, 2}[x.rank], x.int(68)) // rank 1 is the low group
		x.call("MPI_Comm_free", 72)
	}
	of := func(name string, f func(x *ice)) frozenRow {
		return makes(name, everyone, func(x *ice) {
			x.inter(func() {})
			f(x)
			merged(x)
		})
	}
	return []frozenRow{
		makes("MPI_Intercomm_create", everyone, func(x *ice) {
			x.inter(x.meet)
			merged(x)
		}),
		makes("MPI_Intercomm_create_from_groups", everyone, func(x *ice) {
			x.call("MPI_Comm_group", abi.CommWorld, 64)
			x.setInts(128, 2, 0, 1) // the first group backwards
			x.call("MPI_Group_incl", x.int(64), 2, 128, 128+32)
			x.call("MPI_Group_incl", x.int(64), 1, 136, 128+36)
			copy(x.mem[512:], "tag\x00")
			local, remote := x.int(128+32), x.int(128+36)
			if x.rank == 1 {
				local, remote = remote, local
			}
			x.meet()
			x.call("MPI_Intercomm_create_from_groups", local, 0, remote, 0, 512, abi.InfoNull, abi.ErrorsAreFatal, 72)
			x.call("MPI_Intercomm_merge", x.int(72), 1-x.rank%2, 64)
			x.call("MPI_Comm_free", 72)
		}),
		of("MPI_Intercomm_merge", func(x *ice) {
			x.meet()
			x.call("MPI_Intercomm_merge", x.int(72), 0, 64)
			x.sum(x.int(64), everyone)
			x.call("MPI_Comm_free", 64)
		}),
		of("MPI_Barrier", func(x *ice) {
			x.meet()
			x.call("MPI_Barrier", x.int(72))
		}),
		of("MPI_Comm_dup", func(x *ice) {
			x.meet()
			x.call("MPI_Comm_dup", x.int(72), 76)
			x.call("MPI_Comm_free", 72)
			x.setInts(72, x.int(76))
		}),
		of("MPI_Comm_split", func(x *ice) {
			x.meet()
			x.call("MPI_Comm_split", x.int(72), 0, x.rank, 76)
			x.call("MPI_Comm_free", 72)
			x.setInts(72, x.int(76))
		}),
		of("MPI_Allreduce", func(x *ice) { // each group gets the other's sum
			x.meet()
			x.sum(x.int(72), pick(x.rank == 1, 5, 2))
		}),
	}
}

func frozenTopologies() []frozenRow {
	grid := func(x *ice) {
		x.setInts(128, 3, 1)
		x.setInts(144, 1, 1)
		x.call("MPI_Cart_create", abi.CommWorld, 2, 128, 144, 0, 64)
	}
	return []frozenRow{
		makes("MPI_Cart_create", everyone, func(x *ice) {
			x.meet()
			grid(x)
		}),
		makes("MPI_Cart_sub", everyone, func(x *ice) {
			grid(x)
			x.setInts(128, 1, 0)
			x.meet()
			x.call("MPI_Cart_sub", x.int(64), 128, 68)
			x.call("MPI_Comm_free", 64)
			x.setInts(64, x.int(68))
		}),
		makes("MPI_Graph_create", everyone, func(x *ice) {
			x.setInts(128, 1, 2, 2)
			x.setInts(144, 1, 0)
			x.meet()
			x.call("MPI_Graph_create", abi.CommWorld, 3, 128, 144, 0, 64)
		}),
		makes("MPI_Dist_graph_create_adjacent", everyone, func(x *ice) {
			x.setInts(128, (x.rank+2)%3)
			x.setInts(144, (x.rank+1)%3)
			x.meet()
			x.call("MPI_Dist_graph_create_adjacent", abi.CommWorld, 1, 128, abi.Unweighted, 1, 144, abi.Unweighted, abi.InfoNull, 0, 64)
		}),
		makes("MPI_Dist_graph_create", everyone, func(x *ice) { // every rank lists its neighbour's edges
			next := (x.rank + 1) % 3
			x.setInts(128, next)
			x.setInts(144, x.rank) // of them
			x.setInts(160, 0, 1)
			x.meet()
			x.call("MPI_Dist_graph_create", abi.CommWorld, 1, 128, 144, 160, abi.Unweighted, abi.InfoNull, 0, 64)
			x.call("MPI_Dist_graph_neighbors_count", x.int(64), 68, 72, 76)
			out := (x.rank + 2) % 3
			require.Equal(x.t, []int{[]int{2, 1, 0}[x.rank], out}, x.ints(68, 2))
		}),
	}
}
