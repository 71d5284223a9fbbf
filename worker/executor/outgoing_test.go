package executor

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"
)

// frames are those of a message, which is freed.
func frames(t *testing.T, m *batch) (all []string) {
	t.Helper()
	defer m.out.Free()
	require.NoError(t, unpack(m.out.Materialize(), func(f []byte) { all = append(all, string(f)) }))
	return all
}

// TestOutgoingOrder: frames leave in order, many in a message, but urgent ones before all others; whatever their sizes.
func TestOutgoingOrder(t *testing.T) {
	var o outgoing
	long := bytes.Repeat([]byte("x"), largePiece-100)
	o.put([]byte("a"), []byte("1"), false)
	o.put([]byte("b"), long, false)
	o.put([]byte("c"), nil, false)
	o.put([]byte("u"), nil, true)
	o.put([]byte("v"), nil, true)
	require.Equal(t, 5*4+6+len(long), o.bytes)
	var got []string
	for m, _ := o.take(); m != nil; m, _ = o.take() {
		got = append(got, frames(t, m)...)
	}
	require.Equal(t, []string{"u", "v", "a1", "b" + string(long), "c"}, got)
	require.Zero(t, o.bytes)
	require.Zero(t, o.waiting)
}

// TestOutgoingRoom: who was refused is told once, when half of the budget has left; urgent frames are never refused.
func TestOutgoingRoom(t *testing.T) {
	var o outgoing
	frame := make([]byte, 100<<10)
	for o.room() {
		o.put(nil, frame, false)
	}
	require.Less(t, o.waiting, outgoingBudget+2*len(frame))
	o.put([]byte("u"), nil, true)
	told := 0
	for m, again := o.take(); m != nil; m, again = o.take() {
		m.out.Free()
		if again {
			told++
			require.LessOrEqual(t, o.waiting, outgoingBudget/2)
		}
	}
	require.Equal(t, 1, told)
	require.True(t, o.room())
	o.put(nil, frame, false)
	_, again := o.take()
	require.False(t, again)
}

// TestOutgoingMakesNoGarbage: in steady state a frame on its way needs no memory but what gRPC's own buffers do.
func TestOutgoingMakesNoGarbage(t *testing.T) {
	var o outgoing
	for name, payload := range map[string][]byte{"short": make([]byte, 8), "long": make([]byte, 256<<10)} {
		per := testing.AllocsPerRun(1000, func() {
			for range 4 {
				o.put(make([]byte, 76), payload, false)
			}
			for m, _ := o.take(); m != nil; m, _ = o.take() {
				m.out.Free()
			}
		})
		require.Less(t, per, 16.0, name) // the message and its slice, four times at the most; a pool may lose some under the race detector
	}
}
