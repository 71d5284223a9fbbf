package control

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/fsm"
)

func TestMigrationIsDrivenToItsCommit(t *testing.T) {
	b := newBench(t, nil)
	mig := b.migrating()
	require.Len(t, mig.Moves, 2)
	drive := b.l.driver()
	drive(b.ctx)
	require.Equal(t, "pending", b.migration("a").Phase, "no host has acknowledged")
	b.report("h1", &apiv1.AppStatus{App: "a", Executor: "running", AckedMigration: mig.Id})
	drive(b.ctx)
	require.Equal(t, "pending", b.migration("a").Phase, "one host has not acknowledged")
	b.ack(mig.Id)
	drive(b.ctx)
	require.Equal(t, "announced", b.migration("a").Phase)
	b.images(mig, mig.Id, "frozen", "")
	drive(b.ctx)
	require.Equal(t, "announced", b.migration("a").Phase, "no image has arrived")
	b.images(mig, "mig-of-before", "frozen", "staged")
	drive(b.ctx)
	require.Equal(t, "announced", b.migration("a").Phase, "images of another migration do not count")
	b.images(mig, mig.Id, "frozen", "staged")
	drive(b.ctx)
	done := b.migration("a")
	require.Equal(t, "committed", done.Phase)
	require.EqualValues(t, 5, done.Moves[0].ImageBytes)
	app := b.app("a")
	require.EqualValues(t, 2, app.Epoch)
	require.Equal(t, "running", app.Phase)

	st := &apiv1.AppStatus{App: "a", Executor: "running"}
	for _, mv := range mig.Moves {
		st.Ranks = append(st.Ranks, &apiv1.RankStatus{Rank: mv.Rank, State: "running", Migration: mig.Id, PauseMs: 12.5})
	}
	b.report(mig.Moves[0].To, st)
	b.l.takeReports(b.ctx)
	require.InDelta(t, 12.5, b.migration("a").Moves[0].PauseMs, 0)
}

func TestMigrationIsAborted(t *testing.T) {
	tests := []struct {
		name   string
		change func(*Config)
		act    func(b *bench, mig *apiv1.Migration)
		reason string
	}{
		{
			name: "a host fails", act: func(b *bench, mig *apiv1.Migration) {
				b.report("h1", &apiv1.AppStatus{App: "a", FailedMigration: mig.Id, FailedReason: "disk full"})
			}, reason: "disk full",
		},
		{
			name: "no acknowledgement in time", change: func(c *Config) { c.AnnounceDeadline = time.Nanosecond },
			act: func(*bench, *apiv1.Migration) {}, reason: "did not acknowledge",
		},
		{
			name: "a rank does not stop", change: func(c *Config) { c.FreezeDeadline = time.Nanosecond },
			act: func(b *bench, mig *apiv1.Migration) { b.ack(mig.Id) }, reason: "computes without an MPI call",
		},
		{
			name: "an executor does not answer", change: func(c *Config) { c.FreezeDeadline = time.Nanosecond },
			act: func(b *bench, mig *apiv1.Migration) {
				b.ack(mig.Id)
				b.report("h1", &apiv1.AppStatus{App: "a", AckedMigration: mig.Id, SilentMs: 12_000})
			},
			reason: "the executor on h1 does not answer, for 12s at least",
		},
		{
			name: "an image does not arrive", change: func(c *Config) { c.TransferDeadline = time.Nanosecond },
			act:    func(b *bench, mig *apiv1.Migration) { b.images(mig, mig.Id, "frozen", "") },
			reason: "did not reach",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t, tt.change)
			mig := b.migrating()
			drive := b.l.driver()
			tt.act(b, mig)
			require.Eventually(t, func() bool { drive(b.ctx); return b.migration("a").Phase == "aborted" }, 5*time.Second, time.Millisecond)
			require.Contains(t, b.migration("a").Reason, tt.reason)
			app := b.app("a")
			require.Equal(t, "running", app.Phase)
			require.EqualValues(t, 1, app.Epoch)
			for h := range b.l.c.state.View().Hosts() {
				require.EqualValues(t, 2, h.Used, "the reservation is gone")
			}
		})
	}
}

