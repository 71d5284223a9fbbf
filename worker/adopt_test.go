package worker

import (
	"testing"

	"github.com/stretchr/testify/require"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/worker/part"
)

// adopts has the bench's app be one whose executor an earlier process of the worker has left, with these ranks. What was said to it before is read.
func (b *bench) adopts(ranks ...*apiv1.StandingRank) {
	b.t.Helper()
	b.has(part.Starting)
	b.a.adoption = &adoption{entry: &entry{}, standing: &apiv1.ExecStanding{Ranks: ranks}}
	b.a.part.Follow(b.rec)
	require.True(b.t, b.a.adopted(b.t.Context()))
	b.step()
}

// moves makes the record one of a migration that moves a rank, which no executor has heard of.
func (b *bench) moves(rank int32, from, to string) {
	b.rec = &apiv1.AppRecord{
		Index: b.rec.Index + 1, App: b.rec.App, Addrs: b.rec.Addrs,
		Migration: &apiv1.Migration{Id: "m1", App: "a", FromEpoch: 1, Phase: apiv1.MigrationAnnounced, Moves: []*apiv1.Move{{Rank: rank, From: from, To: to}}},
	}
}

func TestAdoptedRanks(t *testing.T) {
	b := newBench(t)
	b.adopts(&apiv1.StandingRank{Rank: 0, State: apiv1.StandingRank_STATE_RUNS, Epoch: 1})
	require.NotNil(t, b.next().GetRoutes())
	st := b.status()
	require.Len(t, st.Ranks, 1)
	require.Equal(t, apiv1.RankRunning, st.Ranks[0].State)
	require.Equal(t, apiv1.ExecutorRunning, st.Executor)

	b = newBench(t)
	b.adopts(&apiv1.StandingRank{Rank: 0, State: apiv1.StandingRank_STATE_ENDED, Epoch: 1, Ended: &apiv1.ExecEnded{ExitCode: 3, Reason: "it fell"}})
	st = b.status()
	require.Len(t, st.Ranks, 1)
	require.Equal(t, apiv1.RankEnded, st.Ranks[0].State)
	require.EqualValues(t, 3, st.Ranks[0].ExitCode)
	require.Equal(t, "it fell", st.Ranks[0].Reason)
}

// TestAdoptedThatCannotRun: an executor that could not start while its worker was away is not lost as with the host: elsewhere, and from a checkpoint, it would be the same.
func TestAdoptedThatCannotRun(t *testing.T) {
	b := newBench(t)
	b.has(part.Starting)
	b.a.part.Adopting()
	b.a.adoption = &adoption{entry: &entry{}}
	b.a.life = &life{output: b.a.output, deaf: true}
	c := b.a.child
	b.a.event(t.Context(), b.a.life, &apiv1.ExecEvent{Number: 7, Msg: &apiv1.ExecEvent_Failed{Failed: &apiv1.ExecFailed{Reason: "it is no module"}}})
	(<-b.a.inbox)()
	require.NotNil(t, c.why.Load(), "it is killed")
	b.a.childExited(c)
	(<-b.a.inbox)()
	b.a.part.Follow(b.rec)
	require.True(t, b.a.adopted(t.Context()))
	b.step()
	st := b.status()
	require.Len(t, st.Ranks, 1)
	require.Equal(t, apiv1.RankEnded, st.Ranks[0].State)
	require.Equal(t, "it is no module", st.Ranks[0].Reason)
	require.EqualValues(t, part.CodeNotRunnable, st.Ranks[0].ExitCode)
	require.False(t, st.Ranks[0].HostLost)
}

