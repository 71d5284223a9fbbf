package wasm

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestBudget: memories that share a budget grow to no more together, and what one had is the others' when it is released.
func TestBudget(t *testing.T) {
	b := &budget{limit: 10 * pageSize}
	one, err := newMemory(100*pageSize, b)
	require.NoError(t, err)
	other, err := newMemory(100*pageSize, b)
	require.NoError(t, err)
	require.NotNil(t, one.Reallocate(6*pageSize))
	require.Nil(t, other.Reallocate(5*pageSize))
	require.Empty(t, other.Bytes())
	require.NotNil(t, other.Reallocate(4*pageSize))
	require.Nil(t, one.Reallocate(7*pageSize))
	require.NotNil(t, one.Reallocate(6*pageSize))
	require.NoError(t, one.release())
	require.NoError(t, one.release())
	require.NotNil(t, other.Reallocate(10*pageSize))
	require.NoError(t, other.release())
	require.Zero(t, b.taken.Load())
}
