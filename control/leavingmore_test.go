package control

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/control/steps"
	"github.com/godwit-run/godwit/fsm"
)

// TestForceEndsWhatNobodyCouldHold: an app that could be frozen only onto machines that go is ended by force, and by force only.
func TestForceEndsWhatNobodyCouldHold(t *testing.T) {
	b := newBench(t, nil)
	b.propose(&apiv1.Command{Op: &apiv1.Command_SetFeatureLevel{SetFeatureLevel: &apiv1.SetFeatureLevel{Level: fsm.FeatureLevel}}})
	b.host("h1", 2)
	b.submit("a", &apiv1.AppSpec{Size: 2})
	b.place()
	b.report("h1", &apiv1.AppStatus{App: "a", Executor: "running"})
	b.l.takeReports(b.ctx)
	now := time.Unix(1000, 0)
	b.wishAt(now, "h1", fsm.Evicting, 24*time.Hour, false)
	b.wishAt(now, "h1", fsm.Draining, time.Minute, true)
	x := b.l.newLeaving()
	x.now = func() time.Time { return now }
	for range 2 * 3600 {
		x.look(b.ctx)
		now = now.Add(500 * time.Millisecond)
	}
	require.Equal(t, "failed", b.app("a").Verdict)
}

// TestFreezesCountThoughRanksEnd: a freeze that is under way is known when ranks of the app end meanwhile.
func TestFreezesCountThoughRanksEnd(t *testing.T) {
	b, x, now := toLeave(t, 0)
	b.wish("h1", fsm.Evicting, 2*time.Hour, false)
	*now = now.Add(time.Hour)
	x.look(b.ctx)
	x.look(b.ctx)
	_, under := b.l.c.state.View().CheckpointUnderWay("a")
	require.True(t, under)
	begun := *now
	*now = now.Add(5 * time.Second)
	b.proposeAt(*now, &apiv1.Command{Op: &apiv1.Command_RanksEnded{RanksEnded: &apiv1.RanksEnded{App: "a", Host: "h1", Ranks: []*apiv1.EndedRank{{Rank: 0, Epoch: 1}}}}})
	x.look(b.ctx)
	*now = now.Add(5 * time.Second)
	b.abortAll(*now, "a rank on host h2 did not stop within 10s")
	x.look(b.ctx)
	x.look(b.ctx)
	_, under = b.l.c.state.View().CheckpointUnderWay("a")
	require.False(t, under, "a second freeze at once, %v after the first was begun", now.Sub(begun))
}

// TestRenewsForTheBetterOnly: no checkpoint is made in the place of one that only hosts have which are to be left, if they alone would have that too.
func TestRenewsForTheBetterOnly(t *testing.T) {
	b, k, now := saved(t, nil)
	b.l.c.setLeader(b.l)
	for _, h := range []string{"h2", "h3"} {
		b.propose(&apiv1.Command{Op: &apiv1.Command_SetHostUnfit{SetHostUnfit: &apiv1.SetHostUnfit{Host: h, Incarnation: "i-" + h, Reason: "its disk is nearly full"}}})
	}
	b.propose(&apiv1.Command{Op: &apiv1.Command_RanksEnded{RanksEnded: &apiv1.RanksEnded{App: "a", Host: "h1", Ranks: []*apiv1.EndedRank{{Rank: 0, Epoch: 1}}}}})
	made := 0
	finish := func() { made += b.completes("a") }
	b.propose(&apiv1.Command{Op: &apiv1.Command_BeginCheckpoint{BeginCheckpoint: &apiv1.BeginCheckpoint{
		Id: "c1", App: "a", Epoch: 1, Cause: "manual", Parts: []*apiv1.CheckpointPart{{Host: "h1"}, {Host: "h2"}},
	}}})
	finish()
	made = 0
	b.wish("h1", fsm.Draining, 0, false)
	for range 600 {
		k.look(b.ctx)
		finish()
		*now = now.Add(time.Second)
	}
	require.LessOrEqual(t, made, 22, "those of its own period, each 30 s")
}

// TestSecondThatStays: what a host that is to be left makes is held by one that stays, where there is one.
func TestSecondThatStays(t *testing.T) {
	b, k, now := saved(t, nil)
	b.l.c.setLeader(b.l)
	b.host("h0", 1)
	b.propose(&apiv1.Command{Op: &apiv1.Command_RanksEnded{RanksEnded: &apiv1.RanksEnded{App: "a", Host: "h1", Ranks: []*apiv1.EndedRank{{Rank: 0, Epoch: 1}}}}})
	made := 0
	finish := func() { made += b.completes("a") }
	for _, h := range []string{"h0", "h1", "h3"} {
		b.wish(h, fsm.Draining, 0, false)
	}
	for range 600 {
		k.look(b.ctx)
		finish()
		*now = now.Add(time.Second)
	}
	res, err := b.l.c.GetHost(b.ctx, &apiv1.GetHostRequest{Host: "h1"})
	require.NoError(t, err)
	require.Equal(t, "drained", res.Host.Wish, "h2 stays, and is fit")
}

