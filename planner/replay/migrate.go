package replay

import (
	"cmp"
	"time"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/fsm"
	"github.com/godwit-run/godwit/planner"
)

// leavePeriod is how often hosts that are to be left are looked at.
const leavePeriod = time.Second

// foreseeLooks plans the next look of the checker, at the end of a period and only if something has changed since the last one, and
// at hosts that are to be left, until nothing is on them: they are given nothing more.
func (r *run) foreseeLooks() {
	now, period := r.clock.now, r.rules.Period
	if period > 0 && !r.checking && len(r.placed) > 0 && r.cluster.index != r.checked {
		r.checking = true
		r.clock.add(max(upTo(now, period), r.lastCheck+period), checkDue, nil)
	}
	if f := &r.faults; r.rules.Leaves && f.leave && !r.leaving {
		if f.leave = f.inUse(r.cluster.m.View()); !f.leave {
			return
		}
		r.leaving = true
		r.clock.add(f.looked+leavePeriod, leaveDue, nil)
	}
}

// upTo is the next multiple of a period, which may be now.
func upTo(now, period time.Duration) time.Duration {
	return (now + period - 1) / period * period
}

// fewHosts is up to how many hosts the planner looks at all of them for each plan. On 10,000 that takes 20 ms.
const fewHosts = 256

// check has the planner look at running jobs, as the leader's checker does. It is not asked about those of which rooms knows the answer.
func (r *run) check() error {
	v := r.cluster.follow()
	r.checked, r.lastCheck = v.Index(), r.clock.now
	packs := r.rules.Policy == planner.BinPack
	if packs && r.trace.Hosts > cmp.Or(r.cfg.few, fewHosts) && len(r.trace.Speeds) == 0 {
		return r.checkEach()
	}
	var due []fsm.AppID
	for _, t := range r.placed {
		if t.step == noStep && (!packs || r.mayImprove(t)) {
			due = append(due, t.id)
		}
	}
	if len(due) == 0 {
		return nil
	}
	for _, p := range planner.CheckMigrations(v, due) {
		if err := r.propose(p); err != nil {
			return err
		}
	}
	return nil
}

// mayImprove tells whether bin_pack has a better placement for a job as things are; where hosts differ in speed it may always have.
func (r *run) mayImprove(t *task) bool {
	return len(r.trace.Speeds) > 0 || t.links != leastLinks(t.Ranks, r.trace.Slots) && r.cluster.rooms.better(t.shares)
}

// checkEach is check by bin_pack on many hosts. The plan for a job is made of the hosts that matter for it, and proposed before the next is made: the
// state counts what it reserves, as one look at all jobs does. A test has both ways come to the same.
func (r *run) checkEach() error {
	for _, t := range r.placed {
		if t.step != noStep || !r.mayImprove(t) {
			continue
		}
		v := r.cluster.m.View()
		app, err := r.cluster.app(t.id)
		if err != nil {
			return err
		}
		plan, err := planner.Decide(planner.Request{Kind: planner.KindMigrate, Hosts: r.cluster.rooms.matter(v, t.shares), Current: app.GetPlacement()})
		if err != nil {
			return err
		}
		p := planner.Proposal{App: t.id, FromEpoch: app.GetEpoch(), Cause: planner.BinPack}
		for _, m := range plan.Moves {
			p.Moves = append(p.Moves, &apiv1.Move{Rank: int32(m.Rank), From: m.From, To: m.To})
		}
		if err := r.propose(p); err != nil {
			return err
		}
		r.cluster.follow()
	}
	return nil
}

