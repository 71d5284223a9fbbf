package sim

import (
	"errors"
	"fmt"
	"slices"
	"time"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/mpi"
	"github.com/godwit-run/godwit/worker/stand"
)

type rank struct {
	stand.Rank // what becomes of it, as in the real one

	id     int32
	epoch  uint64
	mem    arena
	proc   *mpi.Proc
	way    *way
	next   *way   // that of Next
	image  []byte // of a rank that stands still: its MPI state
	from   string // migration or checkpoint that brings it
	end    *apiv1.ExecEnded
	load   *image // to be made of it
	coming stand.Coming
	drains bool
}

// stands is how a rank stands; nil: it is not here.
func (r *rank) stands() *stand.Rank {
	if r == nil {
		return nil
	}
	return &r.Rank
}

// way is where a rank's memory goes: to a host, or, if that is empty, to a file.
type way struct {
	name     string
	to       string
	over     bool
	vain     string // why it comes to nothing; empty: it may not
	rounds   stand.Rounds
	first    time.Time // when the first round had ended
	attempts stand.Attempts
	word     int // of the attempt
}

// mostTries is how often it is tried to send a rank that stands still.
const mostTries = 3

func newWay(name, to string) *way {
	return &way{name: name, to: to, attempts: stand.NewAttempts(mostTries)}
}

// image is all of a rank.
type image struct {
	mem   arena
	state []byte
}

func (e *executor) expect(name string, id int32) error {
	switch stand.Expect(e.ranks[id].stands(), e.cancelled) {
	case stand.ExpectCancelled:
		return errors.New("cancelled")
	case stand.ExpectLater:
		return errors.New("it comes back before it was gone") // the real one waits; an abort is right as well
	case stand.ExpectHere:
		return fmt.Errorf("rank %d is here already", id)
	case stand.ExpectNew, stand.ExpectInstead:
	}
	e.ranks[id] = &rank{id: id, Rank: stand.Rank{State: stand.Expected}, from: name, mem: make(arena, memory)}
	return nil
}

func (e *executor) tellAhead(r *rank, trouble string) {
	e.emit(&apiv1.ExecEvent{Msg: &apiv1.ExecEvent_Ahead{Ahead: &apiv1.ExecAhead{Migration: r.way.name, Rank: r.id, Ready: r.way.rounds.Ready, Rounds: r.way.rounds.Gone, Bytes: int64(r.way.rounds.Gone), Trouble: trouble}}})
}

// absent tells that a rank does not run here.
func (e *executor) absent(w *way, id int32, over bool, why string) {
	if w.to == "" {
		e.emit(&apiv1.ExecEvent{Msg: &apiv1.ExecEvent_Saved{Saved: &apiv1.ExecSaved{Checkpoint: w.name, Rank: id, Error: why, Ended: over}}})
		return
	}
	e.emit(&apiv1.ExecEvent{Msg: &apiv1.ExecEvent_Ahead{Ahead: &apiv1.ExecAhead{Migration: w.name, Rank: id, Ready: true}}})
}

// failed tells that a rank cannot go a way.
func (e *executor) failed(w *way, id int32, why string) {
	if w.to == "" {
		e.emit(&apiv1.ExecEvent{Msg: &apiv1.ExecEvent_Saved{Saved: &apiv1.ExecSaved{Checkpoint: w.name, Rank: id, Error: why}}})
		return
	}
	e.emit(&apiv1.ExecEvent{Msg: &apiv1.ExecEvent_Frozen{Frozen: &apiv1.ExecFrozen{Migration: w.name, Rank: id, Error: why}}})
}

// goesAhead is an action: a rank that runs goes ahead by a round.
func (e *executor) goesAhead(r *rank) {
	w := r.way
	if w.rounds.Gone == 0 {
		w.first = e.s.now
	}
	if w.rounds.Went(e.s.roundBytes(), e.s.now.Sub(w.first)) {
		e.tellAhead(r, "")
	}
	if e.s.mishap(60) { // the target has no room for it, or a disk does not take it
		e.ends(r, stand.EndVain, true, "it is refused")
	}
}

