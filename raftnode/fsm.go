package raftnode

import (
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/hashicorp/raft"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

// Machine is the replicated state machine as NewFSM needs it. Raft calls its methods from one goroutine.
type Machine interface {
	// Apply applies the committed entry at index, which the leader of term appended. It returns one result a command, refusals included; an error means that
	// this replica cannot go on. It must neither keep nor change data.
	Apply(index, term uint64, data []byte) ([]*apiv1.Result, error)
	// Snapshot freezes the state and returns what writes it. Snapshot must be quick: nothing is applied meanwhile. WriteTo
	// runs while further entries are applied.
	Snapshot() (io.WriterTo, error)
	// Restore replaces the whole state by what a snapshot wrote.
	Restore(r io.Reader) error
}

// NewFSM adapts m to Raft. The response of an Apply is []*apiv1.Result, or the error that stops the Node it is given to.
func NewFSM(m Machine) raft.FSM { return &machineFSM{m} }

type machineFSM struct{ machine Machine }

func (f *machineFSM) Apply(entry *raft.Log) any {
	results, err := f.machine.Apply(entry.Index, entry.Term, entry.Data)
	if err != nil {
		return err
	}
	return results
}

func (f *machineFSM) Snapshot() (raft.FSMSnapshot, error) {
	view, err := f.machine.Snapshot()
	if err != nil {
		return nil, err
	}
	return machineSnapshot{view}, nil
}

func (f *machineFSM) Restore(r io.ReadCloser) error {
	err := f.machine.Restore(r)
	return errors.Join(err, r.Close())
}

type machineSnapshot struct{ view io.WriterTo }

// Persist writes to sink and closes it, or cancels it, so that a snapshot is whole or absent.
func (s machineSnapshot) Persist(sink raft.SnapshotSink) error {
	if _, err := s.view.WriteTo(sink); err != nil {
		return errors.Join(err, sink.Cancel())
	}
	return sink.Close()
}

func (s machineSnapshot) Release() {}

// guardFSM stops the node at the first entry that cannot be applied. Later entries are not applied either, and no snapshot is
// taken, so that what is on disk stays true.
type guardFSM struct {
	raft.FSM
	where   string // the data directory, for the error.
	onFatal func(error)

	// mu guards failed.
	mu     sync.Mutex
	failed error
}

func (g *guardFSM) err() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.failed
}

// fail keeps the first error and reports it.
func (g *guardFSM) fail(err error) error {
	g.mu.Lock()
	first := g.failed == nil
	if first {
		g.failed = err
	}
	err = g.failed
	g.mu.Unlock()
	if first {
		g.onFatal(err)
	}
	return err
}

func (g *guardFSM) Apply(entry *raft.Log) any {
	if err := g.err(); err != nil {
		return err
	}
	response := g.FSM.Apply(entry)
	if err, ok := response.(error); ok {
		if errors.Is(err, ErrNewer) {
			return g.fail(newer(g.where, fmt.Sprintf("entry %d", entry.Index), err))
		}
		return g.fail(fmt.Errorf("%w: %w", ErrFatal, damaged(g.where, fmt.Errorf("entry %d: %w", entry.Index, err))))
	}
	return response
}

func (g *guardFSM) Snapshot() (raft.FSMSnapshot, error) {
	if err := g.err(); err != nil {
		return nil, err
	}
	return g.FSM.Snapshot()
}

func (g *guardFSM) Restore(r io.ReadCloser) error {
	if err := g.err(); err != nil {
		return errors.Join(err, r.Close())
	}
	err := g.FSM.Restore(r)
	if errors.Is(err, ErrNewer) { // Raft would try an older one, and say of all of them that they could not be loaded
		return g.fail(newer(g.where, "a snapshot", err))
	}
	return err
}

func newer(where, what string, err error) error {
	return fmt.Errorf("%w: %s, %s: %w: nothing is damaged; run this server with the build that the others run", ErrFatal, where, what, err)
}
