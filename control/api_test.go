package control

import (
	"testing"
	"time"

	"connectrpc.com/connect/v2"
	"github.com/stretchr/testify/require"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/fsm"
	"github.com/godwit-run/godwit/internal/apierr"
)

func (b *bench) spec(size int32) *apiv1.AppSpec {
	return &apiv1.AppSpec{Name: "x", ModuleDigest: testDigest, Size: size}
}

// TestSubmitOnce: a key makes one app, and belongs to one request.
func TestSubmitOnce(t *testing.T) {
	b := newBench(t, nil)
	c := b.l.c
	first, err := c.Submit(b.ctx, &apiv1.SubmitRequest{IdempotencyKey: "k", Spec: b.spec(1)})
	require.NoError(t, err)
	again, err := c.Submit(b.ctx, &apiv1.SubmitRequest{IdempotencyKey: "k", Spec: b.spec(1)})
	require.NoError(t, err)
	require.Equal(t, first.App.Id, again.App.Id)
	_, err = c.Submit(b.ctx, &apiv1.SubmitRequest{IdempotencyKey: "k", Spec: b.spec(2)})
	require.Equal(t, apierr.ReasonKeyReused, apierr.Info(err).GetReason(), "%v", err)
	_, err = c.CancelApp(b.ctx, &apiv1.CancelAppRequest{IdempotencyKey: "k", App: first.App.Id})
	require.Equal(t, apierr.ReasonKeyReused, apierr.Info(err).GetReason(), "%v", err)
	list, err := c.ListApps(b.ctx, &apiv1.ListAppsRequest{All: true})
	require.NoError(t, err)
	require.Len(t, list.Apps, 1)
	unknown := b.spec(1)
	unknown.ModuleDigest = "00000000000000000000000000000000000000000000000000000000000000bb"
	_, err = c.Submit(b.ctx, &apiv1.SubmitRequest{Spec: unknown})
	require.Equal(t, connect.CodeFailedPrecondition, connect.CodeOf(err))
	require.ErrorContains(t, err, "upload it first")
}

// TestWaitApp: a waiter hears of its app's end, and at its timeout of how things stand.
func TestWaitApp(t *testing.T) {
	b := newBench(t, nil)
	c := b.l.c
	b.submit("a", &apiv1.AppSpec{Size: 1})
	res, err := c.WaitApp(b.ctx, &apiv1.WaitAppRequest{App: "a", Timeout: 1e-9})
	require.NoError(t, err)
	require.Equal(t, "queued", res.App.Phase)
	require.NotEmpty(t, res.App.Reason, "it says why it waits")
	type answer struct {
		res *apiv1.WaitAppResponse
		err error
	}
	got := make(chan answer, 1)
	go func() {
		res, err := c.WaitApp(b.ctx, &apiv1.WaitAppRequest{App: "a", Timeout: 1e12})
		got <- answer{res, err}
	}()
	_, err = c.CancelApp(b.ctx, &apiv1.CancelAppRequest{App: "a", Reason: "enough"})
	require.NoError(t, err)
	select {
	case a := <-got:
		require.NoError(t, a.err)
		require.Equal(t, "cancelled", a.res.App.Phase)
	case <-time.After(time.Minute):
		t.Fatal("the waiter was not woken")
	}
}

// TestWaitAppHearsOfAStandstill: a waiter is woken when its app is queued again, and then waits on.
func TestWaitAppHearsOfAStandstill(t *testing.T) {
	b := newBench(t, nil)
	b.host("h1", 4)
	b.submit("a", &apiv1.AppSpec{Size: 2, Restarts: 1})
	b.place()
	c := b.l.c
	sub := c.state.Feed().Subscribe(fsm.OfApp("a"))
	defer sub.Close()
	app, _ := c.state.View().App("a")
	b.propose(&apiv1.Command{Op: &apiv1.Command_RestartApp{RestartApp: &apiv1.RestartApp{App: "a", Attempt: 1, Reason: "people want it"}}})
	for rank, host := range app.Placement {
		b.propose(&apiv1.Command{Op: &apiv1.Command_RanksEnded{RanksEnded: &apiv1.RanksEnded{App: "a", Host: host, Ranks: []*apiv1.EndedRank{{Rank: int32(rank), Epoch: 1}}}}})
	}
	res, err := (&appWait{c: c, req: &apiv1.WaitAppRequest{}, id: "a", began: app.Phase, app: app, sub: sub}).await(b.ctx, nil)
	require.NoError(t, err)
	require.Equal(t, apiv1.AppQueued, res.App.Phase)
	over := make(chan time.Time, 1)
	over <- time.Time{}
	res, err = (&appWait{c: c, req: &apiv1.WaitAppRequest{}, id: "a", began: res.App.Phase, app: res.App, sub: sub}).await(b.ctx, over)
	require.NoError(t, err)
	require.Equal(t, apiv1.AppQueued, res.App.Phase)
	require.Empty(t, over, "it has waited")
}