// TestSecondsOfThreeHosts: so it is of an app on several hosts of which one stays.
func TestSecondsOfThreeHosts(t *testing.T) {
	b := newBench(t, nil)
	b.propose(&apiv1.Command{Op: &apiv1.Command_SetFeatureLevel{SetFeatureLevel: &apiv1.SetFeatureLevel{Level: fsm.FeatureLevel}}})
	for _, h := range []string{"h0", "h1", "h2", "h3"} {
		b.host(h, 8)
	}
	bad := 0
	ids := []string{"a", "b", "c", "d", "e", "f"}
	for _, id := range ids {
		b.submit(id, &apiv1.AppSpec{Size: 3, Place: []*apiv1.PlaceRule{{Host: "h1", Ranks: 1}, {Host: "h2", Ranks: 1}, {Host: "h3", Ranks: 1}}})
		b.place()
		for _, h := range []string{"h1", "h2", "h3"} {
			b.report(h, &apiv1.AppStatus{App: id, Executor: "running"})
		}
		b.l.takeReports(b.ctx)
		b.propose(&apiv1.Command{Op: &apiv1.Command_RanksEnded{RanksEnded: &apiv1.RanksEnded{App: id, Host: "h1", Ranks: []*apiv1.EndedRank{{Rank: 0, Epoch: 1}}}}})
		b.propose(&apiv1.Command{Op: &apiv1.Command_RanksEnded{RanksEnded: &apiv1.RanksEnded{App: id, Host: "h3", Ranks: []*apiv1.EndedRank{{Rank: 2, Epoch: 1}}}}})
	}
	for _, h := range []string{"h0", "h1", "h3"} {
		b.wish(h, fsm.Draining, 0, false)
	}
	v := b.l.c.state.View()
	for _, id := range ids {
		parts := steps.BeginCheckpoint(v, b.app(id), "x", steps.CausePeriod, 0).Command.GetBeginCheckpoint().Parts
		if parts[0].Second != "h2" || parts[2].Second != "h2" {
			bad++
		}
	}
	require.Zero(t, bad, "h2 stays")
}

// TestFrozenOntoTheOneThatStays: an app on two machines that go, and one that stays, is frozen in time.
func TestFrozenOntoTheOneThatStays(t *testing.T) {
	b := newBench(t, nil)
	b.propose(&apiv1.Command{Op: &apiv1.Command_SetFeatureLevel{SetFeatureLevel: &apiv1.SetFeatureLevel{Level: fsm.FeatureLevel}}})
	for _, h := range []string{"h1", "h2", "h3"} {
		b.host(h, 2)
	}
	b.submit("a", &apiv1.AppSpec{Size: 6})
	b.place()
	for _, h := range []string{"h1", "h2", "h3"} {
		b.report(h, &apiv1.AppStatus{App: "a", Executor: "running"})
	}
	b.l.takeReports(b.ctx)
	require.Equal(t, "running", b.app("a").Phase)
	b.wish("h1", fsm.Evicting, 10*time.Minute, false)
	b.wish("h3", fsm.Evicting, 10*time.Minute, false)
	x, now := b.l.newLeaving(), time.Unix(1000, 0)
	x.now = func() time.Time { return now }
	for range 1180 {
		x.look(b.ctx)
		now = now.Add(500 * time.Millisecond)
	}
	require.NotEmpty(t, b.app("a").CheckpointId, "h2 stays, and is ready")
}

// the same, of hosts that only are drained: what is frozen by force has a part that only they have

