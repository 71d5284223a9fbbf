package main

import (
	"fmt"
	"sync/atomic"
)

// stateWatch is whether this server's data directory holds a term, a log or a snapshot. It goes from no to yes only: state once seen
// stays for the process's life, and is not looked for on the disk again.
type stateWatch struct {
	look func() (bool, error)
	die  func(error) // ends the server
	seen atomic.Bool
}

func newStateWatch(look func() (bool, error), die func(error)) *stateWatch {
	return &stateWatch{look: look, die: die}
}

// first looks before anybody else asks: a directory that cannot be read ends the server at its start.
func (s *stateWatch) first() error {
	has, err := s.look()
	if err != nil {
		return unreadable(err)
	}
	if has {
		s.seen.Store(true)
	}
	return nil
}

// has says whether there is state. A directory that cannot be read any more ends the server; until it has ended it counts as one with
// state, so that no cluster is made over what may be there.
func (s *stateWatch) has() bool {
	if s.seen.Load() {
		return true
	}
	has, err := s.look()
	if err != nil {
		s.die(unreadable(err))
		return true
	}
	if has {
		s.seen.Store(true)
	}
	return s.seen.Load() // another may have seen it meanwhile
}

func unreadable(err error) error {
	return fmt.Errorf("this server cannot tell whether its data directory holds a cluster's state, and so may neither make a cluster nor "+
		"join one: %w; mend the directory or its disk and start again", err)
}
