package control

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/timestamppb"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/fsm"
	"github.com/godwit-run/godwit/planner"
)

// toLeave is an app of two ranks on h1 and two on h2, and what has them leave, with a clock that tests move.
func toLeave(t *testing.T, spares int32) (b *bench, x *leaving, now *time.Time) {
	t.Helper()
	b = newBench(t, nil)
	b.propose(&apiv1.Command{Op: &apiv1.Command_SetFeatureLevel{SetFeatureLevel: &apiv1.SetFeatureLevel{Level: fsm.FeatureLevel}}})
	b.host("h1", 2)
	b.host("h2", 2)
	b.host("h3", spares)
	b.submit("a", &apiv1.AppSpec{Size: 4, Place: []*apiv1.PlaceRule{{Host: "h1", Ranks: 2}, {Host: "h2", Ranks: 2}}})
	b.place()
	for _, h := range []string{"h1", "h2"} {
		b.report(h, &apiv1.AppStatus{App: "a", Executor: "running"})
	}
	b.l.takeReports(b.ctx)
	require.Equal(t, "running", b.app("a").Phase)
	at := time.Unix(1000, 0) // the time of commands
	x = b.l.newLeaving()
	x.now = func() time.Time { return at }
	b.l.leaving = x
	b.l.c.setLeader(b.l)
	return b, x, &at
}

func (b *bench) wish(host string, wish fsm.Wish, in time.Duration, force bool) {
	b.t.Helper()
	b.propose(&apiv1.Command{Op: &apiv1.Command_SetHostWish{SetHostWish: &apiv1.SetHostWish{Host: host, Wish: string(wish), InMs: in.Milliseconds(), Force: force}}})
}

// migrationsOf are an app's migrations, in order.
func (b *bench) migrationsOf(id fsm.AppID) []*apiv1.Migration {
	return slices.Collect(b.l.c.state.View().MigrationsOf(id))
}

// said is what godwit hosts says of a host.
func (b *bench) said(host string) string {
	b.t.Helper()
	res, err := b.l.c.ListHosts(b.ctx, &apiv1.ListHostsRequest{})
	require.NoError(b.t, err)
	for _, h := range res.Hosts {
		if h.Id == host {
			return h.Leaving
		}
	}
	return ""
}

// TestDrainMovesRanks: ranks leave a draining host at once, whatever their app's period, and are tried again when that came to nothing, at longer and longer intervals.
func TestDrainMovesRanks(t *testing.T) {
	b, x, now := toLeave(t, 4)
	x.look(b.ctx)
	require.Empty(t, b.migrationsOf("a"))
	b.wish("h1", fsm.Draining, 0, false)
	x.look(b.ctx)
	x.look(b.ctx)
	migs := b.migrationsOf("a")
	require.Len(t, migs, 1)
	require.Equal(t, planner.CauseDrain, migs[0].Cause)
	require.Len(t, migs[0].Moves, 2)
	for tries, pause := range []time.Duration{time.Second, 2 * time.Second, 4 * time.Second} {
		b.propose(&apiv1.Command{Op: &apiv1.Command_AbortMigration{AbortMigration: &apiv1.AbortMigration{Id: b.migrationsOf("a")[tries].Id, Reason: "a rank computes"}}})
		*now = now.Add(pause - time.Millisecond)
		x.look(b.ctx)
		require.Len(t, b.migrationsOf("a"), tries+1)
		*now = now.Add(time.Millisecond)
		x.look(b.ctx)
		require.Len(t, b.migrationsOf("a"), tries+2)
	}
	b.wish("h1", fsm.Schedulable, 0, false)
	x.look(b.ctx)
	require.Empty(t, x.apps)
	require.Empty(t, x.hosts)
}