// TestPeriodGoesOnAfterVainFreezes: checkpoints of an app's period are made while it cannot be frozen.
func TestPeriodGoesOnAfterVainFreezes(t *testing.T) {
	b, k, now := saved(t, nil)
	b.l.c.setLeader(b.l)
	for _, h := range []string{"h3"} {
		b.propose(&apiv1.Command{Op: &apiv1.Command_SetHostUnfit{SetHostUnfit: &apiv1.SetHostUnfit{Host: h, Incarnation: "i-" + h, Reason: "its disk is nearly full"}}})
	}
	b.wishAt(*now, "h1", fsm.Evicting, 10*time.Minute, false)
	x := b.l.newLeaving()
	x.now = func() time.Time { return *now }
	b.l.leaving = x
	freezes, made := 0, 0
	end := now.Add(24 * time.Hour)
	late := now.Add(time.Hour)
	for now.Before(end) {
		x.look(b.ctx)
		k.look(b.ctx)
		if id := b.app("a").CheckpointId; id != "" {
			ck, _ := b.l.c.state.View().Checkpoint(fsm.CheckpointID(id))
			if ck.Cause == steps.CauseFreeze {
				freezes++
				b.proposeAt(*now, &apiv1.Command{Op: &apiv1.Command_AbortCheckpoint{AbortCheckpoint: &apiv1.AbortCheckpoint{Id: id, Reason: "a host's images do not come"}}})
			} else {
				if now.After(late) {
					made++
				}
				var parts []*apiv1.CheckpointPart
				for _, p := range ck.Parts {
					parts = append(parts, &apiv1.CheckpointPart{Host: p.Host, Digest: make([]byte, 32), Bytes: 1})
				}
				b.proposeAt(*now, &apiv1.Command{Op: &apiv1.Command_AnnounceCheckpoint{AnnounceCheckpoint: &apiv1.AnnounceCheckpoint{Id: id}}})
				b.proposeAt(*now, &apiv1.Command{Op: &apiv1.Command_TakeCheckpoint{TakeCheckpoint: &apiv1.TakeCheckpoint{Id: id, Parts: parts}}})
				b.proposeAt(*now, &apiv1.Command{Op: &apiv1.Command_CompleteCheckpoint{CompleteCheckpoint: &apiv1.CompleteCheckpoint{Id: id, Parts: parts}}})
			}
		}
		*now = now.Add(2 * time.Second)
	}
	require.NotZero(t, made)
}

// completes has the checkpoint that an app has under way be complete at once; it is how many those are: 1 or none.
func (b *bench) completes(app string) int {
	id := b.app(app).CheckpointId
	if id == "" {
		return 0
	}
	ck, _ := b.l.c.state.View().Checkpoint(fsm.CheckpointID(id))
	var parts []*apiv1.CheckpointPart
	for _, p := range ck.Parts {
		parts = append(parts, &apiv1.CheckpointPart{Host: p.Host, Digest: make([]byte, 32), Bytes: 1})
	}
	b.propose(&apiv1.Command{Op: &apiv1.Command_AnnounceCheckpoint{AnnounceCheckpoint: &apiv1.AnnounceCheckpoint{Id: id}}})
	b.propose(&apiv1.Command{Op: &apiv1.Command_TakeCheckpoint{TakeCheckpoint: &apiv1.TakeCheckpoint{Id: id, Parts: parts}}})
	b.propose(&apiv1.Command{Op: &apiv1.Command_CompleteCheckpoint{CompleteCheckpoint: &apiv1.CompleteCheckpoint{Id: id, Parts: parts}}})
	return 1
}

// TestVainFreezesDoNotBarMoves: an app that could not be frozen time and again is moved each half a minute at the latest once there is room, but for the freezes between.
func TestVainFreezesDoNotBarMoves(t *testing.T) {
	b, x, now := toLeave(t, 0)
	b.wish("h1", fsm.Evicting, 4*time.Hour, false)
	*now = now.Add(2 * time.Hour)
	freezes(b, x, now, now.Add(12*time.Minute))
	b.host("h3", 4)
	last := *now
	for until := now.Add(12 * time.Minute); now.Before(until); *now = now.Add(500 * time.Millisecond) {
		x.look(b.ctx)
		if !b.abortAll(*now, "a rank computes") {
			if n := len(b.migrationsOf("a")); n > 0 && b.migrationsOf("a")[n-1].EndedAt.AsTime().Equal(now.UTC()) {
				require.Less(t, now.Sub(last), 2*leaveAgainMost+time.Second)
				last = *now
			}
		}
	}
	require.Less(t, now.Sub(last), 2*leaveAgainMost+time.Second)
}

// TestForceAfterVainFreezes: an app that could not be frozen time and again is ended soon once its host is to be left by force; where there is room it is moved before.
func TestForceAfterVainFreezes(t *testing.T) {
	for _, room := range []int32{0, 4} {
		b, x, now := toLeave(t, 0)
		b.wishAt(*now, "h1", fsm.Evicting, 24*time.Hour, false)
		*now = now.Add(12 * time.Hour)
		for until := now.Add(70 * time.Minute); now.Before(until) || x.apps["a"].rest.Sub(*now) < 5*time.Minute; {
			freezes(b, x, now, now.Add(time.Minute))
		}
		if room > 0 {
			b.host("h3", room)
		}
		b.wishAt(*now, "h1", fsm.Draining, 0, true)
		moved := false
		for until := now.Add(2 * time.Minute); now.Before(until) && b.app("a").Verdict == ""; *now = now.Add(500 * time.Millisecond) {
			x.look(b.ctx)
			_, moves := b.l.c.state.View().PendingMigrationOf("a")
			moved = moved || moves
			b.abortAll(*now, "a rank computes")
		}
		require.Equal(t, string(fsm.Failed), b.app("a").Verdict)
		require.Equal(t, room > 0, moved)
	}
}
