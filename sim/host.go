package sim

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/worker/part"
)

// host is a machine: a worker's process, executors, and a disk.
type host struct {
	s     *Sim
	name  string
	slots int32

	// The machine.
	paused bool // nothing of it runs
	until  time.Time
	apart  bool      // no leader reaches it
	joins  time.Time // until then
	execs  []*executor
	lease  time.Time // its end, in the word that the executors see; zero: there was none yet

	// The disk.
	incarnation string
	logs        map[string]map[int32][]string // by app and rank
	parts       map[string]*stored            // of checkpoints, by checkpoint and host
	written     map[string]*image             // by executors, for checkpoints under way
	coming      map[string]*image             // what ranks are to be made of

	// The worker's process.
	up       bool
	born     int
	session  *session
	apps     map[string]*app
	records  map[string]*apiv1.AppRecord
	statuses map[string]*apiv1.AppStatus
	seq      uint64
	sent     map[uint64]time.Time // heartbeats without an answer
	beat     time.Time            // when the next is due
	silent   time.Time            // since when no answer has come
}

// stored is what a host holds of a checkpoint's part.
type stored struct {
	ranks map[int32]*image
	logs  map[int32][]string
}

func (p *stored) digest() []byte { return make([]byte, 32) }

// app is what the worker's process has of an app: its part, and what that part's hands have begun. What is posted comes in its order.
type app struct {
	h    *host
	id   string
	part *part.Part
	exec *executor

	starting  bool // there is no process of it yet
	posts     []func()
	sending   map[int32]*sending
	stood     map[int32]int // lines of the output that go with a checkpoint
	adopts    bool
	standing  *apiv1.ExecStanding
	later     []*apiv1.ExecEvent // what the executor has said since
	gone      bool               // the executor that is adopted
	over      bool
	cancelled bool
	storing   *storing
}

type sending struct {
	migration string
	to        string
	ahead     bool
	last      bool
	over      bool
}

type storing struct {
	checkpoint *apiv1.Checkpoint
	part       *apiv1.CheckpointPart
	made       *stored
}

// hands are an app's.
type hands struct{ *app }

var _ part.Hands = hands{}

// Now implements part.Hands.
func (a hands) Now() time.Time { return a.h.s.now }

// Say implements part.Hands.
func (a hands) Say(c *apiv1.ExecCommand) {
	if a.exec != nil {
		a.exec.in = append(a.exec.in, c)
	}
}

// Start implements part.Hands.
func (a hands) Start() {
	a.starting = true
}

// GiveUpStart implements part.Hands.
func (a hands) GiveUpStart() bool {
	if a.exec != nil {
		return false
	}
	a.starting = false
	return true
}

// Kill implements part.Hands.
func (a hands) Kill(string) {
	if a.exec != nil {
		a.exec.die(false)
	}
}

// Cancel implements part.Hands.
func (a hands) Cancel(reason string) {
	a.cancelled = true // killed after the grace
	a.Say(&apiv1.ExecCommand{Msg: &apiv1.ExecCommand_Cancel{Cancel: &apiv1.ExecCancel{Reason: reason}}})
}

// Stop implements part.Hands.
func (a hands) Stop() { a.stopExecutor() }

func (a *app) stopExecutor() {
	a.starting, a.adopts = false, false
	if e := a.exec; e != nil {
		a.exec = nil // nothing more is heard of it
		e.die(false)
		a.h.takeOutput(e)
	}
	a.cancelled = false
}

// Files implements part.Hands.
func (hands) Files() {}

// CanPack implements part.Hands.
func (hands) CanPack() bool { return false }

// Pack implements part.Hands.
func (hands) Pack(string) {}

// SendLog implements part.Hands.
func (a hands) SendLog(migration string, rank int32, to string) {
	a.sending[rank] = &sending{migration: migration, to: to}
}

// EndLog implements part.Hands.
func (a hands) EndLog(_ string, rank int32) { a.sending[rank].last = true }

// LogSent implements part.Hands.
func (hands) LogSent(int32) int64 { return 0 }

