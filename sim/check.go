package sim

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/fsm"
	"github.com/godwit-run/godwit/worker/stand"
)

// sortedKeys is asked at each action; there is mostly none, or one.
func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K {
	keys := make([]K, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// began is called when a copy of a rank begins to run: there is no other that may (S9, M9). Those of hosts whose lease is over and that stand still end before they do anything.
func (s *Sim) began(e *executor, r *rank) {
	for _, h := range s.hosts {
		for _, x := range h.execs {
			if o := x.ranks[r.id]; o != nil && o != r && x.app == e.app && o.State == stand.Running && !s.fenced(h) {
				s.fail("rank %d of %s runs on %s and begins to run on %s", r.id, e.app, h.name, e.h.name)
			}
		}
	}
}

// fenced says whether what runs on a host ends before it does anything.
func (s *Sim) fenced(h *host) bool { return !h.lease.IsZero() && s.now.After(h.lease) }

// did is called when a rank has done a step of its program: nobody has done it before in this attempt, and no later attempt has begun (S8, M9).
func (s *Sim) did(e *executor, r *rank, step int32) {
	if e.attempt < s.newest[e.app] {
		s.fail("rank %d of attempt %d does step %d on %s: attempt %d has begun", r.id, e.attempt, step, e.h.name, s.newest[e.app])
	}
	s.newest[e.app] = e.attempt
	for c := range s.log.view().CheckpointsOf(fsm.AppID(e.app)) {
		if c.Then == apiv1.AfterCheckpoint_AFTER_CHECKPOINT_UNSPECIFIED || c.Attempt != e.attempt {
			continue
		}
		switch c.Phase {
		case apiv1.CheckpointTaken: // it must not become complete
			s.ranOn[c.Id] = fmt.Sprintf("rank %d has done step %d on %s", r.id, step, e.h.name)
		case apiv1.CheckpointComplete:
			s.fail("rank %d does step %d on %s, though it is frozen with checkpoint %s", r.id, step, e.h.name, c.Id)
		}
	}
	k := effect{e.app, e.attempt, r.id, step}
	if by, twice := s.effects[k]; twice {
		s.fail("rank %d of attempt %d does step %d on %s: it was done on %s", r.id, e.attempt, step, e.h.name, by)
	}
	s.effects[k] = e.h.name
}

// checkEntry looks at what an entry has done to the state (S1, S3, S4, S6, S7, S11).
func (s *Sim) checkEntry(before, after *fsm.View, cmd *apiv1.Command) {
	if err := fsm.CheckInvariants(after); err != nil {
		s.fail("after %T: %v", cmd.Op, err)
		return
	}
	for a := range after.Alarms() {
		s.fail("an alarm: %v", a)
	}
	if st := cmd.GetSetHostState(); st != nil && st.State == string(fsm.Lost) {
		s.lost = true
	}
	if h := cmd.GetRegisterHost().GetHost(); h != nil {
		if old, known := before.Host(fsm.HostID(h.Id)); known && old.Incarnation != h.Incarnation {
			s.lost = true
		}
	}
	for _, r := range cmd.GetRanksEnded().GetRanks() {
		s.lost = s.lost || r.HostLost
	}
	s.checkEnough(before, after, cmd)
	if m := cmd.GetAbortMigration(); m != nil {
		s.vain("migration", m.Id, m.Reason)
	}
	if c := cmd.GetAbortCheckpoint(); c != nil {
		s.vain("checkpoint", c.Id, c.Reason)
		s.checkAnew(after, c)
	}
	was, ok := before.App(appID)
	is, now := after.App(appID)
	if !ok || !now {
		return
	}
	if fsm.PhaseOf(was).Terminal() && was.Phase != is.Phase {
		s.fail("the app was %s and is %s", was.Phase, is.Phase)
	}
	if is.Epoch < was.Epoch || is.Attempt < was.Attempt {
		s.fail("epoch %d after %d, attempt %d after %d", is.Epoch, was.Epoch, is.Attempt, was.Attempt)
	}
	for m := range before.Migrations() {
		if n, known := after.Migration(fsm.MigrationID(m.Id)); known && fsm.MigrationPhaseOf(m).Ended() && n.Phase != m.Phase {
			s.fail("migration %s was %s and is %s", m.Id, m.Phase, n.Phase)
		}
	}
}

// checkEnd looks at the end: nothing is under way, and the app's output is that of an undisturbed run (S5, S11, M2, M5).
func (s *Sim) checkEnd() {
	v, app := s.log.view(), s.app()
	for m := range v.PendingMigrations() {
		s.fail("migration %s is %s at the end", m.Id, m.Phase)
	}
	for c := range v.PendingCheckpoints() {
		s.fail("checkpoint %s is %s at the end", c.Id, c.Phase)
	}
	for h := range v.Hosts() {
		if h.Used != 0 {
			s.fail("%s has %d slots used at the end", h.Id, h.Used)
		}
	}
	if app.Phase != apiv1.AppSucceeded {
		if !s.lost && len(s.torn) == 0 {
			s.fail("the app has %s, though no host was lost: %s", app.Phase, app.Reason)
		}
		return
	}
	want := s.apps[appID].output()
	for r, lines := range want {
		// The output is where the rank ended.
		got := s.host(app.Placement[r]).logs[appID][int32(r)]
		if !slices.Equal(got, lines) {
			s.fail("the output of rank %d on %s is\n%q\nand not\n%q", r, app.Placement[r], got, lines)
		}
	}
}

// vain looks at why something was aborted: where nothing has gone wrong only the end of a rank, or of the app, is a reason.
func (s *Sim) vain(what, id, why string) {
	if s.stats.Faults+s.mishaps == 0 && !strings.Contains(why, "has ended") {
		s.fail("%s %s is aborted, though nothing has gone wrong: %s", what, id, why)
	}
}

// checkAnew looks at whether a checkpoint that was damaged as it was stored has another in its place, a few times, unless the app is stopping.
func (s *Sim) checkAnew(after *fsm.View, abort *apiv1.AbortCheckpoint) {
	c, ok := after.Checkpoint(fsm.CheckpointID(abort.Id))
	app, _ := after.App(appID)
	if !ok || c.Phase != apiv1.CheckpointAborted {
		return
	}
	if c.Tries > mostInPlace {
		s.fail("checkpoint %s is in the place of %d others", c.Id, c.Tries)
	}
	next, begun := after.Checkpoint(fsm.CheckpointID(c.Next))
	switch {
	case begun && next.Tries != c.Tries+1:
		s.fail("checkpoint %s is in the place of %s, and says that it is try %d after %d", next.Id, c.Id, next.Tries, c.Tries)
	case begun, !strings.HasSuffix(c.Reason, ownDamage), c.Tries == mostInPlace, app.Verdict != "", fsm.PhaseOf(app) != fsm.Running, app.Epoch != c.Epoch, app.GetFiles().GetTo() != "", app.CheckpointId != "":
	default:
		s.fail("checkpoint %s was damaged as it was stored, and there is none in its place", c.Id)
	}
}

// mostInPlace is how many checkpoints may be begun, one in the place of the other.
const mostInPlace = 2

// checkEnough looks at whether what could go on does: a checkpoint has a second holder of each part where there is one, it is complete only if nothing has run on that was to stand still, and an app whose host is lost runs again
// where its checkpoint is there.
func (s *Sim) checkEnough(before, after *fsm.View, cmd *apiv1.Command) {
	ready := 0
	for h := range after.Hosts() {
		if fsm.HostStateOf(h) == fsm.Ready {
			ready++
		}
	}
	if b := cmd.GetBeginCheckpoint(); b != nil {
		if c, ok := after.Checkpoint(fsm.CheckpointID(b.Id)); ok && c.Phase == apiv1.CheckpointPending && s.stats.Faults == 0 {
			for _, p := range c.Parts {
				if p.Second == "" && ready > 1 {
					s.fail("checkpoint %s has no second host for the part of %s, though %d are ready", c.Id, p.Host, ready)
				}
			}
		}
	}
	if c := cmd.GetCompleteCheckpoint(); c != nil && s.ranOn[c.Id] != "" {
		if now, ok := after.Checkpoint(fsm.CheckpointID(c.Id)); ok && now.Phase == apiv1.CheckpointComplete {
			s.fail("checkpoint %s is complete, though %s meanwhile", c.Id, s.ranOn[c.Id])
		}
	}
	was, ok := before.App(appID)
	is, _ := after.App(appID)
	if !ok || was.Verdict == apiv1.AppFailed || fsm.PhaseOf(was).Terminal() || is.Verdict != apiv1.AppFailed && is.Phase != apiv1.AppFailed {
		return
	}
	c, ok := before.Checkpoint(fsm.CheckpointID(was.LastCheckpoint))
	if !ok || s.torn[c.Id] {
		return
	}
	for _, p := range c.Parts {
		held := false
		for _, by := range p.Holders() {
			h, ok := after.Host(fsm.HostID(by.Host))
			held = held || ok && fsm.HostStateOf(h) == fsm.Ready
		}
		if !held {
			return
		}
	}
	s.fail("the app fails (%s), though checkpoint %s is there", is.Reason, c.Id)
}
