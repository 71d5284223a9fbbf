package sim

import (
	"errors"
	"fmt"
	"slices"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/worker/part"
)

// app is what the worker's process has of an app: its part, and what that part's hands have begun. What is posted comes in its order.
type app struct {
	h    *host
	id   string
	part *part.Part
	exec *executor

	starting  bool // there is no process of it yet
	vain      int  // how often in a row all who could have what the ranks begin from were asked, and had it not
	refused   string
	nowhere   bool // that is because nobody has it
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

// ownDamage is why a host could not store what it had made.
const ownDamage = "its own copy is damaged"

// stores is an action: what was written is held by this host, and by the second, if it can be reached.
func (a *app) stores() {
	st := a.storing
	if a.h.s.mishap(5) {
		a.storing = nil
		a.part.SaveFault(st.checkpoint.Id, ownDamage, true)
		a.step()
		return
	}
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

// spawns is an action: a start goes on.
func (a *app) spawns() {
	rec := a.part.Record()
	var images map[int32]*image
	if a.part.Begins() {
		if a.h.full {
			a.refused = "there is no room"
			return
		}
		if images = a.fetch(); images == nil {
			a.looksElsewhere()
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

// looksElsewhere gives a start up when all who could have a part have said some times that they have not.
func (a *app) looksElsewhere() {
	s, gone := a.h.s, false
	for _, p := range a.part.Record().Restore.Parts {
		has := p.HostGone && p.Second == "" && p.Third == ""
		for _, by := range p.Holders() {
			h := s.host(by.Host)
			reached := h == a.h || h.up && !h.paused && !s.cut(a.h, h)
			has = has || !reached || h.parts[a.part.Record().Restore.Id+"/"+p.Host] != nil
		}
		gone = gone || !has
	}
	if !gone {
		a.vain = 0
		return
	}
	if a.vain++; a.vain >= maxVain {
		a.refused, a.nowhere = "nobody has it whole", true
	}
}

// maxVain is how often nobody has it before that is believed.
const maxVain = 5

// status is what the leader is told.
func (a *app) status() *apiv1.AppStatus {
	st := a.part.Status(hands{a})
	if a.starting {
		st.StartRefused, st.StartLost = a.refused, a.nowhere
	}
	return st
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
	a.h.publish(a.status())
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

// follows is an action: an app sees the newest record.
func (a *app) follows() {
	if a.part.Follow(a.h.records[a.id]) {
		a.stopExecutor()
		a.part.Forget(hands{a})
		a.standing, a.later, a.gone = nil, nil, false
	}
	a.step()
}