// TestAdoptedWhileARankLeaves: the migration fails, and its rank follows what the log decides all the same.
func TestAdoptedWhileARankLeaves(t *testing.T) {
	for _, committed := range []bool{true, false} {
		b := newBench(t)
		b.moves(0, "h1", "h2")
		b.adopts(&apiv1.StandingRank{Rank: 0, State: apiv1.StandingRank_STATE_FROZEN, Epoch: 1, Migration: "m1"})
		require.NotNil(t, b.next().GetRoutes())
		require.Equal(t, "m1", b.status().FailedMigration)
		require.Contains(t, b.status().FailedReason, "was started again in its midst")
		if committed {
			b.placed(2, []string{"h2", "h2"}, &apiv1.RankState{Epoch: 2}, &apiv1.RankState{Epoch: 1})
			require.Equal(t, []int32{0}, b.next().GetDrop().GetRanks())
			require.Empty(t, b.status().Ranks)
			continue
		}
		b.placed(1, []string{"h1", "h2"}, &apiv1.RankState{Epoch: 1}, &apiv1.RankState{Epoch: 1})
		require.NotNil(t, b.next().GetRoutes())
		require.Equal(t, []int32{0}, b.next().GetResume().GetRanks())
		require.Equal(t, apiv1.RankRunning, string(b.a.part.Rank(0).State))
	}
}

// TestAdoptedAfterAMigration: a rank that stands still for a migration that is over goes on, or is dropped.
func TestAdoptedAfterAMigration(t *testing.T) {
	b := newBench(t)
	b.adopts(&apiv1.StandingRank{Rank: 0, State: apiv1.StandingRank_STATE_FROZEN, Epoch: 1, Migration: "m0"})
	require.Equal(t, []int32{0}, b.next().GetResume().GetRanks())
	require.NotNil(t, b.next().GetRoutes())
	require.Empty(t, b.status().FailedMigration)
}

// TestAdoptedWithARankThatHasCome: it is not reported again, and is what the log says.
func TestAdoptedWithARankThatHasCome(t *testing.T) {
	for _, committed := range []bool{true, false} {
		b := newBench(t)
		b.moves(1, "h2", "h1")
		b.adopts(
			&apiv1.StandingRank{Rank: 0, State: apiv1.StandingRank_STATE_RUNS, Epoch: 1},
			&apiv1.StandingRank{Rank: 1, State: apiv1.StandingRank_STATE_STAGED, Migration: "m1", Staged: &apiv1.ExecStaged{Migration: "m1", Rank: 1, Digest: "00"}},
		)
		require.NotNil(t, b.next().GetRoutes())
		require.Equal(t, "m1", b.status().FailedMigration)
		require.Len(t, b.status().Ranks, 1)
		if committed {
			b.placed(2, []string{"h1", "h1"}, &apiv1.RankState{Epoch: 1}, &apiv1.RankState{Epoch: 2})
			require.NotNil(t, b.next().GetRoutes())
			require.Equal(t, []int32{1}, b.next().GetThaw().GetRanks())
			require.Len(t, b.status().Ranks, 2)
			continue
		}
		b.placed(1, []string{"h1", "h2"}, &apiv1.RankState{Epoch: 1}, &apiv1.RankState{Epoch: 1})
		require.Equal(t, []int32{1}, b.next().GetDrop().GetRanks())
	}
}

// TestAdoptedWithoutItsExecutor: what ran with one that is not there any more is lost as with the host; it is not begun anew.
func TestAdoptedWithoutItsExecutor(t *testing.T) {
	b := newBench(t)
	b.has(part.Gone)
	b.a.child = nil
	b.a.adoption = &adoption{entry: &entry{}, gone: true}
	require.True(t, b.a.adopted(t.Context()))
	b.step()
	st := b.status()
	require.Len(t, st.Ranks, 1)
	require.Equal(t, apiv1.RankEnded, st.Ranks[0].State)
	require.True(t, st.Ranks[0].HostLost)
}

