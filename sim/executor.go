package sim

import (
	"errors"
	"fmt"
	"slices"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/mpi"
	"github.com/godwit-run/godwit/worker/stand"
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
			e.goAhead(to.Rank, newWay(m.Precopy.Migration, to.Host))
		}
	case *apiv1.ExecCommand_Checkpoint:
		e.saving = m.Checkpoint.Id
		for _, id := range m.Checkpoint.Ranks {
			e.goAhead(id, newWay(m.Checkpoint.Id, ""))
		}
	case *apiv1.ExecCommand_CheckpointEnd:
		for _, id := range e.ids() {
			r := e.ranks[id]
			if r.way != nil && r.way.name == m.CheckpointEnd.Id {
				r.way.over = true
			}
			if r.Forget(m.CheckpointEnd.Id); r.Next == "" {
				r.next = nil
			}
		}
	case *apiv1.ExecCommand_Freeze:
		for _, id := range m.Freeze.Ranks {
			e.freeze(m.Freeze.Migration, id)
		}
	case *apiv1.ExecCommand_Resume:
		for _, id := range m.Resume.Ranks {
			e.resume(e.ranks[id])
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
		r := &rank{Rank: stand.Rank{State: stand.Running}, id: id, mem: make(arena, memory), epoch: c.Routes.RankEpochs[id]}
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
	for _, h := range sortedKeys(before) {
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

func (e *executor) cancel() {
	e.cancelled = true
	for _, id := range e.ids() {
		r := e.ranks[id]
		switch r.Cancel() {
		case stand.EndNothing:
		case stand.EndComing:
			delete(e.ranks, id)
		case stand.EndStill:
			e.endStill(r)
		case stand.EndRuns:
			if r.way != nil {
				r.way.over = true
			}
			r.proc.Cancel(errCancelled)
		}
	}
}

var errCancelled = errors.New("cancelled")

func (e *executor) endStill(r *rank) {
	if r.State == stand.Frozen {
		e.world.Remove(mpi.Rank(r.id))
	}
	e.tellEnd(r, 1, "cancelled")
}

func (e *executor) tellEnd(r *rank, code int32, why string) {
	r.State = stand.Ended
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
	if r.Freeze == "" {
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
		if r := e.ranks[id]; r.HandOn() {
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
		switch is, way := r.Told(); is {
		case stand.Expected:
			out.State, out.Migration = apiv1.StandingRank_STATE_EXPECTED, r.from
		case stand.Staged:
			out.State, out.Migration, out.Staged = apiv1.StandingRank_STATE_STAGED, r.from, e.stagedEvent(r)
		case stand.Ended:
			out.State, out.Ended = apiv1.StandingRank_STATE_ENDED, r.end
		case stand.Frozen:
			out.State, out.Migration = apiv1.StandingRank_STATE_FROZEN, way
		default:
		}
		st.Ranks = append(st.Ranks, out)
	}
	return st
}
