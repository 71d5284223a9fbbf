package sim

import (
	"slices"
	"strings"
	"time"
)

// Kind is a kind of fault.
type Kind int

// What goes wrong.
const (
	WorkerCrash   Kind = iota // the worker's process ends, its executors go on
	MachineCrash              // everything on a host ends; its disk stays
	Pause                     // a host stands still for a while, maybe for longer than its lease
	Election                  // another leader: the one before does not know it, and what it has proposed is committed up to some point
	SessionBreak              // what was on its way between a worker and its leader is lost
	Apart                     // a host reaches no leader for a while
	Cut                       // two hosts do not reach each other for a while
	ProposalLost              // and its proposer does not learn it
	ProposalTwice             // the log has it twice
	NoRoom                    // a host has no room for what ranks are made of, for a while, and refuses to begin them
	PartLost                  // a disk has lost a part of a checkpoint, or all have it damaged
	kindsOfFaults
)

// Fault is a fault of a plan: at a step of the run, to a host, if its kind is of hosts.
type Fault struct {
	Step int
	Kind Kind
	Host int
}

// Faults are all that may happen at a step of a run with so many hosts.
func Faults(step, hosts int) (out []Fault) {
	for kind := range kindsOfFaults {
		if kind == Election || kind == ProposalLost || kind == ProposalTwice {
			out = append(out, Fault{step, kind, 0})
			continue
		}
		for h := range hosts {
			out = append(out, Fault{step, kind, h})
		}
	}
	return out
}

// fault is one of what goes wrong, by the dice.
func (s *Sim) fault() {
	s.faults--
	s.stats.Faults++
	s.happens(Kind(s.rnd.IntN(int(kindsOfFaults))), s.hosts[s.rnd.IntN(len(s.hosts))])
}

// happens has something go wrong, where it can.
func (s *Sim) happens(kind Kind, h *host) {
	lasts := time.Duration(s.rnd.IntN(25_000)) * time.Millisecond
	switch kind {
	case WorkerCrash:
		if h.up && !h.paused {
			s.trace("  %s: the worker crashes", h)
			h.crash()
		}
	case MachineCrash:
		s.trace("  %s: the machine crashes", h)
		h.paused = false
		h.crashMachine()
	case Pause:
		s.trace("  %s stands still for %s", h, lasts)
		h.paused, h.until = true, s.now.Add(lasts)
	case Election:
		s.trace("  another leader")
		s.elect()
	case SessionBreak:
		s.trace("  %s: its session breaks", h)
		h.endSession()
	case Apart:
		s.trace("  %s reaches no leader for %s", h, lasts)
		h.apart, h.joins = true, s.now.Add(lasts)
	case Cut:
		o := s.hosts[s.rnd.IntN(len(s.hosts))]
		s.trace("  %s and %s do not reach each other for %s", h, o, lasts)
		s.cuts[pair(h, o)] = s.now.Add(lasts)
	case ProposalLost:
		if n := len(s.leader.pending); n > 0 {
			s.trace("  a proposal is lost")
			i := s.rnd.IntN(n)
			s.leader.pending = slices.Delete(s.leader.pending, i, i+1)
		}
	case ProposalTwice:
		if n := len(s.leader.pending); n > 0 {
			s.trace("  a proposal comes twice")
			s.leader.pending = append(s.leader.pending, s.leader.pending[s.rnd.IntN(n)])
		}
	case NoRoom:
		s.trace("  %s has no room for %s", h, lasts)
		h.full, h.empties = true, s.now.Add(lasts)
	case PartLost:
		s.tear(h)
	case kindsOfFaults:
	}
}

// tear has a host lose a part of a checkpoint, the last one's rather than another's; half of the times all lose it.
func (s *Sim) tear(h *host) {
	names, app := sortedKeys(h.parts), s.app()
	wanted := slices.DeleteFunc(slices.Clone(names), func(name string) bool {
		id, _, _ := strings.Cut(name, "/")
		return id != app.Restore && id != app.LastCheckpoint
	})
	if len(wanted) > 0 && s.rnd.IntN(3) > 0 {
		names = wanted
	}
	if len(names) == 0 {
		return
	}
	name := names[s.rnd.IntN(len(names))]
	from := []*host{h}
	if s.rnd.IntN(2) == 0 {
		from = s.hosts
	}
	for _, h := range from {
		s.trace("  %s loses %s", h, name)
		delete(h.parts, name)
	}
	checkpoint, _, _ := strings.Cut(name, "/")
	s.torn[checkpoint] = true
}
