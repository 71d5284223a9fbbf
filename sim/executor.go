package sim

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/mpi"
)

// executor is a model of worker/executor: its ranks' states, and its rules of when they change, with the real library of MPI beneath, and without connections, files and guests. What of it takes time is
// an action of the simulation, so that anything may happen in between.
type executor struct {
	s       *Sim
	h       *host
	app     string
	attempt uint32
	number  int
	alive   bool
	begun   bool // it counts as told to start
	told    bool // it has heard that
	ready   bool

	world     *mpi.World
	program   *program
	ranks     map[int32]*rank
	saving    string // the last checkpoint that was begun
	cancelled bool

	in     []*apiv1.ExecCommand
	out    []*apiv1.ExecEvent
	worker bool // one listens

	epoch  uint64
	routes []string
	live   map[string]bool // other hosts with ranks that have not ended, by the routes
}

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

func (s *Sim) newExecutor(h *host, app string, attempt uint32) *executor {
	s.executors++
	e := &executor{s: s, h: h, app: app, attempt: attempt, number: s.executors, alive: true, worker: true, ranks: map[int32]*rank{}, live: map[string]bool{}}
	h.execs = append(h.execs, e)
	return e
}

func (e *executor) String() string {
	return fmt.Sprintf("executor %d of %s on %s", e.number, e.app, e.h.name)
}

// ids are the ranks that are here, in order.
func (e *executor) ids() []int32 {
	if len(e.ranks) == 0 {
		return nil
	}
	ids := make([]int32, 0, len(e.ranks))
	for id := range e.program.size {
		if e.ranks[id] != nil {
			ids = append(ids, id)
		}
	}
	return ids
}

func (e *executor) emit(ev *apiv1.ExecEvent) { e.out = append(e.out, ev) }

// die ends the process; lost says that it ended itself with the host's lease.
func (e *executor) die(lost bool) {
	if !e.alive {
		return
	}
	e.alive = false
	e.s.trace("%s ends (lease over: %t)", e, lost)
	e.s.dropLinks(e)
	e.h.execs = slices.DeleteFunc(e.h.execs, func(x *executor) bool { return x == e })
	if e.h.up && e.worker {
		e.h.executorEnded(e, lost)
	}
}

// Send implements mpi.Network.
func (e *executor) Send(dst mpi.Rank, head, payload []byte, w mpi.Way) {
	if int(dst) >= len(e.routes) || e.routes[dst] == e.h.name {
		return // on its way
	}
	if l := e.s.link(e, e.routes[dst]); l != nil {
		l.send(e, slices.Concat(head, payload), w)
	}
}

// Room implements mpi.Network.
func (e *executor) Room(mpi.Rank, bool) bool { return true }

// Poll implements mpi.Network.
func (e *executor) Poll(func(bool) mpi.Look) bool { return false }

// Wake implements mpi.Network.
func (e *executor) Wake() {}