// EndSending implements part.Hands.
func (a hands) EndSending(string) { clear(a.sending) }

// LogMoved implements part.Hands.
func (a hands) LogMoved(rank int32) { delete(a.h.logs[a.id], rank) }

// BeginSaving implements part.Hands.
func (a hands) BeginSaving(*apiv1.Checkpoint) { a.stood = map[int32]int{} }

// Write implements part.Hands.
func (a hands) Write(checkpoint string, ranks []int32) error {
	if len(ranks) > 0 {
		a.Say(&apiv1.ExecCommand{Msg: &apiv1.ExecCommand_Checkpoint{Checkpoint: &apiv1.ExecCheckpoint{Id: checkpoint, Ranks: ranks}}})
	}
	return nil
}

// Stood implements part.Hands.
func (a hands) Stood(_ string, rank int32) { a.stood[rank] = len(a.h.logs[a.id][rank]) }

// Store implements part.Hands.
func (a hands) Store(c *apiv1.Checkpoint, p *apiv1.CheckpointPart, saved map[int32]*apiv1.ExecSaved, _ bool) {
	made := &stored{ranks: map[int32]*image{}, logs: map[int32][]string{}}
	for id := range a.part.Record().App.Size {
		lines := a.h.logs[a.id][id]
		switch {
		case saved[id] != nil:
			made.ranks[id] = a.h.written[c.Id+"/"+fmt.Sprint(id)]
			lines = lines[:a.stood[id]]
		case apiv1.HostAt(c.Runs, id) != a.h.name:
			continue
		}
		made.logs[id] = slices.Clone(lines)
	}
	a.storing = &storing{c, p, made}
}

// EndSaving implements part.Hands.
func (a hands) EndSaving(checkpoint string, taken, _ bool) {
	a.storing = nil
	for name := range a.h.written {
		if len(name) > len(checkpoint) && name[:len(checkpoint)] == checkpoint {
			delete(a.h.written, name)
		}
	}
	if !taken {
		delete(a.h.parts, checkpoint+"/"+a.h.name)
	}
}

// Stored implements part.Hands.
func (hands) Stored() int64 { return 0 }

// stores is an action: what was written is held by this host, and by the second, if it can be reached.
func (a *app) stores() {
	st := a.storing
	name := st.checkpoint.Id + "/" + a.h.name
	if st.part.Second != "" {
		second := a.h.s.host(st.part.Second)
		if second.paused || !second.up || a.h.s.cut(a.h, second) {
			return // again
		}
		second.parts[name] = st.made
	}
	a.h.parts[name] = st.made
	a.storing = nil
	a.part.Held(st.checkpoint.Id, &apiv1.CheckpointPart{Host: a.h.name, Second: st.part.Second, Digest: st.made.digest(), Bytes: 1})
	a.step()
}

// sends is an action: a log goes on.
func (a *app) sends(rank int32) {
	t := a.sending[rank]
	if !t.ahead {
		t.ahead = true
		a.part.LogAhead(t.migration, rank)
		a.step()
		return
	}
	to := a.h.s.host(t.to)
	if to.paused || !to.up || a.h.s.cut(a.h, to) {
		return // again
	}
	t.over = true
	err := to.takesLog(a.id, &apiv1.TransferHeader{App: a.id, Migration: t.migration, Rank: rank, From: a.h.name}, slices.Clone(a.h.logs[a.id][rank]))
	if errors.Is(err, part.ErrNotYet) || errors.Is(err, errUnknownApp) {
		t.over = false
		return // again
	}
	a.part.LogAhead(t.migration, rank)
	if err != nil {
		a.part.MoveFailed(t.migration, err.Error())
	}
	a.step()
}

var errUnknownApp = errors.New("the app is not known there")

// takesLog takes the log of a rank that is to come.
func (h *host) takesLog(id string, header *apiv1.TransferHeader, lines []string) error {
	a := h.apps[id]
	if a == nil || a.part.Record() == nil || a.adopts {
		return errUnknownApp
	}
	if err := a.part.Expects(header); err != nil {
		return err
	}
	h.log(id)[header.Rank] = lines
	a.part.LogHere(header)
	if err := a.part.LogKept(header); err != nil {
		return err
	}
	a.step()
	return nil
}

