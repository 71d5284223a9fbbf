package fifo

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// A queue does as a plain list does, whatever is done to it.
func TestQueue(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	var q Queue[int]
	var model []int
	for i := range 20_000 {
		switch n := rnd.IntN(10); {
		case n < 5:
			q.Push(i)
			model = append(model, i)
		case n < 9 && len(model) > 0:
			require.Equal(t, model[0], q.Pop())
			model = model[1:]
		case len(model) > 0:
			v := model[rnd.IntN(len(model))]
			q.Remove(func(x int) bool { return x == v })
			model = slices.DeleteFunc(slices.Clone(model), func(x int) bool { return x == v })
		}
		require.Equal(t, len(model), q.Len())
		if len(model) > 0 {
			k := rnd.IntN(len(model))
			require.Equal(t, model[k], *q.At(k))
		}
	}
	q.Remove(func(int) bool { return false })
	require.Equal(t, len(model), q.Len())
}

// Memory of what has been taken is used again.
func TestQueueKeepsItsMemory(t *testing.T) {
	var q Queue[int]
	for i := range 100 {
		q.Push(i)
	}
	require.Zero(t, testing.AllocsPerRun(1000, func() {
		q.Push(q.Pop())
	}))
}
