// Package fsm is the replicated state of a cluster: hosts, apps, migrations and
// modules, and what each command of the Raft log does to them. It is pure: the
// same log gives the same state, the same results and the same hash everywhere.
package fsm

import (
	"fmt"
	"slices"
	"sync/atomic"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

// Machine applies log entries. Apply and Restore are for one caller at a time;
// View and Feed are for any number of concurrent ones.
type Machine struct {
	view atomic.Pointer[View]
	feed *Feed
	// ledger is for Apply and Restore only.
	ledger *ledger
	knows  uint32
}

// New returns a machine with the empty state, at index 0, that knows FeatureLevel.
func New() *Machine { return NewKnowing(FeatureLevel) }

// NewKnowing is New of a build whose highest feature level is another: tests run builds beside each other with it.
func NewKnowing(level uint32) *Machine {
	v := newView()
	m := &Machine{feed: newFeed(&v), knows: level}
	m.ledger = newLedger(&v)
	m.view.Store(&v)
	return m
}

// View returns the state as it is now. It does not block.
func (m *Machine) View() *View { return m.view.Load() }

// Knows is the highest feature level that this machine applies: an entry or a snapshot beyond it is an ErrVersion.
func (m *Machine) Knows() uint32 { return m.knows }

// Feed tells what each entry changes.
func (m *Machine) Feed() *Feed { return m.feed }

// Apply applies the entry that Encode made, found in the log at this index and
// of this term, and returns one result a command, in order. Indexes must grow.
// An error means that this replica cannot go on (an entry it cannot decode, a
// command it does not know): nothing of the entry was applied, and the caller
// must stop the process. A command that would break a promise of the state is
// refused, the same way on every replica, and raises an alarm.
func (m *Machine) Apply(index, term uint64, data []byte) ([]*apiv1.Result, error) {
	entry, err := decode(data)
	if err != nil {
		return nil, applyError(index, err)
	}
	tx := &tx{View: *m.View(), entryIndex: index, entryTerm: term, ledger: m.ledger, change: Change{Index: index}}
	if index <= tx.index {
		return nil, applyError(index, fmt.Errorf("the state is at index %d: %w", tx.index, ErrOrder))
	}
	if err := checkKnown(entry, m.knows); err != nil {
		return nil, applyError(index, err)
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
	if m.ledger.full() {
		m.ledger.settle(&tx.View)
	}
	v := tx.View
	m.view.Store(&v)
	m.feed.publish(tx.change.compact(), &v)
	return results, nil
}

// checkKnown finds what this build does not know before any of it is applied.
func checkKnown(entry *apiv1.Entry, knows uint32) error {
	for _, cmd := range entry.GetCommands() {
		if cmd.GetOp() == nil {
			return ErrUnknownCommand
		}
		if level := cmd.GetSetFeatureLevel().GetLevel(); level > knows {
			return fmt.Errorf("feature level %d, this godwit knows %d: %w", level, knows, ErrVersion)
		}
	}
	return nil
}

// compact makes each name stand once, in order.
func (c *Change) compact() Change {
	return Change{
		Index: c.Index, Apps: distinct(c.Apps), Hosts: distinct(c.Hosts),
		Migrations: distinct(c.Migrations), Checkpoints: distinct(c.Checkpoints), Modules: distinct(c.Modules), Cluster: c.Cluster,
	}
}

func distinct[T ~string](ids []T) []T {
	slices.Sort(ids)
	return slices.Compact(ids)
}
