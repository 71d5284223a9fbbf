package control

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/fsm"
	"github.com/godwit-run/godwit/planner"
)

// What a host that goes does with apps that can only be frozen.

// TestEvictionFreezesInTime: an app that fits nowhere else is frozen when half of the notice is over, and those of the host that goes first leave first.
func TestEvictionFreezesInTime(t *testing.T) {
	b, x, now := toLeave(t, 0)
	b.wish("h1", fsm.Evicting, time.Minute, false)
	for range 29 {
		*now = now.Add(time.Second)
		x.look(b.ctx)
		require.Empty(t, b.app("a").CheckpointId)
	}
	for range 31 {
		*now = now.Add(time.Second)
		x.look(b.ctx)
	}
	_, ok := b.l.c.state.View().CheckpointUnderWay("a")
	require.True(t, ok)

	b.wish("h2", fsm.Evicting, time.Second, false)
	b.wish("h3", fsm.Draining, 0, false)
	var order []string
	x.look(b.ctx)
	for _, h := range x.inOrder(b.l.c.state.View()) {
		order = append(order, h.Id)
	}
	require.Equal(t, []string{"h2", "h1"}, order, "h3 is drained")
}

// TestSpotFreezesAtOnce: an app that has asked for spot does not wait for half of the notice.
func TestSpotFreezesAtOnce(t *testing.T) {
	b := newBench(t, nil)
	b.propose(&apiv1.Command{Op: &apiv1.Command_SetFeatureLevel{SetFeatureLevel: &apiv1.SetFeatureLevel{Level: fsm.FeatureLevel}}})
	b.host("h1", 2)
	b.host("h2", 0)
	b.submit("a", &apiv1.AppSpec{Size: 2, Policy: planner.Spot})
	b.place()
	b.report("h1", &apiv1.AppStatus{App: "a", Executor: "running"})
	b.l.takeReports(b.ctx)
	require.Equal(t, "running", b.app("a").Phase)
	x := b.l.newLeaving()
	x.now = func() time.Time { return time.Unix(1001, 0) }
	b.wish("h1", fsm.Evicting, time.Minute, false)
	x.look(b.ctx)
	c, ok := b.l.c.state.View().CheckpointUnderWay("a")
	require.True(t, ok)
	require.Equal(t, apiv1.AfterCheckpoint_AFTER_CHECKPOINT_QUEUE, c.Then)
}

// abortAll aborts what the app has under way, and says whether that was a checkpoint.
func (b *bench) abortAll(at time.Time, why string) (checkpoint bool) {
	b.t.Helper()
	at = at.UTC()
	v := b.l.c.state.View()
	if m, ok := v.PendingMigrationOf("a"); ok {
		b.proposeAt(at, &apiv1.Command{Op: &apiv1.Command_AbortMigration{AbortMigration: &apiv1.AbortMigration{Id: m.Id, Reason: why}}})
	}
	if c, ok := v.CheckpointUnderWay("a"); ok {
		b.proposeAt(at, &apiv1.Command{Op: &apiv1.Command_AbortCheckpoint{AbortCheckpoint: &apiv1.AbortCheckpoint{Id: c.Id, Reason: why}}})
		return true
	}
	return false
}

// freezes lets a time go by, in which migrations come to nothing at once, and each freeze is aborted ten seconds after it has begun, and returns when they began.
func freezes(b *bench, x *leaving, now *time.Time, until time.Time) (begun []time.Time) {
	for under := false; now.Before(until); *now = now.Add(500 * time.Millisecond) {
		x.look(b.ctx)
		_, freezing := b.l.c.state.View().CheckpointUnderWay("a")
		if freezing && !under {
			begun = append(begun, *now)
		}
		if under = freezing; freezing && now.Sub(begun[len(begun)-1]) >= 10*time.Second {
			b.abortAll(*now, "a rank on host h2 did not stop within 10s")
			under = false
		}
		if m, ok := b.l.c.state.View().PendingMigrationOf("a"); ok {
			b.proposeAt(*now, &apiv1.Command{Op: &apiv1.Command_AbortMigration{AbortMigration: &apiv1.AbortMigration{Id: m.Id, Reason: "a rank computes"}}})
		}
	}
	return begun
}

