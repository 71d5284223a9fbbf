package mpi

import (
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"
)

// TestCells: a cell is two cache lines, and a short payload is in the first. What senders write, and what the receiver does, share none.
func TestCells(t *testing.T) {
	require.EqualValues(t, 128, unsafe.Sizeof(cell{}))
	require.LessOrEqual(t, unsafe.Offsetof(cell{}.inline)+8, uintptr(64))
	p, err := NewWorld(DefaultConfig(1), noNetwork{}).AddRank(0, 1, make(arena, arenaBytes))
	require.NoError(t, err)
	require.Zero(t, uintptr(unsafe.Pointer(&p.in.cells[0]))%64)
	var in inbox
	require.GreaterOrEqual(t, unsafe.Offsetof(in.mu), unsafe.Offsetof(in.spilt)+64)
	require.GreaterOrEqual(t, unsafe.Offsetof(in.head), unsafe.Offsetof(in.over)+64)
	require.GreaterOrEqual(t, unsafe.Sizeof(in), unsafe.Offsetof(in.spare)+64)
}