// TestBlockedDrain: what fits nowhere stays, and the host says what it lacks; nothing is ended for it unless that is wished, and then not before the deadline.
func TestBlockedDrain(t *testing.T) {
	b, x, now := toLeave(t, 1)
	b.wish("h1", fsm.Draining, time.Minute, false)
	x.look(b.ctx)
	require.Len(t, b.migrationsOf("a"), 1)
	require.Len(t, b.migrationsOf("a")[0].Moves, 1, "one fits")
	b.propose(&apiv1.Command{Op: &apiv1.Command_AbortMigration{AbortMigration: &apiv1.AbortMigration{Id: b.migrationsOf("a")[0].Id, Reason: "for a test"}}})
	b.wish("h3", fsm.Cordoned, 0, false)
	*now = now.Add(2 * time.Minute)
	x.look(b.ctx)
	require.Contains(t, b.said("h1"), "2 ranks are on it: all ranks of app a there have no slot elsewhere")
	one, err := b.l.c.GetHost(b.ctx, &apiv1.GetHostRequest{Host: "h1"})
	require.NoError(t, err)
	require.Equal(t, b.said("h1"), one.Host.Leaving)
	require.True(t, one.Host.InUse)
	require.Empty(t, one.Host.WishReason, "what the leader says is nobody's reason")
	require.Empty(t, b.app("a").CheckpointId)
	b.wish("h1", fsm.Draining, 3*time.Minute, true)
	*now = now.Add(time.Minute - time.Second)
	x.look(b.ctx)
	require.Empty(t, b.app("a").CheckpointId)
	*now = now.Add(time.Minute)
	x.look(b.ctx)
	c, ok := b.l.c.state.View().CheckpointUnderWay("a")
	require.True(t, ok, "it is frozen, and waits in the queue")
	require.Equal(t, apiv1.AfterCheckpoint_AFTER_CHECKPOINT_QUEUE, c.Then)
	for _, p := range c.Parts {
		require.NotEqual(t, "h1", p.Second, "which is to be left")
	}
}

// TestEvictedThatDoesNotMoveIsFrozen: an app whose migrations off an evicted host come to nothing is frozen when half of the time is over, and one of the policy spot at the
// first of them; so is what is left of a drain by force at its deadline.
func TestEvictedThatDoesNotMoveIsFrozen(t *testing.T) {
	abort := func(b *bench) {
		for m := range b.l.c.state.View().MigrationsOf("a") {
			if fsm.MigrationPhase(m.Phase) != fsm.Aborted {
				b.propose(&apiv1.Command{Op: &apiv1.Command_AbortMigration{AbortMigration: &apiv1.AbortMigration{Id: m.Id, Reason: "no room after all"}}})
			}
		}
	}
	for name, wish := range map[string]func(b *bench){
		"evicted":           func(b *bench) { b.wish("h1", fsm.Evicting, time.Minute, false) },
		"drained by force":  func(b *bench) { b.wish("h1", fsm.Draining, 30*time.Second, true) },
		"by force, at once": func(b *bench) { b.wish("h1", fsm.Draining, 0, true) },
	} {
		b, x, now := toLeave(t, 4)
		wish(b)
		host, _ := b.l.c.state.View().Host("h1")
		*now = host.WishedAt.AsTime()
		half := now.Add(30 * time.Second)
		if host.Deadline == nil {
			half = *now
		}
		for now.Before(half) {
			x.look(b.ctx)
			abort(b)
			_, ok := b.l.c.state.View().CheckpointUnderWay("a")
			require.False(t, ok, "%s: %s before it is time", name, half.Sub(*now))
			*now = now.Add(500 * time.Millisecond)
		}
		if host.Deadline == nil {
			x.look(b.ctx)
			abort(b)
			*now = now.Add(time.Second)
		}
		require.NotEmpty(t, b.migrationsOf("a"), name)
		x.look(b.ctx)
		c, ok := b.l.c.state.View().CheckpointUnderWay("a")
		require.True(t, ok, name)
		require.Equal(t, apiv1.AfterCheckpoint_AFTER_CHECKPOINT_QUEUE, c.Then)
	}
}

// TestForcedDrainEndsWhatCannotMove: an app that cannot be frozen fails, with the reason, by force only.
func TestForcedDrainEndsWhatCannotMove(t *testing.T) {
	b := newBench(t, nil)
	b.host("h1", 2)
	b.host("h2", 2)
	fixed := "f000000000000000000000000000000000000000000000000000000000000000"
	b.propose(&apiv1.Command{Op: &apiv1.Command_AddModule{AddModule: &apiv1.AddModule{Module: &apiv1.Module{Digest: fixed}}}})
	b.propose(&apiv1.Command{Op: &apiv1.Command_SubmitApp{SubmitApp: &apiv1.SubmitApp{Id: "a", Spec: &apiv1.AppSpec{Name: "a", ModuleDigest: fixed, Size: 1, Place: []*apiv1.PlaceRule{{Host: "h1", Ranks: 1}}}}}})
	b.place()
	b.report("h1", &apiv1.AppStatus{App: "a", Executor: "running"})
	b.l.takeReports(b.ctx)
	x, now := b.l.newLeaving(), time.Unix(1000, 0)
	x.now = func() time.Time { return now }
	b.wish("h1", fsm.Draining, 0, false)
	for range 100 {
		x.look(b.ctx)
		now = now.Add(time.Second)
	}
	require.Empty(t, b.app("a").Verdict)
	require.Contains(t, x.said("h1"), "cannot be frozen")
	b.wish("h1", fsm.Draining, 0, true)
	now = now.Add(time.Minute)
	x.look(b.ctx)
	require.Equal(t, "failed", b.app("a").Verdict)
	require.Contains(t, b.app("a").Reason, "host h1 is drained by force: the module of app a cannot be frozen")
}

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