// TestForcedDrainEndsWhatDoesNotStandStill: an app that cannot be frozen since a rank of it does not stop is ended by force after a few tries, between which it can compute, and the host says
// meanwhile what keeps it; without force it goes on.
func TestForcedDrainEndsWhatDoesNotStandStill(t *testing.T) {
	b, x, now := toLeave(t, 0)
	b.wish("h1", fsm.Draining, 0, true)
	begun := freezes(b, x, now, now.Add(36*time.Second))
	require.Contains(t, b.said("h1"), "app a could not be frozen at 2 tries, the last time: a rank on host h2 did not stop within 10s")
	begun = append(begun, freezes(b, x, now, now.Add(45*time.Second))...)
	require.Len(t, begun, freezesInVain)
	for i, pause := range []time.Duration{15 * time.Second, 30 * time.Second} {
		require.GreaterOrEqual(t, begun[i+1].Sub(begun[i]), 10*time.Second+pause, "from the end of the one before")
	}
	require.Equal(t, "failed", b.app("a").Verdict)
	require.Contains(t, b.app("a").Reason, "host h1 is drained by force")
	require.Contains(t, b.app("a").Reason, "a rank on host h2 did not stop within 10s")
}

// TestEvictedThatDoesNotStandStillComputes: an app that cannot be frozen stands still for that a small part of the time that is left only, and is not ended for it.
func TestEvictedThatDoesNotStandStillComputes(t *testing.T) {
	b, x, now := toLeave(t, 0)
	b.wish("h1", fsm.Evicting, 2*time.Hour, false)
	begun := freezes(b, x, now, now.Add(2*time.Hour))
	require.Greater(t, len(begun), 5)
	require.Less(t, len(begun), 30)
	require.Empty(t, b.app("a").Verdict)
	b, x, now = toLeave(t, 0)
	b.wish("h1", fsm.Evicting, time.Minute, false)
	require.Greater(t, len(freezes(b, x, now, now.Add(time.Minute))), 1, "there is time for another try")
}

// TestFreezeOfTheHostThatGoes: an app on several hosts is frozen in time for the one of them that asks for it first, whatever is wished of the others.
func TestFreezeOfTheHostThatGoes(t *testing.T) {
	for _, deadline := range []time.Duration{0, 10 * time.Second} {
		b, x, now := toLeave(t, 0)
		b.wish("h1", fsm.Draining, deadline, false)
		b.wish("h2", fsm.Evicting, time.Minute, false)
		begun := freezes(b, x, now, now.Add(time.Minute))
		require.NotEmpty(t, begun)
		require.Equal(t, 30*time.Second, begun[0].Sub(time.Unix(1000, 0)))
	}
	b, x, now := toLeave(t, 0)
	b.wish("h1", fsm.Evicting, time.Minute, false)
	b.wish("h1", fsm.Draining, 0, false)
	require.NotEmpty(t, freezes(b, x, now, now.Add(time.Minute)), "a drain gives an evicted machine no time")
}

// TestFreezesAndMovesTakeTurns: when it is time to freeze an app it may move as well, where there is room: neither bars the other, whatever comes of it.
func TestFreezesAndMovesTakeTurns(t *testing.T) {
	b, x, now := toLeave(t, 0)
	b.wish("h1", fsm.Evicting, 10*time.Minute, false)
	begun := freezes(b, x, now, now.Add(5*time.Minute+20*time.Second))
	require.NotEmpty(t, begun)
	require.Empty(t, b.migrationsOf("a"))
	b.host("h3", 4)
	freezes(b, x, now, now.Add(2*time.Second))
	require.NotEmpty(t, b.migrationsOf("a"), "there is room now")
	begun = freezes(b, x, now, now.Add(4*time.Minute))
	require.Greater(t, len(b.migrationsOf("a")), 2)
	require.Greater(t, len(begun), 2)
}

// TestImagesOnTheirWayKeepNobody: a checkpoint that is taken does not keep ranks on a host that goes; and when it is nearly time to freeze them none is begun.
func TestImagesOnTheirWayKeepNobody(t *testing.T) {
	b, x, now := toLeave(t, 4)
	parts := []*apiv1.CheckpointPart{{Host: "h1", Second: "h2"}, {Host: "h2", Second: "h1"}}
	b.propose(&apiv1.Command{Op: &apiv1.Command_BeginCheckpoint{BeginCheckpoint: &apiv1.BeginCheckpoint{Id: "c1", App: "a", Epoch: 1, Cause: "period", Parts: parts}}})
	b.wish("h1", fsm.Evicting, 10*time.Minute, false)
	x.look(b.ctx)
	require.Empty(t, b.migrationsOf("a"))
	require.False(t, x.freezesSoon("a"))
	b.propose(&apiv1.Command{Op: &apiv1.Command_AnnounceCheckpoint{AnnounceCheckpoint: &apiv1.AnnounceCheckpoint{Id: "c1"}}})
	b.propose(&apiv1.Command{Op: &apiv1.Command_TakeCheckpoint{TakeCheckpoint: &apiv1.TakeCheckpoint{Id: "c1", Parts: []*apiv1.CheckpointPart{{Host: "h1"}, {Host: "h2"}}}}})
	x.look(b.ctx)
	require.Len(t, b.migrationsOf("a"), 1)
	*now = now.Add(4 * time.Minute)
	x.look(b.ctx)
	require.True(t, x.freezesSoon("a"))
}