func (h *host) log(id string) map[int32][]string {
	if h.logs[id] == nil {
		h.logs[id] = map[int32][]string{}
	}
	return h.logs[id]
}

// spawns is an action: a start goes on.
func (a *app) spawns() {
	rec := a.part.Record()
	var images map[int32]*image
	if a.part.Begins() {
		if images = a.fetch(); images == nil {
			return // again
		}
	}
	e := a.h.s.newExecutor(a.h, a.id, a.part.Attempt())
	a.exec, a.starting = e, false
	if a.part.Unwanted() {
		e.die(false)
		return
	}
	e.begun = true
	fresh := a.part.Begun()
	begin := fresh
	if rec.Restore != nil {
		begin = nil
	}
	e.in = append(e.in, &apiv1.ExecCommand{Msg: &apiv1.ExecCommand_Start{Start: &apiv1.ExecStart{App: a.id, Size: rec.App.Size, Ranks: begin, Routes: a.part.Routes()}}})
	if rec.Restore == nil {
		return
	}
	restore := &apiv1.ExecRestore{Checkpoint: rec.Restore.Id, App: rec.Restore.App}
	for _, id := range fresh {
		name := fmt.Sprintf("%s/%d/%d", rec.Restore.Id, id, e.number)
		a.h.coming[name] = images[id]
		restore.Ranks = append(restore.Ranks, &apiv1.RestoredRank{Rank: id, State: name})
	}
	e.in = append(e.in, &apiv1.ExecCommand{Msg: &apiv1.ExecCommand_Restore{Restore: restore}})
}

// fetch has the images of ranks come, and the output of these and of others that have ended; nil: a part cannot be had now.
func (a *app) fetch() map[int32]*image {
	rec, out := a.part.Record(), map[int32]*image{}
	for r := range rec.App.Placement {
		id := int32(r)
		if !a.part.IsMine(id) {
			continue
		}
		from := apiv1.HostAt(rec.Restore.Runs, id)
		i := slices.IndexFunc(rec.Restore.Parts, func(p *apiv1.CheckpointPart) bool { return p.Host == from })
		if i < 0 {
			continue // it had ended, and its host had nothing else
		}
		p := a.h.s.holder(a.h, rec.Restore.Id, rec.Restore.Parts[i])
		if p == nil {
			return nil
		}
		if p.ranks[id] == nil && !rec.App.HasEnded(id) {
			a.h.s.fail("checkpoint %s has no image of rank %d", rec.Restore.Id, id)
			return nil
		}
		if p.ranks[id] != nil {
			out[id] = p.ranks[id]
		}
		a.h.log(a.id)[id] = slices.Clone(p.logs[id])
	}
	return out
}

// holder is what a host that can be reached holds of a part; nil: there is none.
func (s *Sim) holder(h *host, checkpoint string, p *apiv1.CheckpointPart) *stored {
	for _, name := range []string{p.Host, p.Second} {
		if o := s.host(name); o != nil && (o == h || o.up && !o.paused && !s.cut(h, o)) {
			if st := o.parts[checkpoint+"/"+p.Host]; st != nil {
				return st
			}
		}
	}
	return nil
}

// hears is an action: the worker takes the next thing that its executor says.
func (a *app) hears() {
	e := a.exec
	ev := e.out[0]
	e.out = e.out[1:]
	switch {
	case ev.GetOutput() != nil || ev.GetStanding() != nil || !a.adopts:
	case a.standing == nil:
		return // of before
	default:
		a.later = append(a.later, ev)
		return
	}
	a.take(e, ev)
}

