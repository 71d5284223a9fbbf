package fsm

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/timestamppb"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

// TestKeysAreKeptForAnHour: more than MinKeys are, while they are young.
func TestKeysAreKeptForAnHour(t *testing.T) {
	m := New()
	putMany := func(second int64, keys ...string) {
		entry := new(apiv1.Entry)
		for _, key := range keys {
			cmd := command(t, "init c1 key="+key)
			cmd.At = &timestamppb.Timestamp{Seconds: second}
			entry.Commands = append(entry.Commands, cmd)
		}
		_, err := applyEntry(m, m.View().Index()+1, entry)
		require.NoError(t, err)
	}
	put := func(key string, second int64) { putMany(second, key) }
	many := func(prefix string, n int) (keys []string) {
		for i := range n {
			keys = append(keys, fmt.Sprintf("%s%d", prefix, i))
		}
		return keys
	}
	known := func(key string) bool { _, ok := m.View().Key(key); return ok }
	put("first", 1000)
	put("second", 2000)
	putMany(4600, many("k", MinKeys)...)
	require.True(t, known("first"), "an hour old, not older")
	put("later", 4601)
	require.False(t, known("first"))
	require.True(t, known("second"))
	put("behind", 10)
	require.True(t, known("second"))
	require.Equal(t, m.View().Hash(), m.View().seal(m.ledger.settle(m.View())))
}

// TestKeysAreBounded: however young they are.
func TestKeysAreBounded(t *testing.T) {
	table, now := newKeyTable(), &timestamppb.Timestamp{Seconds: 5}
	for i := range MaxKeys + 2 {
		table = table.put(&apiv1.KeyRecord{Key: fmt.Sprint(i), At: now, Sequence: table.next})
		table, _, _ = table.forget(now)
	}
	require.Equal(t, MaxKeys, table.order.Len())
	require.Equal(t, MaxKeys, table.byKey.Len())
	_, ok := table.get("1")
	require.False(t, ok)
	_, ok = table.get("2")
	require.True(t, ok)
}

// TestFewKeysAreKept: however old they are.
func TestFewKeysAreKept(t *testing.T) {
	table, now := newKeyTable(), &timestamppb.Timestamp{Seconds: 100 * KeepSeconds}
	for i := range MinKeys + 1 {
		table = table.put(&apiv1.KeyRecord{Key: fmt.Sprint(i), At: &timestamppb.Timestamp{}, Sequence: table.next})
	}
	table, key, ok := table.forget(now)
	require.True(t, ok)
	require.Equal(t, "0", key)
	_, _, ok = table.forget(now)
	require.False(t, ok)
	require.Equal(t, MinKeys, table.order.Len())
}

// TestAnswer says beforehand what applying a used key would answer.
func TestAnswer(t *testing.T) {
	m := New()
	mustApply(t, m, "init c1", "module m", "submit a m 1 key=k")
	_, ok := m.View().Answer(command(t, "submit a m 1 key=other"))
	require.False(t, ok)
	result, ok := m.View().Answer(command(t, "submit another-id m 1 key=k"))
	require.True(t, ok)
	require.Equal(t, "a", result.GetId())
	for _, line := range []string{"submit a m 2 key=k", "stop a cancelled 0 key=k", "submit a m 1 key=k principal=somebody"} {
		result, ok = m.View().Answer(command(t, line))
		require.True(t, ok)
		require.Equal(t, string(CodeKeyReused), result.GetCode(), line)
		require.Equal(t, string(CodeKeyReused), mustApply(t, m, line)[0].GetCode(), line)
	}
}

func TestAppIDFor(t *testing.T) {
	require.Equal(t, AppIDFor("c1", "k"), AppIDFor("c1", "k"))
	require.Regexp(t, "^app-[0-9a-f]{12}$", AppIDFor("c1", "k"))
	require.NotEqual(t, AppIDFor("c1", "k"), AppIDFor("c2", "k"))
	require.NotEqual(t, AppIDFor("c1", "k"), AppIDFor("c", "1k"))
}
