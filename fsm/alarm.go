package fsm

import (
	"iter"
	"slices"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

// raise notes that a command broke a promise of the state. Alarms are part of
// the state: a replica that alone raises one differs from the others, and the
// next comparison of hashes finds it.
func (t *tx) raise(err *InvariantError) {
	alarm := &apiv1.Alarm{Index: t.entryIndex, What: err.What, At: t.at}
	kept := t.alarms[max(0, len(t.alarms)+1-MaxAlarms):]
	t.alarms = append(slices.Clip(kept), alarm)
	t.change.Cluster = true
}

// NewAlarmed makes a Machine whose state is empty but for the alarms: for tests of
// those who show them, since no command is known that raises one.
func NewAlarmed(alarms ...*apiv1.Alarm) *Machine {
	m := New()
	v := newView()
	v.alarms = alarms
	m.view.Store(&v)
	m.ledger = newLedger(m.View())
	return m
}

// clearAlarms forgets the alarms of entries up to an index.
func (t *tx) clearAlarms(op *apiv1.ClearAlarms) outcome {
	later := slices.DeleteFunc(slices.Clone(t.alarms), func(a *apiv1.Alarm) bool { return a.GetIndex() <= op.GetIndex() })
	if len(later) < len(t.alarms) {
		t.alarms, t.touched.cluster = later, true
	}
	return applied("")
}

// Alarms iterates over the last alarms, oldest first: each says that a command
// broke a promise of the state and was refused for it.
func (v *View) Alarms() iter.Seq[*apiv1.Alarm] { return slices.Values(v.alarms) }