// do does a command of the worker.
func (e *executor) do(c *apiv1.ExecCommand) {
	if c == nil { // the next process of the worker
		e.handedOn()
		e.emit(&apiv1.ExecEvent{Msg: &apiv1.ExecEvent_Standing{Standing: e.standing()}})
		return
	}
	switch m := c.Msg.(type) {
	case *apiv1.ExecCommand_Start:
		e.start(m.Start)
	case *apiv1.ExecCommand_Routes:
		e.route(m.Routes)
	case *apiv1.ExecCommand_Expect:
		ev := &apiv1.ExecExpecting{Migration: m.Expect.Migration, Ranks: m.Expect.Ranks}
		for _, id := range m.Expect.Ranks {
			if err := e.expect(m.Expect.Migration, id); err != nil {
				ev.Error = err.Error()
				break
			}
		}
		e.emit(&apiv1.ExecEvent{Msg: &apiv1.ExecEvent_Expecting{Expecting: ev}})
	case *apiv1.ExecCommand_Precopy:
		for _, to := range m.Precopy.Ranks {
			e.goAhead(to.Rank, &way{name: m.Precopy.Migration, to: to.Host})
		}
	case *apiv1.ExecCommand_Checkpoint:
		e.saving = m.Checkpoint.Id
		for _, id := range m.Checkpoint.Ranks {
			e.goAhead(id, &way{name: m.Checkpoint.Id})
		}
	case *apiv1.ExecCommand_CheckpointEnd:
		for _, id := range e.ids() {
			r := e.ranks[id]
			if r.way != nil && r.way.name == m.CheckpointEnd.Id {
				r.way.over = true
			}
			if r.next != nil && r.next.name == m.CheckpointEnd.Id {
				r.next = nil
			}
		}
	case *apiv1.ExecCommand_Freeze:
		for _, id := range m.Freeze.Ranks {
			e.freeze(m.Freeze.Migration, id)
		}
	case *apiv1.ExecCommand_Resume:
		for _, id := range m.Resume.Ranks {
			if r := e.ranks[id]; r != nil && r.state != expected && r.state != staged && r.state != ended {
				e.resume(r)
			}
		}
	case *apiv1.ExecCommand_Thaw:
		for _, id := range m.Thaw.Ranks {
			e.thaw(id, m.Thaw.Epoch)
		}
	case *apiv1.ExecCommand_Drop:
		for _, id := range m.Drop.Ranks {
			e.drop(id)
		}
	case *apiv1.ExecCommand_Restore:
		for _, x := range m.Restore.Ranks {
			if err := e.expect(m.Restore.Checkpoint, x.Rank); err != nil {
				e.emit(&apiv1.ExecEvent{Msg: &apiv1.ExecEvent_Staged{Staged: &apiv1.ExecStaged{Migration: m.Restore.Checkpoint, Rank: x.Rank, Error: err.Error()}}})
				continue
			}
			e.ranks[x.Rank].load = e.h.coming[x.State]
		}
	case *apiv1.ExecCommand_Cancel:
		e.cancel()
	default:
		e.s.fail("%s does not know %T", e, c.Msg)
	}
}

func (e *executor) start(c *apiv1.ExecStart) {
	e.told = true
	e.program = e.s.apps[e.app]
	cfg := mpi.DefaultConfig(int(c.Size))
	cfg.Host = e.h.name
	e.world = mpi.NewWorld(cfg, e)
	e.s.meet(e)
	e.route(c.Routes)
	for _, id := range c.Ranks {
		r := &rank{id: id, mem: make(arena, memory), epoch: c.Routes.RankEpochs[id]}
		var err error
		if r.proc, err = e.world.AddRank(mpi.Rank(id), r.epoch, r.mem); err != nil {
			e.s.fail("%s: %v", e, err)
		}
		e.ranks[id] = r
		e.s.began(e, r)
	}
	e.ready = true
	e.emit(&apiv1.ExecEvent{Msg: &apiv1.ExecEvent_Ready{Ready: &apiv1.ExecReady{}}})
}

