package wasm

import (
	"reflect"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestEngineStack: this version of wazero has what the guests' call stacks are set by. Without, they are the engine's own, and nobody counts them.
func TestEngineStack(t *testing.T) {
	guest, err := compile(t, "shallow").New(t.Context(), GuestConfig{Args: []string{"deep", "1", "1"}})
	require.NoError(t, err)
	defer guest.Close(t.Context()) //nolint:errcheck // a test's
	fields := stackFieldsOf(reflect.TypeOf(guest.start))
	require.True(t, fields.ok)
	e := fields.in(guest.start)
	require.Len(t, *e.stack, 10240)
	require.NotZero(t, *e.top)
	require.NotNil(t, *e.bottom)
	guest.stack.enter(guest.start)
	require.Len(t, *e.stack, stackBytes)
	require.Zero(t, *e.top%16)
	guest.stack.leave()
}

// TestCallStacksGiveWay: running guests may have all that is left for their calls, and the same of it; when memory is wanted they give back what they have not taken, and get it again when there is some.
func TestCallStacksGiveWay(t *testing.T) {
	const mib = 1 << 20
	b := newBudget(100 * mib)
	one, ok := newCallStack(b)
	require.True(t, ok)
	other, ok := newCallStack(b)
	require.True(t, ok)
	one.begin()
	require.EqualValues(t, stackBytes, one.may)
	require.Zero(t, one.short())
	other.begin()
	require.InDelta(t, 50*mib, one.may, mib)
	require.InDelta(t, 50*mib, other.may, mib)
	require.Equal(t, one.may, one.short())
	require.LessOrEqual(t, b.inUse(), uint64(100*mib))

	one.bytes[len(one.bytes)-10*mib] = 1
	require.True(t, b.take(60*mib), "what the calls have not taken is for others")
	require.Greater(t, one.may, uint64(10*mib+stackSlack))
	require.Greater(t, other.may, uint64(10*mib), "each gives a part")
	require.True(t, b.take(28*mib))
	require.InDelta(t, 10*mib, one.may, mib)
	require.InDelta(t, stackLeast, other.may, mib)
	require.False(t, b.take(10*mib), "what they have taken is not")
	b.give(28 * mib)
	require.LessOrEqual(t, b.inUse(), uint64(100*mib))
	b.give(60 * mib)
	require.Greater(t, other.may, uint64(40*mib), "there is more again")

	one.end()
	require.EqualValues(t, stackLeast, one.may)
	require.EqualValues(t, stackBytes, other.may)
	require.Zero(t, one.touched())
	other.end()
	require.EqualValues(t, 2*stackLeast, b.inUse())
	require.NoError(t, one.release())
	require.NoError(t, other.release())
	require.NoError(t, other.release())
	require.Zero(t, b.inUse())
}
