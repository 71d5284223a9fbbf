package fsm

import (
	"bufio"
	"bytes"
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// breakHost makes the machine's books wrong, as a defect or a flipped bit would:
// the next command that touches the host finds out.
func breakHost(m *Machine, id HostID) {
	v := *m.View()
	old, _ := v.Host(id)
	host := clone(old)
	host.Used = 0
	v.hosts, _, _ = v.hosts.Insert([]byte(id), host)
	m.view.Store(&v)
	m.ledger = newLedger(&v)
}

// TestBrokenInvariantIsRefused: the command is undone, the others of its entry
// stand, and the replica lives.
func TestBrokenInvariantIsRefused(t *testing.T) {
	m := New()
	mustApply(t, m, "init c1", "module m migratable", "host h1 4 n1 i1", "host h2 4 n2 i1", "submit a m 1", "place a h1", "started a h1 1")
	breakHost(m, "h1")
	before, _ := m.View().App("a")
	results := mustApply(t, m, "submit b m 1", "ended a h1 0@1=0", "place b h2")
	require.Equal(t, []string{"", string(CodeBroken), ""}, []string{results[0].GetCode(), results[1].GetCode(), results[2].GetCode()})
	require.Contains(t, results[1].GetReason(), "used slots")
	after, _ := m.View().App("a")
	require.Same(t, before, after, "nothing of the command is left")
	b, _ := m.View().App("b")
	require.Equal(t, Starting, PhaseOf(b))

	alarms := slices.Collect(m.View().Alarms())
	require.Len(t, alarms, 1)
	require.EqualValues(t, 2, alarms[0].GetIndex())
	require.Contains(t, alarms[0].GetWhat(), "h1")

	hash := m.View().Hash()
	for range MaxAlarms + 3 {
		mustApply(t, m, "ended a h1 0@1=0")
	}
	alarms = slices.Collect(m.View().Alarms())
	require.Len(t, alarms, MaxAlarms)
	require.Equal(t, m.View().Index(), alarms[MaxAlarms-1].GetIndex())
	require.NotEqual(t, hash, m.View().Hash(), "alarms are part of the state")

	// They stay until somebody clears them; what came later stays.
	old := m.View()
	third := alarms[2].GetIndex()
	results = mustApply(t, m, fmt.Sprintf("unalarm %d", third), fmt.Sprintf("unalarm %d", third))
	require.Empty(t, results[0].GetCode())
	require.Empty(t, results[1].GetCode(), "again is no change")
	require.Len(t, slices.Collect(m.View().Alarms()), MaxAlarms-3)
	require.Len(t, slices.Collect(old.Alarms()), MaxAlarms, "an old view is as it was")
	mustApply(t, m, fmt.Sprintf("unalarm %d", m.View().Index()))
	require.Empty(t, slices.Collect(m.View().Alarms()))
}

func TestAlarmsOutliveASnapshot(t *testing.T) {
	tx := &tx{View: newView(), entryIndex: 3}
	tx.raise(&InvariantError{What: "two and two are five"})
	tx.index = 3
	m := New()
	m.view.Store(&tx.View)
	m.ledger = newLedger(m.View())
	requireSound(t, m)
	var snap bytes.Buffer
	_, err := m.View().WriteTo(&snap)
	require.NoError(t, err)
	again, err := readSnapshot(bufio.NewReader(&snap), FeatureLevel)
	require.NoError(t, err)
	require.Len(t, slices.Collect(again.Alarms()), 1)
}
