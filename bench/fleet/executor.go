package fleet

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"
	"time"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

// aheadEach is how often a rank that is to move looks whether its target makes a guest of it: the source of a real one calls as often.
const aheadEach = 20 * time.Millisecond

// imageBytes is what a rank's memory is said to be of.
const imageBytes = 1 << 20

// executor plays an executor: its ranks run for as long as the app's argument says, send nothing, and move as a worker tells them to. One goroutine
// owns it, until its worker has closed the link.
type executor struct {
	*link

	stage     *stage
	host, app string
	arrivals  chan image // of ranks that come

	lasts time.Duration // of a rank that begins here
	ranks map[int32]*rank
	ahead map[int32]string // ranks whose memory goes ahead, and the migration
	hurry <-chan struct{}
}

// rank is one that is here. One that stands still has no end.
type rank struct {
	runs  bool
	end   time.Time     // while it runs
	left  time.Duration // while it stands still
	to    string        // where it goes
	moves string        // the migration that it goes or comes with
}

// image is a rank on its way to another host.
type image struct {
	migration string
	rank      int32
	left      time.Duration
	since     time.Time
}

func newExecutor(s *stage, host, app string) *executor {
	return &executor{
		link: newLink(), stage: s, host: host, app: app, arrivals: make(chan image, linkRoom), ranks: map[int32]*rank{}, ahead: map[int32]string{}, hurry: s.hurry,
	}
}

// run plays it until its worker ends it.
func (e *executor) run() {
	defer e.stage.leave(e)
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		if next, runs := e.next(); runs {
			timer.Reset(time.Until(next))
		} else {
			timer.Stop()
		}
		var ahead <-chan time.Time
		if len(e.ahead) > 0 {
			ahead = time.After(aheadEach)
		}
		select {
		case <-ahead:
			e.goAhead()
		case c := <-e.commands:
			if err := e.do(c); err != nil {
				e.emit(&apiv1.ExecEvent{Msg: &apiv1.ExecEvent_Failed{Failed: &apiv1.ExecFailed{Reason: err.Error()}}})
			}
		case <-timer.C:
			e.endDue(time.Now())
		case i := <-e.arrivals:
			e.arrive(i)
		case <-e.hurry:
			e.hurry = nil
			for _, r := range e.ranks {
				r.end, r.left = e.stage.soon(r.end), min(r.left, e.stage.within)
			}
		case <-e.closed:
			for _, r := range e.ranks {
				if r.runs {
					e.stage.tally.lost(e.app)
				}
			}
			e.stage.expects(e, nil)
			return
		}
	}
}

// goAhead tells of the ranks whose targets have made a guest that their memory is there.
func (e *executor) goAhead() {
	for id, migration := range e.ahead {
		r := e.ranks[id]
		if r == nil || !r.runs {
			delete(e.ahead, id)
			continue
		}
		if e.stage.expected(r.to, e.app, id, migration) {
			delete(e.ahead, id)
			ahead := &apiv1.ExecAhead{Migration: migration, Rank: id, Ready: true, Bytes: imageBytes, Rounds: 1}
			e.emit(&apiv1.ExecEvent{Msg: &apiv1.ExecEvent_Ahead{Ahead: ahead}})
		}
	}
}

// next is when the next rank ends.
func (e *executor) next() (first time.Time, runs bool) {
	for _, r := range e.ranks {
		if r.runs && (!runs || r.end.Before(first)) {
			first, runs = r.end, true
		}
	}
	return first, runs
}

func (e *executor) endDue(now time.Time) {
	for id, r := range e.ranks {
		if r.runs && !r.end.After(now) {
			e.end(id, 0, "")
		}
	}
}

func (e *executor) end(id, code int32, reason string) {
	delete(e.ranks, id)
	e.stage.tally.ended(e.app, id)
	e.emit(&apiv1.ExecEvent{Msg: &apiv1.ExecEvent_Ended{Ended: &apiv1.ExecEnded{Rank: id, ExitCode: code, Reason: reason}}})
}

// do does a command of the worker.
func (e *executor) do(c *apiv1.ExecCommand) error {
	switch m := c.Msg.(type) {
	case *apiv1.ExecCommand_Start:
		return e.start(m.Start)
	case *apiv1.ExecCommand_Ping:
		e.emit(&apiv1.ExecEvent{Msg: &apiv1.ExecEvent_Pong{Pong: &apiv1.ExecPong{}}})
	case *apiv1.ExecCommand_Inspect:
		e.emit(&apiv1.ExecEvent{Msg: &apiv1.ExecEvent_Inspected{Inspected: &apiv1.ExecInspected{}}})
	case *apiv1.ExecCommand_Cancel:
		for id, r := range e.ranks {
			if r.runs {
				e.end(id, 1, m.Cancel.Reason)
			}
		}
	case *apiv1.ExecCommand_Routes, *apiv1.ExecCommand_Ack, *apiv1.ExecCommand_Home: // it has nobody to send to, numbers no events, uses no files
	case *apiv1.ExecCommand_Expect, *apiv1.ExecCommand_Precopy, *apiv1.ExecCommand_Freeze, *apiv1.ExecCommand_Resume, *apiv1.ExecCommand_Thaw, *apiv1.ExecCommand_Drop:
		e.move(c)
	default:
		return fmt.Errorf("fleet: a played executor does not do %T", m)
	}
	return nil
}