// ends says what follows an attempt that has ended.
func (e *executor) ends(r *rank, how stand.End, begun bool, why string) {
	w := r.way
	stays := func() bool { return e.stays(r, w) }
	switch w.attempts.Ended(how, begun, r.State == stand.Capturing) {
	case stand.FollowNothing:
		stays()
	case stand.FollowAnew:
		w.attempts.Broke(1)
		w.rounds = stand.Rounds{}
		if r.State == stand.Running {
			e.tellAhead(r, why)
		}
	case stand.FollowFail:
		w.vain = why
		e.failed(w, r.id, why)
	case stand.FollowTell:
		switch {
		case !stays():
		case how != stand.EndWhole:
			e.failed(w, r.id, why)
		case w.to == "":
			e.emit(&apiv1.ExecEvent{Msg: &apiv1.ExecEvent_Saved{Saved: &apiv1.ExecSaved{Checkpoint: w.name, Rank: r.id, Memory: []string{w.name}}}})
		}
	}
}

func (e *executor) goAhead(id int32, w *way) {
	r := e.ranks[id]
	switch r.stands().Depart(w.name) {
	case stand.DepartLater:
		r.next = w
	case stand.DepartEnded:
		e.absent(w, id, true, fmt.Sprintf("rank %d has ended", id))
	case stand.DepartStill:
		e.absent(w, id, false, fmt.Sprintf("rank %d does not run", id))
	case stand.DepartUnder:
	case stand.DepartNow:
		if r.Begin(w.name) {
			r.proc.Unfreeze()
		}
		r.way = w
	}
}

func (e *executor) unfrozen(name string, id int32, over bool, why string) {
	if name == e.saving {
		e.emit(&apiv1.ExecEvent{Msg: &apiv1.ExecEvent_Saved{Saved: &apiv1.ExecSaved{Checkpoint: name, Rank: id, Error: why, Ended: over}}})
		return
	}
	e.emit(&apiv1.ExecEvent{Msg: &apiv1.ExecEvent_Frozen{Frozen: &apiv1.ExecFrozen{Migration: name, Rank: id, Error: why}}})
}

func (e *executor) freeze(name string, id int32) {
	r := e.ranks[id]
	switch r.stands().Stop(name) {
	case stand.StopEnded:
		e.unfrozen(name, id, true, fmt.Sprintf("rank %d has ended", id))
	case stand.StopStill:
		e.unfrozen(name, id, false, fmt.Sprintf("rank %d does not run", id))
	case stand.StopNoWay:
		e.unfrozen(name, id, false, fmt.Sprintf("it is not said where rank %d is to go", id))
	case stand.StopLater:
	case stand.StopNow:
		r.proc.Freeze()
	}
}

// stopped is a rank's own, when it stands still.
func (e *executor) stopped(r *rank) {
	if !r.Stopped() { // withdrawn
		return
	}
	e.emit(&apiv1.ExecEvent{Msg: &apiv1.ExecEvent_Frozen{Frozen: &apiv1.ExecFrozen{Migration: r.Freeze, Rank: r.id}}})
	state, err := e.world.Capture(mpi.Rank(r.id))
	if err != nil {
		e.s.fail("%s: capture rank %d: %v", e, r.id, err)
		return
	}
	r.image = state
}

// sends is an action: the rest of a rank that stands still is sent, or written.
func (e *executor) sends(r *rank) {
	w := r.way
	switch {
	case w.over:
		e.ends(r, stand.EndUnwanted, false, "")
	case w.vain != "":
		e.ends(r, stand.EndVain, false, w.vain)
	case w.to == "":
		e.h.written[w.name+"/"+fmt.Sprint(r.id)] = &image{mem: slices.Clone(r.mem), state: r.image}
		e.ends(r, stand.EndWhole, true, "")
	default:
		begun, err := e.s.deliver(e, r)
		if err != nil {
			e.ends(r, stand.EndBroken, begun, err.Error())
			return
		}
		e.ends(r, stand.EndWhole, true, "")
	}
}

