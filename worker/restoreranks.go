package worker

import (
	"context"
	"fmt"

	"google.golang.org/protobuf/proto"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

// The ranks of an attempt that begin here from a checkpoint.

// placedHere are all ranks that the record puts on this host, those that have ended, too.
func (a *app) placedHere() (ids []int32) {
	for id := range a.part.Record().App.Placement {
		if a.part.IsMine(int32(id)) {
			ids = append(ids, int32(id))
		}
	}
	return ids
}

// restoreBytes is how long a command becomes that says what ranks are made of, about: the link has a bound for one.
const restoreBytes = 4 << 20

// restoreRanks tells the executor, which has been started, what ranks are made of.
func (a *app) restoreRanks(images map[int32]*restoredRank, ids []int32) {
	from := a.part.Record().Restore
	var ranks []*apiv1.RestoredRank
	for size := 0; len(ids) > 0; ids = ids[1:] {
		r := images[ids[0]]
		if r == nil {
			a.child.kill(fmt.Sprintf("checkpoint %s has no image of rank %d", from.Id, ids[0]))
			return
		}
		one := &apiv1.RestoredRank{Rank: ids[0], Memory: r.memory, State: r.state}
		ranks = append(ranks, one)
		if size += proto.Size(one); size >= restoreBytes || len(ids) == 1 {
			a.say(&apiv1.ExecCommand{Msg: &apiv1.ExecCommand_Restore{Restore: &apiv1.ExecRestore{Checkpoint: from.Id, App: from.App, Ranks: ranks}}})
			ranks, size = nil, 0
		}
	}
}

// rankStaged takes it that a rank has come, or was made of a checkpoint.
func (a *app) rankStaged(ctx context.Context, s *apiv1.ExecStaged) {
	restored := a.part.Restoring()
	if why := a.part.Staged(a.with(ctx), s); why != "" {
		a.child.kill(why)
		return
	}
	if restored && !a.part.Restoring() {
		a.log.Info("ranks run again from a checkpoint", "checkpoint", s.Migration)
		a.endStart()
		a.dropRestored()
	}
}

// dropRestored removes what has come for ranks that begin from a checkpoint.
func (a *app) dropRestored() {
	if r := a.restored; r != nil {
		a.restored = nil
		a.host.tasks.Go(func() error { r.drop(); return nil })
	}
}

// newAttempt forgets all that is here of an earlier attempt: its ranks are over.
func (a *app) newAttempt(ctx context.Context) {
	a.stopChild()
	a.part.Forget(a.with(ctx))
	a.dropComing()
	if a.home != nil {
		a.leaveHome()
	}
	a.dropRestored()
	a.host.removeArrivals(a.id)
	a.host.checkpoints.pin(a.id, nil)
	a.chains = map[int32]*savedChain{}
	a.wantsFiles, a.silent = false, 0
}
