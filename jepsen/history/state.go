package history

import (
	"fmt"
	"slices"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

// state is the auditor's own idea of a cluster. It takes the log's word for what was applied and computes nothing
// incrementally: what a host has used is counted from the apps each time.
type state struct {
	hosts      map[string]*hostState
	apps       map[string]*appState
	migrations map[string]*migrationState
}

type hostState struct {
	slots       int
	gone        bool
	incarnation string
}

type appState struct {
	size      int
	over      bool // may exceed slots
	placement []string
	ended     []bool
	epochs    []uint64 // of each rank
	epoch     uint64
	verdict   string // decided while ranks are left
	code      int32  // its exit code, once a verdict is there
	phase     string // queued, placed, or how it ended
	migration string // under way
}

type migrationState struct {
	app    string
	moves  []*apiv1.Move
	frozen bool
	end    string
}

func newState() *state {
	return &state{hosts: map[string]*hostState{}, apps: map[string]*appState{}, migrations: map[string]*migrationState{}}
}

const placed = "placed"

// live are an app's ranks that run on a host.
func (a *appState) live(host string) []int {
	var out []int
	for r, h := range a.placement {
		if h == host && !a.ended[r] {
			out = append(out, r)
		}
	}
	return out
}

// used counts the slots that a host has given away: to ranks, and to those that will come.
func (s *state) used(host string) (n int, over bool) {
	for _, a := range s.apps {
		if a.phase != placed {
			continue
		}
		if k := len(a.live(host)); k > 0 {
			n, over = n+k, over || a.over
		}
		if a.migration == "" {
			continue
		}
		for _, m := range s.migrations[a.migration].moves {
			if m.GetTo() == host {
				n++
			}
		}
	}
	return n, over
}

// Exit codes of what did not choose its own.
const (
	codeCancelled = 130
	codeLost      = 125 // of a rank whose host is gone, and of an app that the cluster gave up
)

// end ends a rank; the first that fails decides.
func (a *appState) end(rank int, code int32) {
	a.ended[rank] = true
	if code != 0 && a.verdict == "" {
		a.verdict, a.code = "failed", code&0xff
		if a.code == 0 {
			a.code = 1 // a process has eight bits to exit with, and this is no success
		}
	}
}

// stopCode is the exit code of an app that is stopped.
func stopCode(op *apiv1.StopApp) int32 {
	switch code := op.GetExitCode(); {
	case op.GetPhase() == "cancelled":
		return codeCancelled
	case code == 0:
		return codeLost
	default:
		return max(code&0xff, 1)
	}
}

// settle ends an app that has no live rank left.
func (a *appState) settle() {
	switch {
	case a.phase == placed && slices.Contains(a.ended, false):
	case a.phase == "queued" && a.verdict == "":
	case a.verdict != "":
		a.phase = a.verdict
	default:
		a.phase = "succeeded"
	}
}

// finish ends an app with its last rank; once its end is decided, a migration that is under way ends first.
func (s *state) finish(a *appState) {
	if a.verdict != "" && a.migration != "" {
		s.abort(a.migration)
	}
	a.settle()
}

// abort ends a migration with nothing changed. Ranks whose source is gone have nowhere to go back to.
func (s *state) abort(id string) {
	m := s.migrations[id]
	a := s.apps[m.app]
	m.end, a.migration = "aborted", ""
	for _, mv := range m.moves {
		r := int(mv.GetRank())
		if h := s.hosts[a.placement[r]]; !a.ended[r] && (h == nil || h.gone) {
			a.end(r, codeLost)
		}
	}
}

// lose ends what was on a host. A migration whose images have all left it goes on, unless the host has come back empty.
func (s *state) lose(host string, spare bool) {
	for _, a := range s.apps {
		if a.phase != placed {
			continue
		}
		m := s.migrations[a.migration]
		touches := false
		leaving := 0
		if m != nil {
			for _, mv := range m.moves {
				touches = touches || mv.GetTo() == host || a.placement[mv.GetRank()] == host
				if a.placement[mv.GetRank()] == host && !a.ended[mv.GetRank()] {
					leaving++
				}
				if mv.GetTo() == host {
					leaving = -len(m.moves)
				}
			}
		}
		lost := a.live(host)
		if spare && m != nil && m.frozen && touches && leaving == len(lost) {
			continue
		}
		for _, r := range lost {
			a.end(r, codeLost)
		}
		if touches {
			s.abort(a.migration)
		}
		if touches || len(lost) > 0 {
			s.finish(a)
		}
	}
}

// shown checks an app in an answer against the state.
func (s *state) shown(seen Seen) error {
	a := s.apps[seen.ID]
	if a == nil {
		return fmt.Errorf("shows app %s, which the log does not hold", seen.ID)
	}
	got := seen.Phase
	if lv, err := levelOf(seen.Phase); err != nil {
		return err
	} else if lv == starting || lv == running {
		got = placed
	}
	verdict, code := a.verdict, a.code
	if got != placed {
		verdict = "" // it has become the phase
	}
	switch {
	case got != a.phase || seen.Epoch != a.epoch:
		return fmt.Errorf("shows app %s %s at epoch %d, by the log it is %s at epoch %d", seen.ID, seen.Phase, seen.Epoch, a.phase, a.epoch)
	case seen.Verdict != verdict || seen.ExitCode != code:
		return fmt.Errorf("shows app %s %s with verdict %q and exit code %d, by the log they are %q and %d",
			seen.ID, seen.Phase, seen.Verdict, seen.ExitCode, verdict, code)
	}
	return nil
}