// TestAdoptedWhileItBegins: ranks that are being made of a checkpoint, or of which the executor had not heard yet, are lost as with the host, all of that executor, and the app begins anew; those that are made run.
func TestAdoptedWhileItBegins(t *testing.T) {
	made := func(rank int32) *apiv1.StandingRank {
		return &apiv1.StandingRank{Rank: rank, State: apiv1.StandingRank_STATE_STAGED, Migration: "c", Staged: &apiv1.ExecStaged{Migration: "c", Rank: rank, Digest: "00"}}
	}
	for name, c := range map[string]struct {
		ranks []*apiv1.StandingRank
		lost  bool
	}{
		"made":      {[]*apiv1.StandingRank{made(0), made(1)}, false},
		"one comes": {[]*apiv1.StandingRank{made(0), {Rank: 1, State: apiv1.StandingRank_STATE_EXPECTED, Migration: "c"}}, true},
		"one heard": {[]*apiv1.StandingRank{made(0)}, true},
		"none":      {nil, true},
	} {
		b := newBench(t)
		b.rec.Restore = &apiv1.Checkpoint{Id: "c", App: "a"}
		b.rec.App.Phase, b.rec.App.Placement = "starting", []string{"h1", "h1"}
		b.adopts(c.ranks...)
		require.Equal(t, c.lost, b.a.child.leaseOver.Load(), name)
		if c.lost {
			b.a.childGone(b.a.child)
			b.step()
		}
		st := b.status()
		require.Len(t, st.Ranks, 2, name)
		for _, r := range st.Ranks {
			if !c.lost {
				require.Equal(t, apiv1.RankRunning, r.State, name)
				continue
			}
			require.Equal(t, apiv1.RankEnded, r.State, name)
			require.True(t, r.HostLost, name)
			require.Contains(t, r.Reason, "began from a checkpoint", name)
		}
	}
}

// TestHeardBeforeTheRecord: what an executor says behind how its ranks stand, and before the leader has said anything of the app, counts.
func TestHeardBeforeTheRecord(t *testing.T) {
	b := newBench(t)
	b.has(part.Starting)
	b.a.part.Follow(&apiv1.AppRecord{App: &apiv1.App{Id: "a", Spec: &apiv1.AppSpec{}}})
	b.a.adoption = &adoption{entry: &entry{}}
	b.a.life.deaf = true
	for _, ev := range []*apiv1.ExecEvent{
		{Msg: &apiv1.ExecEvent_Standing{Standing: &apiv1.ExecStanding{Ranks: []*apiv1.StandingRank{{Rank: 0, State: apiv1.StandingRank_STATE_RUNS, Epoch: 1}}}}},
		{Msg: &apiv1.ExecEvent_Ended{Ended: &apiv1.ExecEnded{Rank: 0, ExitCode: 3, Reason: "it fell"}}},
	} {
		b.a.event(t.Context(), b.a.life, ev)
		(<-b.a.inbox)()
		require.False(t, b.a.adopted(t.Context()))
	}
	b.a.part.Follow(b.rec)
	require.True(t, b.a.adopted(t.Context()))
	b.step()
	st := b.status()
	require.Len(t, st.Ranks, 1)
	require.Equal(t, apiv1.RankEnded, st.Ranks[0].State)
	require.EqualValues(t, 3, st.Ranks[0].ExitCode)
}

// TestAdoptedWhileItIsFrozen: ranks that stand still for a checkpoint with which their app is to leave its hosts, which has them, do so until it is over. Those of another go on.
func TestAdoptedWhileItIsFrozen(t *testing.T) {
	taken := func(b *bench, then apiv1.AfterCheckpoint) {
		b.rec = &apiv1.AppRecord{
			Index: b.rec.Index + 1, App: b.rec.App, Addrs: b.rec.Addrs,
			Checkpoint: &apiv1.Checkpoint{Id: "c1", Phase: apiv1.CheckpointTaken, Then: then, Parts: []*apiv1.CheckpointPart{{Host: "h1"}, {Host: "h2"}}},
		}
		b.adopts(&apiv1.StandingRank{Rank: 0, State: apiv1.StandingRank_STATE_FROZEN, Epoch: 1, Migration: "c1"})
	}
	b := newBench(t)
	taken(b, apiv1.AfterCheckpoint_AFTER_CHECKPOINT_FREEZE)
	require.NotNil(t, b.next().GetRoutes())
	require.Contains(t, b.status().Checkpoint.Fault, "was started again in its midst")
	b.placed(1, []string{"h1", "h2"}, &apiv1.RankState{Epoch: 1}, &apiv1.RankState{Epoch: 1})
	require.NotNil(t, b.next().GetRoutes())
	require.Equal(t, []int32{0}, b.next().GetResume().GetRanks())
	b = newBench(t)
	taken(b, apiv1.AfterCheckpoint_AFTER_CHECKPOINT_UNSPECIFIED)
	require.Equal(t, []int32{0}, b.next().GetResume().GetRanks())
}
