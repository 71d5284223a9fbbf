package sim

import (
	"fmt"
	"slices"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/control/steps"
	"github.com/godwit-run/godwit/fsm"
)

// What people, and machines that go, wish of hosts, and what a leader does for it. The real duties are in package control; here are plain ones, around the same rules of the state.

// wish is what somebody wishes of a host, by the dice.
func (s *Sim) wish() {
	op := &apiv1.SetHostWish{Host: s.hosts[s.rnd.IntN(len(s.hosts))].name, Reason: "somebody wishes it"}
	wishes := []fsm.Wish{fsm.Draining, fsm.Draining, fsm.Evicting, fsm.Cordoned, fsm.Schedulable, fsm.Schedulable}
	op.Wish = string(wishes[s.rnd.IntN(len(wishes))])
	if op.Wish == string(fsm.Evicting) {
		op.InMs = 1 + s.rnd.Int64N(60_000)
	}
	s.client(&apiv1.Command{Op: &apiv1.Command_SetHostWish{SetHostWish: op}})
}

// wishNothing takes all wishes back.
func (s *Sim) wishNothing() {
	for h := range s.log.view().Hosts() {
		if fsm.WishOf(h) != fsm.Schedulable {
			s.client(&apiv1.Command{Op: &apiv1.Command_SetHostWish{SetHostWish: &apiv1.SetHostWish{Host: h.Id, Wish: string(fsm.Schedulable)}}})
		}
	}
}

// leave has the app leave hosts that are to be left, to where there is room; or, where there is none and a machine goes, be frozen.
func (l *leader) leave(v *fsm.View) {
	for app := range v.Placed() {
		if !steps.MayCheckpoint(v, app) {
			continue
		}
		free := map[string]int{}
		for h := range v.Hosts() {
			if fsm.TakesRanks(h) {
				free[h.Id] = fsm.Free(h)
			}
		}
		var moves []*apiv1.Move
		fits, goes := true, false
		for r, from := range app.Placement {
			h, ok := v.Host(fsm.HostID(from))
			if app.HasEnded(int32(r)) || !ok || !fsm.ToBeLeft(h) {
				continue
			}
			goes = goes || fsm.WishOf(h) == fsm.Evicting
			to := ""
			for _, name := range sortedKeys(free) {
				if free[name] > 0 && to == "" {
					to = name
				}
			}
			fits = fits && to != ""
			free[to]--
			moves = append(moves, &apiv1.Move{Rank: int32(r), From: from, To: to})
		}
		switch {
		case len(moves) == 0:
		case fits:
			l.propose(&steps.Step{What: "leave", Command: &apiv1.Command{Op: &apiv1.Command_ProposeMigration{ProposeMigration: &apiv1.ProposeMigration{
				Id: fmt.Sprintf("l%d", l.s.log.index), App: app.Id, FromEpoch: app.Epoch, Moves: moves, Cause: "drain",
			}}}})
		case goes:
			begin := steps.BeginCheckpoint(v, app, fsm.CheckpointID(fmt.Sprintf("e%d", l.s.log.index)), steps.CausePeriod, apiv1.AfterCheckpoint_AFTER_CHECKPOINT_FREEZE)
			if steps.Alone(v, begin) == "" {
				l.propose(begin)
			}
		}
	}
}

// copies has parts that are thin brought to another host, from one that has them, where both can be reached.
func (l *leader) copies(v *fsm.View) {
	s := l.s
	for app := range v.InFlightAfter(fsm.Place{}) {
		for _, p := range v.ThinParts(app) {
			name := p.Checkpoint.Id + "/" + p.Part.Host
			var part *stored
			var from *host
			for _, id := range p.From {
				if h := s.host(string(id)); part == nil && h.up && !h.paused {
					from, part = h, h.parts[name]
				}
			}
			for _, to := range s.hosts {
				h, ok := v.Host(fsm.HostID(to.name))
				held := slices.ContainsFunc(p.Part.Holders(), func(by apiv1.Holder) bool { return by.Host == to.name })
				if part == nil || held || !ok || !fsm.TakesRanks(h) || !to.up || to.paused || s.cut(from, to) {
					continue
				}
				to.parts[name] = part
				l.propose(&steps.Step{What: "copy " + name, Command: &apiv1.Command{Op: &apiv1.Command_HoldPart{HoldPart: &apiv1.HoldPart{
					Id: p.Checkpoint.Id, Host: p.Part.Host, To: to.name,
				}}}})
				break
			}
		}
	}
}
