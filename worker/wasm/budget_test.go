package wasm

import (
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
)

// Who wants memory that was lent for stacks waits until it is known how much of it they take. Nobody waits where that makes no difference.
func TestBudgetLent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBudget(10)
		require.EqualValues(t, 10, b.lend(100), "one alone has all that is left")
		require.False(t, b.take(11), "no stack makes room for that")

		took, lent := false, uint64(0)
		go func() { took = b.take(6) }()
		synctest.Wait()
		require.False(t, took)
		b.keep(3)
		synctest.Wait()
		require.False(t, took, "the stack is not in its place yet")
		b.repay(7)
		synctest.Wait()
		require.True(t, took)
		require.EqualValues(t, 9, b.inUse())

		require.EqualValues(t, 1, b.lend(5))
		go func() { lent = b.lend(5) }()
		synctest.Wait()
		require.Zero(t, lent)
		b.repay(1)
		synctest.Wait()
		require.EqualValues(t, 1, lent)
		go func() { took = b.take(2) }() // not even without the stack
		synctest.Wait()
		require.False(t, took)
		b.repay(1)

		wide := newBudget(0)
		require.EqualValues(t, stackMost, wide.lend(1<<40))
		require.EqualValues(t, 7, wide.lend(7), "there is room for all")
		require.True(t, wide.take(1<<40))
	})
}