// route takes a new table, if it is not older.
func (e *executor) route(c *apiv1.ExecRoutes) {
	if c.Epoch < e.epoch {
		return
	}
	old := e.routes
	e.epoch, e.routes = c.Epoch, c.Placement
	before := e.live
	e.live = map[string]bool{}
	for r, h := range c.Placement {
		if h != e.h.name && !c.Ended[r] {
			e.live[h] = true
		}
	}
	for _, h := range slices.Sorted(maps.Keys(before)) {
		if !e.live[h] {
			e.s.leaveLink(e, h)
		}
	}
	for r, h := range c.Placement {
		switch {
		case c.Ended[r]:
			e.world.PeerEnded(mpi.Rank(r))
		case h != e.h.name && (r >= len(old) || old[r] != h):
			e.world.Reconnect(mpi.Rank(r))
		}
	}
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

func (e *executor) cancel() {
	e.cancelled = true
	for _, id := range e.ids() {
		r := e.ranks[id]
		switch r.state {
		case ended:
		case expected:
			delete(e.ranks, id)
		case frozen, staged:
			e.endStill(r)
		default:
			if r.way != nil {
				r.way.over = true
			}
			r.proc.Cancel(errCancelled)
		}
	}
}

var errCancelled = errors.New("cancelled")

func (e *executor) endStill(r *rank) {
	if r.state == frozen {
		e.world.Remove(mpi.Rank(r.id))
	}
	e.tellEnd(r, 1, "cancelled")
}

func (e *executor) tellEnd(r *rank, code int32, why string) {
	r.state = ended
	r.end = &apiv1.ExecEnded{Rank: r.id, ExitCode: code, Reason: why}
	e.emit(&apiv1.ExecEvent{Msg: &apiv1.ExecEvent_Ended{Ended: r.end}})
}

// runs is an action: a rank that runs does its next instruction, or goes on delivering what it has sent.
func (e *executor) runs(r *rank) {
	var err error
	if r.drains {
		err = e.drain(r)
	} else {
		err = e.program.run(r.id, r.proc, r.mem, func(line string) {
			l := &apiv1.LogLine{Rank: r.id, Seq: uint64(r.mem.int(atLines)), Text: []byte(line)}
			e.emit(&apiv1.ExecEvent{Msg: &apiv1.ExecEvent_Output{Output: &apiv1.ExecOutput{Lines: []*apiv1.LogLine{l}}}})
		}, func(step int32) { e.s.did(e, r, step) })
		if errors.Is(err, errOver) {
			r.drains = true
			err = nil
		}
	}
	switch {
	case err == nil:
	case errors.Is(err, mpi.ErrFrozen):
		e.stopped(r)
	case errors.Is(err, errEndedWell):
		e.world.PeerEnded(mpi.Rank(r.id))
		e.world.Remove(mpi.Rank(r.id))
		e.tellEnd(r, 0, "")
	default:
		if !errors.Is(err, errCancelled) {
			e.s.fail("%s: rank %d: %v", e, r.id, err)
		}
		e.world.Remove(mpi.Rank(r.id))
		e.tellEnd(r, 1, err.Error())
	}
}

var errEndedWell = errors.New("nobody wants anything more of it")

// drain looks whether anybody wants anything of a rank whose program has ended; it does not wait.
func (e *executor) drain(r *rank) error {
	r.proc.Freeze()
	err := r.proc.Drain()
	if r.freeze == "" {
		r.proc.Unfreeze()
		if errors.Is(err, mpi.ErrFrozen) {
			return nil
		}
	}
	if err == nil {
		return errEndedWell
	}
	return err
}

// handedOn is what becomes of the executor with the next process of its worker.
func (e *executor) handedOn() {
	for _, id := range e.ids() {
		if r := e.ranks[id]; r.state == running && (r.freeze != "" || r.way != nil) {
			e.resume(r)
		}
	}
}

// standing is how the ranks stand.
func (e *executor) standing() *apiv1.ExecStanding {
	st := &apiv1.ExecStanding{}
	for _, id := range e.ids() {
		r := e.ranks[id]
		out := &apiv1.StandingRank{Rank: id, State: apiv1.StandingRank_STATE_RUNS, Epoch: r.epoch}
		switch {
		case r.state == expected:
			out.State, out.Migration = apiv1.StandingRank_STATE_EXPECTED, r.from
		case r.state == staged:
			out.State, out.Migration, out.Staged = apiv1.StandingRank_STATE_STAGED, r.from, e.stagedEvent(r)
		case r.state == ended:
			out.State, out.Ended = apiv1.StandingRank_STATE_ENDED, r.end
		case r.freeze != "" && (r.state == frozen || r.state == capturing):
			out.State, out.Migration = apiv1.StandingRank_STATE_FROZEN, r.freeze
		}
		st.Ranks = append(st.Ranks, out)
	}
	return st
}
