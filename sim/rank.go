package sim

import (
	"errors"
	"fmt"
	"slices"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/mpi"
)

// State of a rank.
const (
	running = iota
	capturing
	frozen
	expected
	staged
	ended
)

type rank struct {
	id     int32
	state  int
	epoch  uint64
	mem    arena
	proc   *mpi.Proc
	freeze string // the migration or checkpoint for which it is to stop, or has; empty: none
	way    *way
	next   *way
	image  []byte // of a rank that stands still: its MPI state
	from   string // migration or checkpoint that brings it
	after  bool   // dropped while it was being sent
	end    *apiv1.ExecEnded
	load   *image // to be made of it
	drains bool
}

// way is where a rank's memory goes: to a host, or, if that is empty, to a file.
type way struct {
	name  string
	to    string
	ready bool
	over  bool
	tries int
}

// image is all of a rank.
type image struct {
	mem   arena
	state []byte
}

func (e *executor) expect(name string, id int32) error {
	old := e.ranks[id]
	switch {
	case e.cancelled:
		return errors.New("cancelled")
	case old == nil || old.state == ended || old.state == expected || old.state == staged:
	case old.after:
		return errors.New("it comes back before it was gone") // the real one waits; an abort is right as well
	default:
		return fmt.Errorf("rank %d is here already", id)
	}
	e.ranks[id] = &rank{id: id, state: expected, from: name, mem: make(arena, memory)}
	return nil
}

func (e *executor) tellAhead(r *rank, trouble string) {
	e.emit(&apiv1.ExecEvent{Msg: &apiv1.ExecEvent_Ahead{Ahead: &apiv1.ExecAhead{Migration: r.way.name, Rank: r.id, Ready: r.way.ready, Rounds: 1, Bytes: 1, Trouble: trouble}}})
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

func (e *executor) goAhead(id int32, w *way) {
	r := e.ranks[id]
	switch {
	case r != nil && r.state == capturing && r.freeze == "":
		r.next = w
	case r == nil || r.state == ended:
		e.absent(w, id, true, fmt.Sprintf("rank %d has ended", id))
	case r.state != running:
		e.absent(w, id, false, fmt.Sprintf("rank %d does not run", id))
	case r.way != nil && r.way.name == w.name:
	default:
		e.begin(r, w)
	}
}

// begin has a rank that runs go a way, and no other.
func (e *executor) begin(r *rank, w *way) {
	if r.freeze != "" && r.freeze != w.name {
		e.withdraw(r)
	}
	r.way = w
}

func (e *executor) withdraw(r *rank) {
	r.freeze = ""
	r.proc.Unfreeze()
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
	switch {
	case r == nil || r.state == ended:
		e.unfrozen(name, id, true, fmt.Sprintf("rank %d has ended", id))
	case r.state == capturing && r.freeze == "" && r.next != nil && r.next.name == name:
		r.freeze = name
	case r.state != running:
		e.unfrozen(name, id, false, fmt.Sprintf("rank %d does not run", id))
	case r.way == nil || r.way.name != name:
		e.unfrozen(name, id, false, fmt.Sprintf("it is not said where rank %d is to go", id))
	default:
		r.freeze = name
		r.proc.Freeze()
	}
}

// stopped is a rank's own, when it stands still.
func (e *executor) stopped(r *rank) {
	if r.freeze == "" { // withdrawn
		return
	}
	r.state = capturing
	e.emit(&apiv1.ExecEvent{Msg: &apiv1.ExecEvent_Frozen{Frozen: &apiv1.ExecFrozen{Migration: r.freeze, Rank: r.id}}})
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
	stays := func() bool {
		name := w.name
		r.state = frozen
		switch {
		case r.after:
			e.release(r)
		case e.cancelled:
			e.endStill(r)
		case r.freeze != name:
			e.goOn(r)
		default:
			return true
		}
		return false
	}
	if w.over {
		stays()
		return
	}
	if w.to == "" {
		e.h.written[w.name+"/"+fmt.Sprint(r.id)] = &image{mem: slices.Clone(r.mem), state: r.image}
		if stays() {
			e.emit(&apiv1.ExecEvent{Msg: &apiv1.ExecEvent_Saved{Saved: &apiv1.ExecSaved{Checkpoint: w.name, Rank: r.id, Memory: []string{w.name}}}})
		}
		return
	}
	err := e.s.deliver(e, r)
	if err != nil {
		if w.tries++; w.tries < 3 {
			return // again
		}
		if stays() {
			e.failed(w, r.id, err.Error())
		}
		return
	}
	stays()
}

// arrive takes a rank that another executor sends; nil: it is here.
func (e *executor) arrive(name string, from *rank) error {
	r := e.ranks[from.id]
	switch {
	case r == nil || r.from != name:
		return errors.New("the rank is not expected there")
	case r.state != expected:
		return nil // it has it
	}
	e.stage(r, &image{mem: slices.Clone(from.mem), state: from.image})
	return nil
}

// stage makes an expected rank one that may run.
func (e *executor) stage(r *rank, i *image) {
	copy(r.mem, i.mem)
	proc, err := e.world.Decode(mpi.Rank(r.id), r.mem, i.state)
	if err != nil {
		e.s.fail("%s: decode rank %d: %v", e, r.id, err)
		return
	}
	r.proc, r.state, r.load = proc, staged, nil
	e.emit(&apiv1.ExecEvent{Msg: &apiv1.ExecEvent_Staged{Staged: e.stagedEvent(r)}})
}

func (e *executor) stagedEvent(r *rank) *apiv1.ExecStaged {
	return &apiv1.ExecStaged{Migration: r.from, Rank: r.id, Digest: fmt.Sprintf("%064x", mix(r.mem.digest()))}
}

func (e *executor) resume(r *rank) {
	r.next = nil
	if r.way != nil {
		r.way.over = true
	}
	if r.state == frozen {
		r.freeze = ""
		e.goOn(r)
		return
	}
	e.withdraw(r)
}

// goOn runs a rank that stands still.
func (e *executor) goOn(r *rank) {
	if err := e.world.Resume(mpi.Rank(r.id)); err != nil {
		e.s.fail("%s: rank %d cannot go on: %v", e, r.id, err)
		return
	}
	r.proc.Unfreeze()
	r.state, r.image = running, nil
	e.s.began(e, r)
	if next := r.next; next != nil {
		r.next = nil
		f := r.freeze
		e.begin(r, next)
		if f == next.name {
			r.freeze = f
			r.proc.Freeze()
		}
	}
}

func (e *executor) thaw(id int32, epoch uint64) {
	r := e.ranks[id]
	if r == nil || r.state != staged {
		return
	}
	if err := e.world.Join(r.proc, epoch); err != nil {
		e.s.fail("%s: thaw rank %d: %v", e, id, err)
		return
	}
	r.epoch, r.state, r.drains = epoch, running, r.proc.Ended()
	e.s.began(e, r)
	e.emit(&apiv1.ExecEvent{Msg: &apiv1.ExecEvent_Thawed{Thawed: &apiv1.ExecThawed{Rank: id}}})
}

func (e *executor) drop(id int32) {
	r := e.ranks[id]
	if r == nil {
		return
	}
	switch r.state {
	case expected, staged:
		delete(e.ranks, id)
	case capturing:
		r.after = true
		r.way.over = true
	case frozen:
		e.release(r)
	}
}

func (e *executor) release(r *rank) {
	e.world.Remove(mpi.Rank(r.id))
	delete(e.ranks, r.id)
}
