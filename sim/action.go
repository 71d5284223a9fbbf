package sim

import (
	"fmt"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/fsm"
	"github.com/godwit-run/godwit/worker/stand"
)

func (s *Sim) add(weight int, of fmt.Stringer, name string, do func()) {
	s.addRank(weight, of, -1, name, do)
}

func (s *Sim) addRank(weight int, of fmt.Stringer, rank int32, name string, do func()) {
	s.actions = append(s.actions, action{weight, name, of, rank, do})
}

// collect finds what may happen next.
func (s *Sim) collect() {
	s.add(4, nil, "time goes by", s.tick)
	for _, h := range s.hosts {
		s.ofHost(h)
	}
	s.ofLeader(s.leader)
	for _, l := range s.deposed {
		s.ofLeader(l)
		s.add(1, l, "knows that it is deposed", func() { s.retire(l) })
	}
	for _, l := range s.links {
		s.ofLink(l)
	}
	if !s.calm {
		app := s.app()
		busy := app.MigrationId != "" || app.CheckpointId != "" || app.Verdict != ""
		phase := fsm.PhaseOf(app)
		if s.asks > 0 && (phase == fsm.Frozen || phase == fsm.Running || phase == fsm.Migrating) && (!busy || s.rnd.IntN(100) == 0) {
			s.add(2, nil, "somebody asks", s.ask)
		}
		if s.faults > 0 && (s.cfg.Seed%4 == 0 || app.LastCheckpoint != "") && (busy || phase == fsm.Starting || s.rnd.IntN(10) == 0) { // mostly where something is under way
			weight := 1
			if c, ok := s.log.view().CheckpointUnderWay(appID); ok && c.Then != apiv1.AfterCheckpoint_AFTER_CHECKPOINT_UNSPECIFIED && c.Phase == apiv1.CheckpointTaken {
				weight = 8 // that does not last long
			}
			s.add(weight, nil, "a fault", s.fault)
		}
	} else if fsm.PhaseOf(s.app()) == fsm.Frozen {
		s.add(20, nil, "thaw", func() { s.client(&apiv1.Command{Op: &apiv1.Command_ThawApp{ThawApp: &apiv1.ThawApp{App: appID}}}) })
	}
}

func (s *Sim) ofLeader(l *leader) {
	for i, d := range l.dirty {
		if d {
			s.addRank(6, l, int32(i), "a duty", func() { l.looks(i) })
		}
	}
	if l == s.leader && len(l.pending) > 0 {
		s.add(8, l, "an entry is committed", func() { s.commit(l) })
	}
}

func (s *Sim) ofHost(h *host) {
	if h.paused {
		return
	}
	for _, e := range h.execs {
		s.ofExecutor(e)
	}
	if !h.up {
		s.add(2, h, "a worker begins", h.boot)
		return
	}
	s.ofSession(h)
	for _, id := range sortedKeys(h.apps) {
		s.ofApp(h.apps[id])
	}
}

func (s *Sim) ofSession(h *host) {
	t := h.session
	if t == nil {
		if !h.apart {
			s.add(6, h, "joins the leader", h.joinsLeader)
		}
		return
	}
	if !s.now.Before(h.beat) {
		s.add(6, h, "heartbeat", h.beats)
	}
	if !h.apart {
		if len(t.up) > 0 {
			s.add(6, h, "the leader hears it", t.takes)
		}
		if len(t.down) > 0 {
			s.add(6, h, "hears the leader", t.hears)
		}
	}
	if s.now.Sub(h.silent) > patience {
		s.add(3, h, "leaves its leader, which is silent", func() { h.silent = s.now; h.endSession() })
	}
}

func (s *Sim) ofApp(a *app) {
	h := a.h
	if rec := h.records[a.id]; rec != nil && rec != a.part.Record() {
		s.add(6, h, "the app sees a record", a.follows)
	}
	if len(a.posts) > 0 {
		s.add(6, h, "its executor is gone", func() {
			f := a.posts[0]
			a.posts = a.posts[1:]
			f()
			a.step()
		})
	}
	if a.starting && a.refused == "" {
		s.add(4, h, "a start goes on", func() { a.spawns(); a.step() })
	}
	if a.exec != nil && a.exec.alive && len(a.exec.out) > 0 {
		s.add(8, h, "hears its executor", a.hears)
	}
	if a.cancelled && a.exec != nil && a.exec.alive {
		s.add(1, h, "the grace is over", func() { a.exec.die(false) })
	}
	for _, id := range sortedKeys(a.sending) {
		if t := a.sending[id]; !t.over && (!t.ahead || t.last) {
			s.add(6, h, "sends a log", func() { a.sends(id) })
		}
	}
	if a.storing != nil {
		s.add(3, h, "stores a part", a.stores)
	}
}

func (s *Sim) ofExecutor(e *executor) {
	if len(e.in) > 0 {
		s.add(8, e, "takes a command", func() {
			c := e.in[0]
			e.in = e.in[1:]
			if s.tracing {
				s.trace("  %v", c)
			}
			e.do(c)
		})
	}
	for _, id := range e.ids() {
		r := e.ranks[id]
		switch r.State {
		case stand.Running:
			s.addRank(2, e, id, "runs", func() { e.runs(r) })
			if w := r.way; w != nil && !w.over && !w.rounds.Ready && w.vain == "" {
				s.addRank(4, e, id, "goes ahead", func() { e.goesAhead(r) })
			}
			if w := r.way; w != nil && !w.over && w.rounds.Ready && w.to != "" && !s.calm && s.rnd.IntN(30) == 0 && w.vain == "" {
				s.addRank(1, e, id, "begins anew", func() { e.ends(r, stand.EndBroken, true, "it broke") })
			}
		case stand.Capturing:
			s.addRank(6, e, id, "goes", func() { e.sends(r) })
		case stand.Expected:
			if r.load != nil {
				s.addRank(6, e, id, "is made", func() { e.stage(r, r.load) })
			}
		default:
		}
	}
}

func (s *Sim) ofLink(l *link) {
	if !l.up {
		if s.mayBeUp(l) {
			s.add(4, l, "a link comes up", func() { s.connects(l) })
		}
		return
	}
	if s.cut(l.ends[0].h, l.ends[1].h) {
		s.add(4, l, "a link breaks", l.lose)
		return
	}
	for to := range l.ways {
		if l.ends[to].h.paused {
			continue
		}
		for way := range l.ways[to] {
			if len(l.ways[to][way]) > 0 {
				s.add(6, l, "a frame comes", func() { l.takes(to, way) })
			}
		}
	}
}
