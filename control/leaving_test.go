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

// TestRanksOnInTheRightNumber: one rank is told of in the singular.
func TestRanksOnInTheRightNumber(t *testing.T) {
	x := &leaving{words: map[fsm.HostID]hostWords{
		"h1": {ranks: 1, why: []string{"it computes"}, more: 1}, "h2": {ranks: 2, more: 2, why: []string{"they compute"}}, "h3": {ranks: 1},
	}}
	require.Equal(t, "1 rank is on it: it computes; and 1 app more", x.said("h1"))
	require.Equal(t, "2 ranks are on it: they compute; and 2 apps more", x.said("h2"))
	require.Equal(t, "1 rank is on it", x.said("h3"))
}
