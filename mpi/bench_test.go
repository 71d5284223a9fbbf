package mpi

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

// benchPair runs f on two ranks of one World.
func benchPair(b *testing.B, f func(g *guest, call func(name string, a ...uint64))) {
	errs := runLocal(b, DefaultConfig(2), func(g *guest) {
		f(g, func(name string, a ...uint64) {
			if _, err := g.p.Invoke(g.calls[name], a); err != nil {
				panic(abortPanic{err})
			}
		})
	})
	for _, err := range errs {
		require.NoError(b, err)
	}
}

// A round trip of 8 bytes between two local ranks.
func BenchmarkPingPong(b *testing.B) {
	for _, bytes := range []uint64{8, 4096, 256 << 10} {
		b.Run(fmt.Sprint(bytes), func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(2 * int64(bytes))
			benchPair(b, func(g *guest, call func(name string, a ...uint64)) {
				peer := uint64(1 - g.rank)
				for range b.N {
					if g.rank == 0 {
						call("MPI_Send", 64, bytes, tByte, peer, 0, commWorld)
					}
					call("MPI_Recv", 64, bytes, tByte, peer, 0, commWorld, 0)
					if g.rank == 1 {
						call("MPI_Send", 64, bytes, tByte, peer, 0, commWorld)
					}
				}
			})
		})
	}
}

// An allreduce of one double between eight local ranks.
func BenchmarkAllreduce(b *testing.B) {
	errs := runLocal(b, DefaultConfig(8), func(g *guest) {
		for range b.N {
			g.call("MPI_Allreduce", sbuf, rbuf, 1, tDouble, opSum, commWorld)
		}
	})
	for _, err := range errs {
		require.NoError(b, err)
	}
}