// TestSetHostWish: what is wished is checked, and told without what is nobody's.
func TestSetHostWish(t *testing.T) {
	b := newBench(t, nil)
	b.host("h1", 2)
	for _, bad := range []*apiv1.SetHostWishRequest{
		{Host: "h1", Wish: "drained"}, {Host: "h1", Wish: ""}, {Host: "h1", Wish: "evicting"}, {Host: "h9", Wish: "draining"}, {Host: "h1", Wish: "cordoned", Force: true},
	} {
		bad.IdempotencyKey = uuid.NewString()
		_, err := b.l.c.SetHostWish(b.ctx, bad)
		require.Error(t, err, bad)
	}
	drain := &apiv1.SetHostWishRequest{IdempotencyKey: uuid.NewString(), Host: "h1", Wish: "draining", Reason: "disk"}
	_, err := b.l.c.SetHostWish(b.ctx, drain)
	require.ErrorContains(t, err, "a higher feature level", "servers of older builds would stop")
	b.propose(&apiv1.Command{Op: &apiv1.Command_SetFeatureLevel{SetFeatureLevel: &apiv1.SetFeatureLevel{Level: fsm.FeatureLevel}}})
	res, err := b.l.c.SetHostWish(b.ctx, drain)
	require.NoError(t, err)
	require.Equal(t, "drained", res.Host.Wish)
	require.Equal(t, "disk", res.Host.WishReason)
	require.Empty(t, res.Host.SecretHash)
	res, err = b.l.c.SetHostWish(b.ctx, &apiv1.SetHostWishRequest{IdempotencyKey: uuid.NewString(), Host: "h1", Wish: "evicting", InMs: 1000, Own: true})
	require.NoError(t, err)
	require.True(t, res.Host.OwnWish)
	require.Equal(t, "besides it is drained: disk", strings.Split(res.Host.Leaving, "; ")[0])
	_, err = b.l.c.GetHost(b.ctx, &apiv1.GetHostRequest{Host: "h9"})
	require.Error(t, err)
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

// proposeAt is propose at a time.
func (b *bench) proposeAt(at time.Time, c *apiv1.Command) {
	b.t.Helper()
	c.At, c.Key = timestamppb.New(at), uuid.NewString()
	res, err := b.log.Propose(b.ctx, c)
	require.NoError(b.t, err)
	require.Empty(b.t, res.Code, res.Reason)
}

func (b *bench) wishAt(at time.Time, host string, wish fsm.Wish, in time.Duration, force bool) {
	b.t.Helper()
	b.proposeAt(at, &apiv1.Command{Op: &apiv1.Command_SetHostWish{SetHostWish: &apiv1.SetHostWish{Host: host, Wish: string(wish), InMs: in.Milliseconds(), Force: force}}})
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

// TestNewWishBeginsAnew: what was tried in vain for a drain does not have an eviction wait.
func TestNewWishBeginsAnew(t *testing.T) {
	b, x, now := toLeave(t, 4)
	b.wish("h1", fsm.Draining, 0, false)
	freezes(b, x, now, now.Add(3*time.Minute))
	for x.apps["a"].next.Sub(*now) < 20*time.Second {
		freezes(b, x, now, now.Add(time.Second))
	}
	n, began := len(b.migrationsOf("a")), *now
	b.wishAt(*now, "h1", fsm.Evicting, 30*time.Second, false)
	x.look(b.ctx)
	require.Len(t, b.migrationsOf("a"), n+1)
	begun := freezes(b, x, now, now.Add(30*time.Second))
	require.NotEmpty(t, begun)
	require.LessOrEqual(t, begun[0].Sub(began), 16*time.Second)
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

// TestBlockedAppsRest: an app that finds no room is planned at growing intervals, and soon when there is some.
func TestBlockedAppsRest(t *testing.T) {
	b, x, now := toLeave(t, 0)
	b.wish("h1", fsm.Draining, 0, false)
	for range 3600 {
		x.look(b.ctx)
		*now = now.Add(time.Second)
	}
	require.Less(t, x.apps["a"].idle, 150)
	require.Greater(t, x.apps["a"].idle, 100)
	b.host("h3", 1)
	x.look(b.ctx)
	x.look(b.ctx)
	require.Len(t, b.migrationsOf("a"), 1)
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

// TestDirectoriesThatDoNotLeave: an app whose directory alone is on a host, and finds no other, is frozen in time, and ended or frozen by force; and the host says why it stays.
func TestDirectoriesThatDoNotLeave(t *testing.T) {
	for _, forced := range []bool{false, true} {
		b, x, now := toLeave(t, 0)
		b.propose(&apiv1.Command{Op: &apiv1.Command_ChangeFiles{ChangeFiles: &apiv1.ChangeFiles{App: "a", Host: "h1", What: apiv1.ChangeFiles_WHAT_OPENED}}})
		epoch := b.app("a").Epoch
		b.propose(&apiv1.Command{Op: &apiv1.Command_RanksEnded{RanksEnded: &apiv1.RanksEnded{App: "a", Host: "h1", Ranks: []*apiv1.EndedRank{{Rank: 0, Epoch: epoch}, {Rank: 1, Epoch: epoch}}}}})
		b.wish("h2", fsm.Cordoned, 0, false)
		b.wish("h3", fsm.Cordoned, 0, false)
		if forced {
			b.wish("h1", fsm.Draining, time.Minute, true)
		} else {
			b.wish("h1", fsm.Evicting, 2*time.Minute, false)
		}
		x.look(b.ctx)
		require.Contains(t, b.said("h1"), "the files of app a wait: no other host takes them")
		begun := freezes(b, x, now, now.Add(2*time.Minute))
		require.NotEmpty(t, begun)
		require.Equal(t, time.Minute, begun[0].Sub(time.Unix(1000, 0)))
	}
}

// TestBeginsElsewhere: an app that is to begin from a checkpoint, and does not, on a host that is to be left, begins elsewhere, and not in vain.
func TestBeginsElsewhere(t *testing.T) {
	b := fromCheckpoint(t, "h3")
	b.l.c.setLeader(b.l)
	x, now := b.l.newLeaving(), time.Unix(1000, 0)
	b.l.leaving = x
	x.now = func() time.Time { return now }
	b.wish("h3", fsm.Draining, 0, false)
	for range 10 {
		x.look(b.ctx)
		now = now.Add(time.Second)
	}
	require.Empty(t, b.app("a").Verdict, "it begins, and moves then")
	b.report("h3", &apiv1.AppStatus{App: "a", Epoch: b.app("a").Epoch, Executor: apiv1.ExecutorStarting, StartTrouble: "checkpoint c1 does not come: host h2: it cannot read a blob"})
	for range 40 {
		x.look(b.ctx)
		now = now.Add(time.Second)
	}
	require.Empty(t, b.app("a").Verdict, "there is no room elsewhere")
	require.Contains(t, b.said("h3"), "it cannot read a blob")
	b.host("h7", 8)
	x.look(b.ctx)
	now = now.Add(time.Second)
	x.look(b.ctx)
	require.Equal(t, "queued", b.app("a").Verdict)
	require.EqualValues(t, 1, b.app("a").RestoredInVain, "of the loss of h1")
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

// TestRanksOnInTheRightNumber: one rank is told of in the singular.
func TestRanksOnInTheRightNumber(t *testing.T) {
	x := &leaving{words: map[fsm.HostID]hostWords{
		"h1": {ranks: 1, why: []string{"it computes"}, more: 1}, "h2": {ranks: 2, more: 2, why: []string{"they compute"}}, "h3": {ranks: 1},
	}}
	require.Equal(t, "1 rank is on it: it computes; and 1 app more", x.said("h1"))
	require.Equal(t, "2 ranks are on it: they compute; and 2 apps more", x.said("h2"))
	require.Equal(t, "1 rank is on it", x.said("h3"))
}