// TestWaitAppHearsOfItsMigration: who names a migration, or a checkpoint, is woken by its end, though the app goes on.
func TestWaitAppHearsOfItsMigration(t *testing.T) {
	b := newBench(t, nil)
	mig := b.migrating()
	type answer struct {
		res *apiv1.WaitAppResponse
		err error
	}
	got := make(chan answer, 1)
	wait := func(req *apiv1.WaitAppRequest) {
		res, err := b.l.c.WaitApp(b.ctx, req)
		got <- answer{res, err}
	}
	go wait(&apiv1.WaitAppRequest{App: "a", Timeout: 60, Migration: mig.Id})
	require.Never(t, func() bool { return len(got) > 0 }, 20*time.Millisecond, time.Millisecond, "it is under way")
	b.propose(&apiv1.Command{Op: &apiv1.Command_AbortMigration{AbortMigration: &apiv1.AbortMigration{Id: mig.Id, Reason: "no image"}}})
	a := <-got
	require.NoError(t, a.err)
	require.Equal(t, mig.Id, a.res.Migration.GetId())
	require.Equal(t, string(fsm.Aborted), a.res.Migration.Phase)
	require.Equal(t, "no image", a.res.Migration.Reason)
	require.Equal(t, apiv1.AppRunning, a.res.App.Phase)

	for _, over := range []*apiv1.WaitAppRequest{{Migration: mig.Id}, {Migration: "none"}, {Checkpoint: "none"}} {
		over.App, over.Timeout = "a", 60
		wait(over)
		a = <-got
		require.NoError(t, a.err)
		require.Equal(t, over.Migration == mig.Id, a.res.Migration != nil)
	}
}

// TestFailedByItsOwner: an app that is ended as one that has failed has the exit code that was given, and the first verdict stands.
func TestFailedByItsOwner(t *testing.T) {
	b := newBench(t, nil)
	b.running()
	for _, code := range []int32{7, 0, 9} {
		res, err := b.l.c.CancelApp(b.ctx, &apiv1.CancelAppRequest{App: "a", Reason: "it is stuck", FailedWith: code})
		require.NoError(t, err)
		require.Equal(t, apiv1.AppFailed, res.App.Verdict)
		require.EqualValues(t, 7, res.App.ExitCode)
		require.Contains(t, res.App.Reason, "it is stuck")
	}
}

// TestRanksOfAnEndedApp: answers about one app have a rank each, also of one that has ended.
func TestRanksOfAnEndedApp(t *testing.T) {
	b := newBench(t, nil)
	b.running()
	c := b.l.c
	cancelled, err := c.CancelApp(b.ctx, &apiv1.CancelAppRequest{App: "a"})
	require.NoError(t, err)
	for rank, host := range cancelled.App.Placement {
		b.propose(&apiv1.Command{Op: &apiv1.Command_RanksEnded{RanksEnded: &apiv1.RanksEnded{
			App: "a", Host: host, Ranks: []*apiv1.EndedRank{{Rank: int32(rank), Epoch: 1, ExitCode: 137}},
		}}})
	}
	waited, err := c.WaitApp(b.ctx, &apiv1.WaitAppRequest{App: "a"})
	require.NoError(t, err)
	got, err := c.GetApp(b.ctx, &apiv1.GetAppRequest{App: "a"})
	require.NoError(t, err)
	require.Equal(t, "cancelled", waited.App.Phase)
	for _, app := range []*apiv1.App{cancelled.App, waited.App, got.App} {
		require.NotEmpty(t, app.Ranks)
		require.Empty(t, app.Epochs)
	}
}

// TestMigrateOnce: a retry is answered with the first one's migration though the rank has moved, and errors say what is wrong.
func TestMigrateOnce(t *testing.T) {
	b := newBench(t, nil)
	b.running()
	c := b.l.c
	first, err := c.Migrate(b.ctx, &apiv1.MigrateRequest{IdempotencyKey: "k", App: "a", Rank: 0, To: "h2"})
	require.NoError(t, err)
	again, err := c.Migrate(b.ctx, &apiv1.MigrateRequest{IdempotencyKey: "k", App: "a", Rank: 0, To: "h2"})
	require.NoError(t, err)
	require.Equal(t, first.Migration.Id, again.Migration.Id)
	_, err = c.Migrate(b.ctx, &apiv1.MigrateRequest{IdempotencyKey: "k", App: "a", Rank: 1, To: "h2"})
	require.Equal(t, apierr.ReasonKeyReused, apierr.Info(err).GetReason(), "%v", err)
	b.propose(&apiv1.Command{Op: &apiv1.Command_AbortMigration{AbortMigration: &apiv1.AbortMigration{Id: first.Migration.Id}}})
	for _, tt := range []struct {
		rank int32
		to   string
		code connect.Code
	}{{9, "h2", connect.CodeInvalidArgument}, {-1, "h2", connect.CodeInvalidArgument}, {0, "nowhere", connect.CodeNotFound}} {
		_, err = c.Migrate(b.ctx, &apiv1.MigrateRequest{App: "a", Rank: tt.rank, To: tt.to})
		require.Equal(t, tt.code, connect.CodeOf(err), "%v", err)
	}
}

func TestTextsAtTheDoor(t *testing.T) {
	b := newBench(t, nil)
	b.submit("a", &apiv1.AppSpec{Size: 1})
	for _, reason := range []string{"\x1b[2J", string(make([]byte, maxReasonBytes+1))} {
		_, err := b.l.c.CancelApp(b.ctx, &apiv1.CancelAppRequest{App: "a", Reason: reason})
		require.Equal(t, "reason", apierr.Info(err).GetField(), "%v", err)
	}
	spec := b.spec(1)
	spec.Tenant = "a\x07"
	_, err := b.l.c.Submit(b.ctx, &apiv1.SubmitRequest{Spec: spec})
	require.Equal(t, "spec.tenant", apierr.Info(err).GetField(), "%v", err)
}