// TestMemoryOnItsWayIsWaitedFor: a migration is not aborted while more of a rank goes ahead than ever before; of one that is, what keeps the rank from its target is said.
func TestMemoryOnItsWayIsWaitedFor(t *testing.T) {
	b := newBench(t, nil)
	mig := b.migrating()
	w := &watched{phase: fsm.Pending, since: time.Now().Add(-time.Hour), moved: time.Now().Add(-time.Hour)}
	long := w.moved
	look := func(ahead int64, trouble string) string {
		b.report(mig.Moves[0].From, &apiv1.AppStatus{App: "a", Ranks: []*apiv1.RankStatus{{Rank: mig.Moves[0].Rank, State: "running", AheadBytes: ahead, Trouble: trouble}}})
		b.l.drive(b.ctx, b.l.c.state.View(), b.migration("a"), w)
		return b.migration("a").Phase
	}
	for _, ahead := range []int64{3 << 20, 5 << 20} {
		w.moved = long
		require.Equal(t, "pending", look(ahead, ""))
		require.Equal(t, "pending", look(1<<20, ""), "it has begun anew, and the wait with what was ahead last")
	}
	w.moved = long
	require.Equal(t, "aborted", look(5<<20, "host h2: connection refused"))
	require.Contains(t, b.migration("a").Reason, "did not acknowledge within 30s: rank 0 on h1: host h2: connection refused")
}

// TestDeafTargetIsNotWaitedFor: ranks that stand still go on where they are once the executor that they go to has not answered for long.
func TestDeafTargetIsNotWaitedFor(t *testing.T) {
	b := newBench(t, nil)
	mig := b.migrating()
	b.images(mig, mig.Id, "frozen", "")
	drive := b.l.driver()
	for _, silent := range []int64{9_000, 11_000} {
		drive(b.ctx)
		require.Equal(t, "announced", b.migration("a").Phase)
		b.report(mig.Moves[0].To, &apiv1.AppStatus{App: "a", AckedMigration: mig.Id, SilentMs: silent})
	}
	drive(b.ctx)
	require.Equal(t, "aborted", b.migration("a").Phase)
	require.Contains(t, b.migration("a").Reason, "does not answer, for 11s at least")
}

// TestFrozenImagesAreNeverGivenUp: once all images are on their targets, neither a deadline nor a host that says that it has failed
// leads back: the leader that finds them so commits.
func TestFrozenImagesAreNeverGivenUp(t *testing.T) {
	b := newBench(t, func(c *Config) { c.AnnounceDeadline, c.FreezeDeadline, c.TransferDeadline = 1, 1, 1 })
	mig := b.migrating()
	b.propose(&apiv1.Command{Op: &apiv1.Command_AnnounceMigration{AnnounceMigration: &apiv1.AnnounceMigration{Id: mig.Id}}})
	freeze := &apiv1.FreezeMigration{Id: mig.Id}
	for _, mv := range mig.Moves {
		freeze.Ranks = append(freeze.Ranks, &apiv1.FrozenRank{Rank: mv.Rank})
	}
	b.propose(&apiv1.Command{Op: &apiv1.Command_FreezeMigration{FreezeMigration: freeze}})
	b.report("h1", &apiv1.AppStatus{App: "a", FailedMigration: mig.Id, FailedReason: "late"})
	app := b.app("a")
	b.l.drive(b.ctx, b.l.c.state.View(), b.migration("a"), &watched{phase: fsm.FrozenMigration, since: time.Now().Add(-time.Hour)})
	require.Equal(t, "committed", b.migration("a").Phase)
	require.Equal(t, app.Epoch+1, b.app("a").Epoch)
}

// TestTargetsMustAcknowledge: a host that only receives has a part in a migration, too.
func TestTargetsMustAcknowledge(t *testing.T) {
	app := &apiv1.App{Size: 3, Placement: []string{"h1", "h2", "h3"}, Ended: []byte{0b100}}
	mig := &apiv1.Migration{Moves: []*apiv1.Move{{Rank: 0, From: "h1", To: "h4"}, {Rank: 1, From: "h2", To: "h4"}}}
	require.Equal(t, []string{"h1", "h2", "h4"}, concerned(app, mig), "the live ranks' hosts and the target, each once")
}
