// Package fsm is the replicated state of a cluster: hosts, apps, migrations and
// modules, and what each command of the Raft log does to them. It is pure: the
// same log gives the same state, the same results and the same hash everywhere.
package fsm

import (
	"sync"
	"sync/atomic"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

// Machine applies log entries. Apply and Restore are for one caller at a time;
// View and Watch are for any number of concurrent ones.
type Machine struct {
	view atomic.Pointer[View]

	mu      sync.Mutex // guards changed
	changed chan struct{}
}

// New returns a machine with the empty state, at index 0.
func New() *Machine {
	m := &Machine{changed: make(chan struct{})}
	v := newView()
	m.view.Store(&v)
	return m
}

// View returns the state as it is now. It does not block.
func (m *Machine) View() *View { return m.view.Load() }

// Watch returns a channel that is closed when the next entry is applied or a
// snapshot restored. Take the channel first, then read the View, then wait: no
// change is missed. It does not block.
func (m *Machine) Watch() <-chan struct{} {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.changed
}

// publish makes v the state that readers see, then wakes the watchers.
func (m *Machine) publish(v *View) {
	m.view.Store(v)
	m.mu.Lock()
	defer m.mu.Unlock()
	close(m.changed)
	m.changed = make(chan struct{})
}

// Apply applies the entry that Encode made, found at the log index given, and
// returns one result a command, in order. Indexes must grow. An error means that
// this replica cannot go on (an entry it cannot decode, a command it does not
// know, a hash that differs, a broken invariant): nothing of the entry was
// applied, and the caller must stop the process.
func (m *Machine) Apply(index uint64, data []byte) ([]*apiv1.Result, error) {
	entry, err := decode(data)
	if err != nil {
		return nil, applyError(index, err)
	}
	tx := &tx{View: *m.View(), entryIndex: index}
	if index <= tx.index {
		return nil, applyError(index, &InvariantError{What: "log index does not grow"})
	}
	results := make([]*apiv1.Result, 0, len(entry.GetCommands()))
	for _, cmd := range entry.GetCommands() {
		result, err := tx.apply(cmd)
		if err != nil {
			return nil, applyError(index, err)
		}
		results = append(results, result)
	}
	tx.index = index
	v := tx.View
	m.publish(&v)
	return results, nil
}