// start begins the ranks: the program's first argument says for how many seconds they run.
func (e *executor) start(s *apiv1.ExecStart) error {
	if len(s.Programs) != 1 || len(s.Programs[0].Args) != 2 {
		return fmt.Errorf("fleet: app %s is none of the bench's", e.app)
	}
	seconds, err := strconv.ParseFloat(s.Programs[0].Args[1], 64)
	if err != nil {
		return fmt.Errorf("fleet: app %s: how long it lasts: %w", e.app, err)
	}
	e.lasts = time.Duration(seconds * float64(time.Second))
	now := time.Now()
	for _, id := range s.Ranks {
		e.ranks[id] = &rank{runs: true, end: now.Add(e.lasts)}
	}
	e.stage.tally.began(e.app, s.Ranks, now)
	e.emit(&apiv1.ExecEvent{Msg: &apiv1.ExecEvent_Ready{Ready: &apiv1.ExecReady{}}})
	return nil
}

// move does what migrations need.
func (e *executor) move(c *apiv1.ExecCommand) {
	switch m := c.Msg.(type) {
	case *apiv1.ExecCommand_Expect:
		for _, id := range m.Expect.Ranks {
			e.ranks[id] = &rank{moves: m.Expect.Migration}
		}
		e.stage.expects(e, e.ranks)
		x := &apiv1.ExecExpecting{Migration: m.Expect.Migration, Ranks: m.Expect.Ranks}
		e.emit(&apiv1.ExecEvent{Msg: &apiv1.ExecEvent_Expecting{Expecting: x}})
	case *apiv1.ExecCommand_Precopy:
		for _, t := range m.Precopy.Ranks {
			if r := e.ranks[t.Rank]; r != nil {
				r.to, e.ahead[t.Rank] = t.Host, m.Precopy.Migration
			}
		}
	case *apiv1.ExecCommand_Freeze:
		for _, id := range m.Freeze.Ranks {
			if r := e.ranks[id]; r != nil && r.runs {
				e.freeze(m.Freeze.Migration, id, r)
			}
		}
	case *apiv1.ExecCommand_Resume:
		for _, id := range m.Resume.Ranks {
			e.goOn(id)
		}
	case *apiv1.ExecCommand_Thaw:
		for _, id := range m.Thaw.Ranks {
			e.goOn(id)
			e.stage.tally.moved()
			e.emit(&apiv1.ExecEvent{Msg: &apiv1.ExecEvent_Thawed{Thawed: &apiv1.ExecThawed{Rank: id}}})
		}
	case *apiv1.ExecCommand_Drop:
		for _, id := range m.Drop.Ranks {
			delete(e.ranks, id)
		}
		e.stage.expects(e, e.ranks)
	}
}

// freeze has a rank stand still, and its image go to its target.
func (e *executor) freeze(migration string, id int32, r *rank) {
	now := time.Now()
	r.runs, r.moves, r.left = false, "", max(0, r.end.Sub(now))
	e.emit(&apiv1.ExecEvent{Msg: &apiv1.ExecEvent_Frozen{Frozen: &apiv1.ExecFrozen{Migration: migration, Rank: id}}})
	e.stage.send(r.to, e.app, image{migration, id, r.left, now})
}

func (e *executor) goOn(id int32) {
	if r := e.ranks[id]; r != nil && !r.runs {
		r.runs, r.moves, r.end = true, "", time.Now().Add(r.left)
	}
}

// arrive takes a rank that has come, if it is expected.
func (e *executor) arrive(i image) {
	r := e.ranks[i.rank]
	if r == nil || r.moves != i.migration {
		return
	}
	r.left = i.left
	sum := sha256.Sum256(fmt.Appendf(nil, "%s %d", e.app, i.rank))
	e.emit(&apiv1.ExecEvent{Msg: &apiv1.ExecEvent_Staged{Staged: &apiv1.ExecStaged{
		Migration: i.migration, Rank: i.rank, Digest: hex.EncodeToString(sum[:]), SinceMs: float64(time.Since(i.since).Microseconds()) / 1e3,
		AheadBytes: imageBytes, PauseBytes: 1, Rounds: 1,
	}}})
}