// take takes something that the executor has said.
func (a *app) take(e *executor, ev *apiv1.ExecEvent) {
	switch m := ev.Msg.(type) {
	case *apiv1.ExecEvent_Output:
		a.h.store(a.id, m.Output.Lines)
		return
	case *apiv1.ExecEvent_Standing:
		a.standing = m.Standing
	case *apiv1.ExecEvent_Ready:
		a.part.Ready()
	case *apiv1.ExecEvent_Ended:
		a.part.Ended(m.Ended)
	case *apiv1.ExecEvent_Expecting:
		a.part.Expecting(hands{a}, m.Expecting)
	case *apiv1.ExecEvent_Ahead:
		a.part.Ahead(hands{a}, m.Ahead)
	case *apiv1.ExecEvent_Frozen:
		a.part.Frozen(hands{a}, m.Frozen)
	case *apiv1.ExecEvent_Saved:
		a.part.Saved(m.Saved)
	case *apiv1.ExecEvent_Staged:
		if why := a.part.Staged(hands{a}, m.Staged); why != "" {
			e.die(false)
		}
	case *apiv1.ExecEvent_Thawed:
		a.part.Thawed(hands{a}, m.Thawed)
	default:
		a.h.s.fail("a worker does not know %T", ev.Msg)
	}
	a.step()
}

// store keeps lines, those that are not there yet.
func (h *host) store(id string, lines []*apiv1.LogLine) {
	for _, l := range lines {
		log := h.log(id)
		switch n := uint64(len(log[l.Rank])); {
		case l.Seq == n:
			log[l.Rank] = append(log[l.Rank], string(l.Text))
		case l.Seq > n:
			h.s.fail("%s: line %d of rank %d of %s follows line %d", h.name, l.Seq, l.Rank, id, int(n)-1)
		}
	}
}

// takeOutput stores what an executor that is gone had printed.
func (h *host) takeOutput(e *executor) {
	for _, ev := range e.out {
		if o := ev.GetOutput(); o != nil {
			h.store(e.app, o.Lines)
		}
	}
	e.out = nil
}

// executorEnded is what the worker finds when an executor is gone: it takes its last words first.
func (h *host) executorEnded(e *executor, lost bool) {
	a := h.apps[e.app]
	if a == nil || a.exec != e {
		return
	}
	a.posts = append(a.posts, func() {
		if a.exec != e {
			return
		}
		for len(e.out) > 0 && h.s.err == nil {
			a.hears()
			if a.exec != e {
				return
			}
		}
		a.exec, a.cancelled = nil, false
		lost = lost || a.adopts
		a.gone = a.adopts
		a.part.ExecutorGone(1, "executor ended", lost)
	})
}

// step lets the app do what follows, as the real one's goroutine does after each thing that it takes.
func (a *app) step() {
	if a.over || a.part.Record() == nil || !a.adopted() {
		return
	}
	rec := a.part.Record()
	if rec.Gone || apiv1.AppOver(rec.App.Phase) {
		a.stopExecutor()
		a.part.End(hands{a})
		a.over = true
		delete(a.h.apps, a.id)
		delete(a.h.records, a.id)
		delete(a.h.statuses, a.id)
		return
	}
	a.part.Step(hands{a})
	a.h.publish(a.part.Status(hands{a}))
}

// adopted says whether the app goes on as others.
func (a *app) adopted() bool {
	rec := a.part.Record()
	switch {
	case !a.adopts, rec.Gone || apiv1.AppOver(rec.App.Phase):
		return true
	case rec.Index == 0:
		return false
	case a.gone:
		a.adopts = false
		return true
	case a.standing == nil:
		if a.exec != nil {
			a.part.Stop(hands{a})
		}
		return false
	}
	a.adopts = false
	ended, why := a.part.Adopt(hands{a}, a.standing)
	for _, e := range ended {
		a.part.Ended(e)
	}
	if why != "" {
		a.exec.die(true)
	}
	later := a.later
	a.later = nil
	for _, ev := range later {
		if a.exec != nil {
			a.take(a.exec, ev)
		}
	}
	return true
}

