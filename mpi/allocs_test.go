package mpi

import (
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/godwit-run/godwit/mpi/abi"
)

// TestNoAllocations: in steady state messages and collectives within a host make no garbage. Go's collector stops the process, and waits for a rank
// that computes.
func TestNoAllocations(t *testing.T) {
	const rounds, few = 2000, 200 // of other goroutines, and of memory that grows once
	type invoke func(name string, a words)
	for name, f := range map[string]func(rank uint64, call invoke){
		"8 bytes": func(rank uint64, call invoke) {
			if rank == 0 {
				call("MPI_Send", words{64, 8, tByte, 1, 0, abi.CommWorld})
			}
			call("MPI_Recv", words{64, 8, tByte, 1 - rank, 0, abi.CommWorld, 0})
			if rank == 1 {
				call("MPI_Send", words{64, 8, tByte, 0, 0, abi.CommWorld})
			}
		},
		"4 KiB, unexpected": func(rank uint64, call invoke) {
			call("MPI_Send", words{64, 4096, tByte, 1 - rank, 0, abi.CommWorld})
			call("MPI_Barrier", words{abi.CommWorld})
			call("MPI_Recv", words{8192, 4096, tByte, 1 - rank, 0, abi.CommWorld, 0})
		},
		"100 KiB": func(rank uint64, call invoke) {
			call("MPI_Sendrecv", words{0x10000, 100 << 10, tByte, 1 - rank, 0, 0x40000, 100 << 10, tByte, 1 - rank, 0, abi.CommWorld, 0})
		},
		"nonblocking": func(rank uint64, call invoke) {
			for i := range uint64(8) {
				call("MPI_Irecv", words{8192 + 1024*i, 512, tByte, 1 - rank, i, abi.CommWorld, 64 + 4*i})
				call("MPI_Isend", words{32768 + 1024*i, 512, tByte, 1 - rank, i, abi.CommWorld, 128 + 4*i})
			}
			call("MPI_Waitall", words{8, 64, 0})
			call("MPI_Waitall", words{8, 128, 0})
		},
		"collectives": func(_ uint64, call invoke) {
			call("MPI_Barrier", words{abi.CommWorld})
			call("MPI_Bcast", words{64, 8, tByte, 1, abi.CommWorld})
			call("MPI_Allreduce", words{64, 128, 1, tDouble, abi.OpSum, abi.CommWorld})
			call("MPI_Allgather", words{64, 1, tDouble, 128, 1, tDouble, abi.CommWorld})
			call("MPI_Alltoall", words{64, 1, tDouble, 128, 1, tDouble, abi.CommWorld})
			call("MPI_Allreduce", words{4096, 8192, 256, tDouble, abi.OpSum, abi.CommWorld}) // by messages
			call("MPI_Reduce", words{64, 128, 1, tDouble, abi.OpSum, 0, abi.CommWorld})
		},
	} {
		t.Run(name, func(t *testing.T) {
			var before, after runtime.MemStats
			errs := runLocal(t, DefaultConfig(2), func(g *guest) {
				var params words
				call := func(name string, a words) {
					params = a // whose memory does not escape
					if _, err := g.p.Invoke(g.calls[name], params[:len(g.calls[name].Params)]); err != nil {
						panic(abortPanic{err})
					}
				}
				round := func() { f(uint64(g.rank), call) }
				for range 100 {
					round()
				}
				call("MPI_Barrier", words{abi.CommWorld})
				if g.rank == 0 {
					runtime.ReadMemStats(&before)
				}
				for range rounds {
					round()
				}
				call("MPI_Barrier", words{abi.CommWorld})
				if g.rank == 0 {
					runtime.ReadMemStats(&after)
				}
			})
			for _, err := range errs {
				require.NoError(t, err)
			}
			require.Less(t, after.Mallocs-before.Mallocs, uint64(few))
		})
	}
}