// propose begins a migration.
func (r *run) propose(p planner.Proposal) error {
	t := r.byID[p.App]
	id := t.name()
	err := r.cluster.apply(
		&apiv1.Command{Op: &apiv1.Command_ProposeMigration{ProposeMigration: &apiv1.ProposeMigration{
			Id: id, App: string(p.App), FromEpoch: p.FromEpoch, Moves: p.Moves, Cause: p.Cause,
		}}},
		&apiv1.Command{Op: &apiv1.Command_AnnounceMigration{AnnounceMigration: &apiv1.AnnounceMigration{Id: id}}},
	)
	if err != nil {
		return err
	}
	r.counts.Migrations++
	r.counts.Moves += len(p.Moves)
	r.take(t, moving, id)
	return nil
}

// stepDone ends what a job is in the midst of.
func (r *run) stepDone(t *task) error {
	t.advance(r.clock.now)
	switch t.step {
	case moving:
		mig, _ := r.cluster.m.View().Migration(fsm.MigrationID(t.stepID))
		op := &apiv1.FreezeMigration{Id: t.stepID, Commit: true}
		for _, m := range mig.GetMoves() {
			op.Ranks = append(op.Ranks, &apiv1.FrozenRank{Rank: m.GetRank(), ImageDigest: make([]byte, fsm.MaxDigestBytes)})
		}
		if err := r.cluster.apply(&apiv1.Command{Op: &apiv1.Command_FreezeMigration{FreezeMigration: op}}); err != nil {
			return err
		}
		r.moved(t)
	case freezing:
		return r.frozen(t)
	case noStep, thawing:
	}
	r.goOn(t)
	return nil
}

// freeze begins to have a job leave its hosts with a checkpoint, to wait in the queue.
func (r *run) freeze(t *task, app *apiv1.App) error {
	id := t.name()
	err := r.cluster.apply(
		&apiv1.Command{Op: &apiv1.Command_BeginCheckpoint{BeginCheckpoint: &apiv1.BeginCheckpoint{
			Id: id, App: string(t.id), Epoch: app.GetEpoch(), Then: apiv1.AfterCheckpoint_AFTER_CHECKPOINT_QUEUE,
		}}},
		&apiv1.Command{Op: &apiv1.Command_AnnounceCheckpoint{AnnounceCheckpoint: &apiv1.AnnounceCheckpoint{Id: id}}},
	)
	if err != nil {
		return err
	}
	r.counts.Freezes++
	r.take(t, freezing, id)
	return nil
}

// frozen has the job wait, now that its checkpoint is complete. Its host keeps that, though it restarts.
func (r *run) frozen(t *task) error {
	ck, _ := r.cluster.m.View().Checkpoint(fsm.CheckpointID(t.stepID))
	complete := &apiv1.CompleteCheckpoint{Id: t.stepID}
	for _, p := range ck.GetParts() {
		complete.Parts = append(complete.Parts, &apiv1.CheckpointPart{Host: p.GetHost(), Digest: make([]byte, fsm.MaxDigestBytes)})
	}
	err := r.cluster.apply(
		&apiv1.Command{Op: &apiv1.Command_TakeCheckpoint{TakeCheckpoint: &apiv1.TakeCheckpoint{Id: t.stepID}}},
		&apiv1.Command{Op: &apiv1.Command_CompleteCheckpoint{CompleteCheckpoint: complete}},
	)
	if err != nil {
		return err
	}
	app, err := r.cluster.app(t.id)
	if err != nil {
		return err
	}
	cmds := endedOn(app, 0)
	if t.lastCheckpoint != "" {
		cmds = append(cmds, removeCheckpoint(t.lastCheckpoint))
	}
	if err := r.cluster.apply(cmds...); err != nil {
		return err
	}
	t.lastCheckpoint, t.saved = t.stepID, t.done
	r.unplaced(t)
	return nil
}

// unplaced notes that a job waits again.
func (r *run) unplaced(t *task) {
	t.step, t.stepID = noStep, ""
	t.stamp++
	r.moved(t)
}

func removeCheckpoint(id string) *apiv1.Command {
	return &apiv1.Command{Op: &apiv1.Command_RemoveCheckpoint{RemoveCheckpoint: &apiv1.RemoveCheckpoint{Ids: []string{id}}}}
}
