package mpi

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/godwit-run/godwit/mpi/abi"
	"github.com/godwit-run/godwit/mpi/layout"
)

// words are parameters of a call, with room to spare.
type words = [16]uint64

// benchPair runs f on two ranks of one World.
func benchPair(b *testing.B, f func(g *guest, call func(name string, a words))) {
	errs := runLocal(b, DefaultConfig(2), func(g *guest) {
		var params words
		f(g, func(name string, a words) {
			params = a // whose memory does not escape
			if _, err := g.p.Invoke(g.calls[name], params[:len(g.calls[name].Params)]); err != nil {
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
			benchPair(b, func(g *guest, call func(name string, a words)) {
				peer := uint64(1 - g.rank)
				for range b.N {
					if g.rank == 0 {
						call("MPI_Send", words{64, bytes, tByte, peer, 0, abi.CommWorld})
					}
					call("MPI_Recv", words{64, bytes, tByte, peer, 0, abi.CommWorld, 0})
					if g.rank == 1 {
						call("MPI_Send", words{64, bytes, tByte, peer, 0, abi.CommWorld})
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
			g.call("MPI_Allreduce", sbuf, rbuf, 1, tDouble, abi.OpSum, abi.CommWorld)
		}
	})
	for _, err := range errs {
		require.NoError(b, err)
	}
}

// A message of 8 bytes from a rank to itself: what the library takes, without the way to another processor.
func BenchmarkSelf(b *testing.B) {
	errs := runLocal(b, DefaultConfig(1), func(g *guest) {
		send, recv := g.calls["MPI_Send"], g.calls["MPI_Recv"]
		var params words
		for range b.N {
			params = words{64, 8, tByte, 0, 0, abi.CommWorld}
			if _, err := g.p.Invoke(send, params[:6]); err != nil {
				panic(abortPanic{err})
			}
			params = words{64, 8, tByte, 0, 0, abi.CommWorld, 0}
			if _, err := g.p.Invoke(recv, params[:7]); err != nil {
				panic(abortPanic{err})
			}
		}
	})
	for _, err := range errs {
		require.NoError(b, err)
	}
}

// Windows of 64 nonblocking messages of 8 bytes from one rank to another; a round is a message.
func BenchmarkRate(b *testing.B) {
	const window = 64
	b.ReportAllocs()
	benchPair(b, func(g *guest, call func(name string, a words)) {
		for n := 0; n < b.N; n += window {
			for i := range uint64(window) {
				if g.rank == 0 {
					call("MPI_Isend", words{4096, 8, tByte, 1, 0, abi.CommWorld, 64 + 4*i})
				} else {
					call("MPI_Irecv", words{8192 + 8*i, 8, tByte, 0, 0, abi.CommWorld, 64 + 4*i})
				}
			}
			call("MPI_Waitall", words{window, 64, 0})
			if g.rank == 0 {
				call("MPI_Recv", words{64, 4, tByte, 1, 1, abi.CommWorld, 0})
			} else {
				call("MPI_Send", words{64, 4, tByte, 0, 1, abi.CommWorld})
			}
		}
	})
}

// A barrier of four local ranks, more than there may be processors.
func BenchmarkBarrier(b *testing.B) {
	b.ReportAllocs()
	errs := runLocal(b, DefaultConfig(4), func(g *guest) {
		barrier := g.calls["MPI_Barrier"]
		params := [1]uint64{abi.CommWorld}
		for range b.N {
			if _, err := g.p.Invoke(barrier, params[:]); err != nil {
				panic(abortPanic{err})
			}
		}
	})
	for _, err := range errs {
		require.NoError(b, err)
	}
}

// A square block of doubles, laid down in columns of a larger matrix.
func BenchmarkColumns(b *testing.B) {
	for _, n := range []int64{64, 256, 1024} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			double := layout.Predefined()[tDouble]
			column := must(b, layout.Contents{Combiner: abi.CombinerVector, Ints: []int64{n, 1, 2 * n}, Types: []*layout.Type{double}})
			next := must(b, layout.Contents{Combiner: abi.CombinerResized, Addrs: []int64{0, 8}, Types: []*layout.Type{column}})
			all := must(b, layout.Contents{Combiner: abi.CombinerContiguous, Ints: []int64{n}, Types: []*layout.Type{next}})
			mem, buf := make([]byte, 2*n*n*8), make([]byte, n*n*8)
			b.SetBytes(n * n * 8)
			for b.Loop() {
				all.UnpackAt(mem, 0, buf)
			}
		})
	}
}

func must(b *testing.B, c layout.Contents) *layout.Type {
	b.Helper()
	t, err := layout.Build(c)
	require.NoError(b, err)
	return t
}