// record takes a record of the leader.
func (h *host) record(rec *apiv1.AppRecord) {
	id := rec.App.Id
	if old := h.records[id]; old != nil && (rec.Term < old.Term || rec.Term == old.Term && rec.Index < old.Index) {
		return
	}
	if h.apps[id] == nil {
		if rec.Gone || apiv1.AppOver(rec.App.Phase) {
			delete(h.statuses, id)
			return
		}
		h.newApp(id)
	}
	h.records[id] = rec
}

func (h *host) newApp(id string) *app {
	a := &app{h: h, id: id, part: part.New(id, h.name), sending: map[int32]*sending{}}
	h.apps[id] = a
	return a
}

// follows is an action: an app sees the newest record.
func (a *app) follows() {
	if a.part.Follow(a.h.records[a.id]) {
		a.stopExecutor()
		a.part.Forget(hands{a})
		a.standing, a.later, a.gone = nil, nil, false
	}
	a.step()
}

// publish says a status to the leader.
func (h *host) publish(st *apiv1.AppStatus) {
	if old := h.statuses[st.App]; old != nil && same(old, st) {
		return
	}
	h.statuses[st.App] = st
	if h.session != nil {
		h.session.up = append(h.session.up, up{status: st})
	}
}

// crash ends the worker's process; its executors go on.
func (h *host) crash() {
	h.up = false
	h.endSession()
	for _, e := range h.execs {
		e.worker = false
		e.in = e.in[:h.s.pick(len(e.in)+1)] // what it had not handed over is lost
	}
	h.apps, h.records, h.statuses = map[string]*app{}, map[string]*apiv1.AppRecord{}, map[string]*apiv1.AppStatus{}
}

// crashMachine ends everything; the disk stays.
func (h *host) crashMachine() {
	h.crash()
	for len(h.execs) > 0 {
		h.execs[0].die(false)
	}
	h.written, h.lease = map[string]*image{}, time.Time{}
}

// boot is an action: a process of the worker begins.
func (h *host) boot() {
	h.up = true
	h.sent, h.silent, h.beat = map[uint64]time.Time{}, h.s.now, h.s.now
	if h.incarnation == "" || !slices.ContainsFunc(h.execs, func(e *executor) bool { return e.begun }) {
		h.bornAnew()
		return
	}
	for _, e := range slices.Clone(h.execs) {
		if !e.begun { // none of its ranks has run
			e.die(false)
			continue
		}
		a := h.newApp(e.app)
		a.adopts, a.exec = true, e
		a.part.Adopting()
		a.part.Follow(&apiv1.AppRecord{App: &apiv1.App{Id: e.app, Attempt: e.attempt, Spec: &apiv1.AppSpec{}}})
		h.statuses[e.app] = &apiv1.AppStatus{App: e.app}
		if !e.told && !slices.ContainsFunc(e.in, func(c *apiv1.ExecCommand) bool { return c.GetStart() != nil }) {
			e.die(false) // its first command is another one
			a.exec, a.gone = nil, true
			a.part.AdoptFailed("executor ended while its worker was away")
			continue
		}
		e.worker = true
		e.out = slices.DeleteFunc(e.out, func(ev *apiv1.ExecEvent) bool { return ev.GetOutput() == nil })
		e.in = append(e.in, nil) // what the process before has said is read, then it is handed on
	}
}

// bornAnew makes the worker's process another incarnation, with nothing.
func (h *host) bornAnew() {
	for len(h.execs) > 0 {
		e := h.execs[0]
		e.worker = false
		e.die(false)
	}
	h.endSession()
	h.born++
	h.incarnation = fmt.Sprintf("%s-%d", h.name, h.born)
	h.lease = time.Time{}
	h.apps, h.records, h.statuses = map[string]*app{}, map[string]*apiv1.AppRecord{}, map[string]*apiv1.AppStatus{}
}

// fence ends executors past the lease's end.
func (h *host) fence() {
	if h.lease.IsZero() || !h.s.now.After(h.lease) {
		return
	}
	for _, e := range slices.Clone(h.execs) {
		e.die(true)
	}
}

func (h *host) String() string { return h.name }

func (h *host) ids() []string { return slices.Sorted(maps.Keys(h.apps)) }
