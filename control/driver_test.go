package control

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	apiv1 "github.com/godwit-run/godwit/api/v1"
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

// TestMigrationIsAborted: when a deadline of the configuration is over by the leader's own clock.
func TestMigrationIsAborted(t *testing.T) {
	b := newBench(t, func(c *Config) { c.AnnounceDeadline = time.Nanosecond })
	b.migrating()
	drive := b.l.driver()
	require.Eventually(t, func() bool { drive(b.ctx); return b.migration("a").Phase == "aborted" }, 5*time.Second, time.Millisecond)
	require.Contains(t, b.migration("a").Reason, "did not acknowledge within 1ns")
	require.Equal(t, "running", b.app("a").Phase)
}

// TestLogDoesNotTakeTheImages: what comes of a step that the log does not take is proposed in the same look.
func TestLogDoesNotTakeTheImages(t *testing.T) {
	b := newBench(t, func(c *Config) { c.TransferDeadline = time.Nanosecond })
	mig := b.migrating()
	drive := b.l.driver()
	b.ack(mig.Id)
	drive(b.ctx)
	b.images(mig, mig.Id, "frozen", "staged")
	for range 6 {
		b.l.refusals.note("freeze " + mig.Id) // it rests for half a minute
	}
	require.Eventually(t, func() bool { drive(b.ctx); return b.migration("a").Phase == "aborted" }, 5*time.Second, time.Millisecond)
	require.Equal(t, "all images arrived, but the log did not take them within 1ns", b.migration("a").Reason)
}