// stays has a rank stand still that way whose rest was sent, or could not be, unless something else was decided meanwhile.
func (e *executor) stays(r *rank, w *way) bool {
	switch r.Sent(w.name, e.cancelled) {
	case stand.SentGone:
		e.release(r)
	case stand.SentEnds:
		e.endStill(r)
	case stand.SentGoesOn:
		e.goOn(r)
	case stand.SentStays:
		return true
	}
	return false
}

// arrive takes a rank that another executor sends; nil: it is here. begun says whether it began to come.
func (e *executor) arrive(name string, from *rank) (begun bool, _ error) {
	r := e.ranks[from.id]
	switch {
	case r == nil || r.from != name:
		return false, errNotExpected
	case r.State != stand.Expected:
		return true, nil // it has it
	}
	from.way.word++
	word := fmt.Sprint(from.way.word)
	if r.coming.Take(word, 0) != stand.TakeNew || !r.coming.May(false) {
		return false, errNotExpected
	}
	clear(r.mem)
	r.coming.Begin(word)
	torn := e.s.mishap(10)
	for i, b := range from.mem { // zeros are not sent
		if b != 0 && (!torn || i < len(from.mem)/2) {
			r.mem[i] = b
		}
	}
	if torn {
		return true, errors.New("the connection broke")
	}
	e.stage(r, &image{mem: r.mem, state: from.image})
	return true, nil
}

var errNotExpected = errors.New("the rank is not expected there")

// stage makes an expected rank one that may run.
func (e *executor) stage(r *rank, i *image) {
	copy(r.mem, i.mem)
	proc, err := e.world.Decode(mpi.Rank(r.id), r.mem, i.state)
	if err != nil {
		e.s.fail("%s: decode rank %d: %v", e, r.id, err)
		return
	}
	r.Arrive()
	r.proc, r.load = proc, nil
	e.emit(&apiv1.ExecEvent{Msg: &apiv1.ExecEvent_Staged{Staged: e.stagedEvent(r)}})
}

func (e *executor) stagedEvent(r *rank) *apiv1.ExecStaged {
	return &apiv1.ExecStaged{Migration: r.from, Rank: r.id, Digest: fmt.Sprintf("%064x", mix(r.mem.digest()))}
}

func (e *executor) resume(r *rank) {
	does := r.stands().Resume()
	if does == stand.ResumeNothing {
		return
	}
	r.next = nil
	if r.way != nil {
		r.way.over = true
	}
	if does == stand.ResumeGoesOn {
		e.goOn(r)
		return
	}
	r.proc.Unfreeze()
}

// goOn runs a rank that stands still.
func (e *executor) goOn(r *rank) {
	if err := e.world.Resume(mpi.Rank(r.id)); err != nil {
		e.s.fail("%s: rank %d cannot go on: %v", e, r.id, err)
		return
	}
	r.proc.Unfreeze()
	r.image = nil
	way := r.next
	next, stops := r.GoOn()
	e.s.began(e, r)
	if r.next = nil; next == "" {
		return
	}
	if r.way = way; stops {
		r.proc.Freeze()
	}
}

func (e *executor) thaw(id int32, epoch uint64) {
	r := e.ranks[id]
	if r == nil || r.State != stand.Staged {
		return
	}
	if err := e.world.Join(r.proc, epoch); err != nil {
		e.s.fail("%s: thaw rank %d: %v", e, id, err)
		return
	}
	r.epoch, r.State, r.drains = epoch, stand.Running, r.proc.Ended()
	e.s.began(e, r)
	e.emit(&apiv1.ExecEvent{Msg: &apiv1.ExecEvent_Thawed{Thawed: &apiv1.ExecThawed{Rank: id}}})
}

func (e *executor) drop(id int32) {
	r := e.ranks[id]
	switch r.stands().Drop() {
	case stand.DropNothing:
	case stand.DropComing:
		delete(e.ranks, id)
	case stand.DropLater:
		r.way.over = true
	case stand.DropNow:
		e.release(r)
	}
}

func (e *executor) release(r *rank) {
	e.world.Remove(mpi.Rank(r.id))
	delete(e.ranks, r.id)
}