// TestFreezeAwaitsImages: an app whose last checkpoint is on its way when it is time to freeze it is frozen as soon as that is over, however long it had found no room.
func TestFreezeAwaitsImages(t *testing.T) {
	b, x, now := toLeave(t, 0)
	b.wish("h1", fsm.Draining, 0, false)
	freezes(b, x, now, now.Add(2*time.Minute))
	b.wishAt(*now, "h1", fsm.Evicting, 2*time.Minute, false)
	freezes(b, x, now, now.Add(50*time.Second))
	parts := []*apiv1.CheckpointPart{{Host: "h1", Second: "h2"}, {Host: "h2", Second: "h1"}}
	b.propose(&apiv1.Command{Op: &apiv1.Command_BeginCheckpoint{BeginCheckpoint: &apiv1.BeginCheckpoint{Id: "c1", App: "a", Epoch: 1, Cause: "period", Parts: parts}}})
	b.propose(&apiv1.Command{Op: &apiv1.Command_AnnounceCheckpoint{AnnounceCheckpoint: &apiv1.AnnounceCheckpoint{Id: "c1"}}})
	parts = []*apiv1.CheckpointPart{{Host: "h1", Digest: make([]byte, 32)}, {Host: "h2", Digest: make([]byte, 32)}}
	b.propose(&apiv1.Command{Op: &apiv1.Command_TakeCheckpoint{TakeCheckpoint: &apiv1.TakeCheckpoint{Id: "c1", Parts: parts}}})
	for range 30 {
		x.look(b.ctx)
		*now = now.Add(500 * time.Millisecond)
	}
	require.Contains(t, b.said("h1"), "the images of checkpoint c1 are on their way")
	b.propose(&apiv1.Command{Op: &apiv1.Command_CompleteCheckpoint{CompleteCheckpoint: &apiv1.CompleteCheckpoint{Id: "c1", Parts: parts}}})
	for range 3 {
		x.look(b.ctx)
		*now = now.Add(500 * time.Millisecond)
	}
	require.NotEmpty(t, b.app("a").CheckpointId)
}

// TestNotFrozenOntoTheHostThatGoes: an app is not frozen where only a machine that goes would hold its images: it computes on, and an earlier checkpoint that others hold is what it goes on from.
func TestNotFrozenOntoTheHostThatGoes(t *testing.T) {
	b := newBench(t, nil)
	b.propose(&apiv1.Command{Op: &apiv1.Command_SetFeatureLevel{SetFeatureLevel: &apiv1.SetFeatureLevel{Level: fsm.FeatureLevel}}})
	b.host("h1", 2)
	b.host("h2", 0)
	b.submit("a", &apiv1.AppSpec{Size: 2})
	b.place()
	b.report("h1", &apiv1.AppStatus{App: "a", Executor: "running"})
	b.l.takeReports(b.ctx)
	unfit := func(why string) {
		b.propose(&apiv1.Command{Op: &apiv1.Command_SetHostUnfit{SetHostUnfit: &apiv1.SetHostUnfit{Host: "h2", Incarnation: "i-h2", Reason: why}}})
	}
	unfit("its disk is nearly full")
	b.wish("h1", fsm.Evicting, 10*time.Minute, false)
	x, now := b.l.newLeaving(), time.Unix(1400, 0)
	x.now = func() time.Time { return now }
	frozen := func() bool {
		for range 70 {
			x.look(b.ctx)
			now = now.Add(500 * time.Millisecond)
		}
		return b.app("a").CheckpointId != ""
	}
	require.False(t, frozen())
	require.Contains(t, x.said("h1"), "app a is not frozen, for no host that stays can hold the images of host h1")
	unfit("")
	b.wish("h2", fsm.Evicting, time.Minute, false)
	require.False(t, frozen(), "h2 goes sooner")
	b.wish("h2", fsm.Evicting, 20*time.Minute, false)
	require.True(t, frozen(), "which is better than nothing")
}
