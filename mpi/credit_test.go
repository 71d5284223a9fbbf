package mpi

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/godwit-run/godwit/mpi/abi"
)

// TestCredit: the more ranks there are the less does each channel hold of messages that nobody has received, down to a least; and it goes on when they are received.
func TestCredit(t *testing.T) {
	for size, want := range map[int]int{1: 2 << 20, 32: 2 << 20, 64: 1 << 20, 512: 128 << 10, 1 << 20: 128 << 10} {
		cfg := DefaultConfig(size)
		require.Equal(t, want, cfg.CreditBytes, "%d ranks", size)
		require.NoError(t, cfg.Validate())
	}
	const n = 300
	cfg := smallConfig(2)
	cfg.CreditBytes = 2 << 10
	sent := make(chan struct{})
	for r, err := range runLocal(t, cfg, func(g *guest) {
		if g.rank == 0 {
			for i := range n {
				g.call("MPI_Isend", sbuf, 100, tByte, 1, i, abi.CommWorld, 8192+4*i)
			}
			close(sent)
			g.call("MPI_Waitall", n, 8192, 0)
			return
		}
		<-sent
		g.call("MPI_Iprobe", 0, 0, abi.CommWorld, 64, 0)
		held := 0
		for _, m := range g.p.unexpected {
			held += len(m.own)
		}
		require.Len(t, g.p.unexpected, n)
		require.LessOrEqual(t, held, 2<<10)
		for i := range n {
			g.call("MPI_Recv", rbuf, 100, tByte, 0, i, abi.CommWorld, 0)
		}
		require.False(t, g.p.pair(0).Due())
	}) {
		require.NoError(t, err, "rank %d", r)
	}
}
