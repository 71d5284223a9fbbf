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

// Alarms iterates over the last alarms, oldest first: each says that a command
// broke a promise of the state and was refused for it.
func (v *View) Alarms() iter.Seq[*apiv1.Alarm] { return slices.Values(v.alarms) }
