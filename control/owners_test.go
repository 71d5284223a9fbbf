package control

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/fsm"
)

func ownedBench(t *testing.T) *bench {
	b := newBench(t, nil)
	b.propose(&apiv1.Command{Op: &apiv1.Command_SetFeatureLevel{SetFeatureLevel: &apiv1.SetFeatureLevel{Level: fsm.FeatureLevel}}})
	for id, lease := range map[string]int64{"owned": 30_000, "other": 40_000, "free": 0} {
		b.propose(&apiv1.Command{Op: &apiv1.Command_SubmitApp{SubmitApp: &apiv1.SubmitApp{
			Id: id, Spec: &apiv1.AppSpec{Name: id, ModuleDigest: testDigest, Size: 1, OwnerLeaseMs: lease},
		}}})
	}
	return b
}

// silentAt is which apps' owners have been silent for too long at a moment.
func silentAt(b *bench, o *owners, at time.Time) []string {
	var ids []string
	for _, app := range o.silent(b.log.machine.View(), at) {
		ids = append(ids, app.Id)
	}
	return ids
}

// An owner is missed when its app's lease is over since it was heard, or since this leader began to wait for it; not for time in which the leader
// did not run, and not any more when the app is to end.
func TestOwners(t *testing.T) {
	b := ownedBench(t)
	v, o, now := b.log.machine.View(), newOwners(), time.Now()
	for app := range v.InFlightAfter(fsm.Place{}) {
		o.expect(v, fsm.AppID(app.Id), now)
	}
	look := func(from, to time.Duration) []string { // as a running leader looks
		var ids []string
		for at := from; at <= to; at += tick {
			ids = silentAt(b, o, now.Add(at))
		}
		return ids
	}
	require.Empty(t, look(0, 20*time.Second))
	o.hear("owned", now.Add(20*time.Second))
	o.hear("free", now) // nobody waits for it
	require.Empty(t, look(20*time.Second, 40*time.Second))
	require.Equal(t, []string{"other"}, look(40*time.Second, 41*time.Second))
	o.hear("other", now.Add(41*time.Second))
	require.Empty(t, look(141*time.Second, 141*time.Second), "the leader slept for 100 s")
	require.Equal(t, []string{"owned"}, look(141*time.Second, 151*time.Second))
	b.propose(&apiv1.Command{Op: &apiv1.Command_StopApp{StopApp: &apiv1.StopApp{App: "owned", Phase: string(fsm.Cancelled)}}})
	o.expect(b.log.machine.View(), "owned", now)
	require.Empty(t, look(151*time.Second, 152*time.Second))
	require.Len(t, o.heard, 1)
}

// A new leader grants a full lease, then cancels what nobody holds, in words; what is held stays.
func TestOwnerIsGone(t *testing.T) {
	b := ownedBench(t)
	b.l.c.setLeader(b.l)
	defer b.l.c.setLeader(nil)
	go func() { _ = b.l.leases.run(b.ctx, b.l.answer, b.l.noteLeases) }() // ends with the test
	watch := b.l.ownerWatch()
	watch(b.ctx)
	require.Equal(t, fsm.Queued, b.phase("owned"))
	past := func(id fsm.AppID) {
		b.l.owners.mu.Lock()
		defer b.l.owners.mu.Unlock()
		b.l.owners.heard[id] = time.Now().Add(-time.Hour)
	}
	past("owned")
	past("other")
	res, err := b.l.c.HoldApp(b.ctx, &apiv1.HoldAppRequest{App: "other"})
	require.NoError(t, err)
	require.True(t, res.Held)
	watch(b.ctx)
	require.Equal(t, fsm.Cancelled, b.phase("owned"))
	require.Equal(t, fsm.Queued, b.phase("other"))
	app, _ := b.log.machine.View().App("owned")
	require.Contains(t, app.Reason, "the command that started it is gone: nothing was heard of it for 30s")
	for id, held := range map[string]bool{"owned": false, "free": false, "other": true} {
		res, err := b.l.c.HoldApp(b.ctx, &apiv1.HoldAppRequest{App: id})
		require.NoError(t, err)
		require.Equal(t, held, res.Held, id)
	}
	_, err = b.l.c.HoldApp(b.ctx, &apiv1.HoldAppRequest{App: "nosuch"})
	require.ErrorContains(t, err, "no app")
}

func (b *bench) phase(id fsm.AppID) fsm.Phase {
	app, ok := b.log.machine.View().App(id)
	require.True(b.t, ok)
	return fsm.PhaseOf(app)
}

// A cluster of which a server has an older build starts apps without an owner, and none of several programs.
func TestSubmitAtAnOlderLevel(t *testing.T) {
	b := newBench(t, nil)
	spec := &apiv1.AppSpec{Name: "a", ModuleDigest: testDigest, Size: 2, OwnerLeaseMs: 30_000}
	res, err := b.l.c.Submit(b.ctx, &apiv1.SubmitRequest{Spec: spec})
	require.NoError(t, err)
	require.Zero(t, res.App.Spec.OwnerLeaseMs)
	part := &apiv1.AppPart{ModuleDigest: testDigest, Ranks: 1}
	parts := &apiv1.AppSpec{Name: "a", Size: 2, Parts: []*apiv1.AppPart{part, part}, OwnerLeaseMs: 30_000}
	_, err = b.l.c.Submit(b.ctx, &apiv1.SubmitRequest{Spec: parts})
	require.ErrorContains(t, err, "needs a higher feature level")
	b.propose(&apiv1.Command{Op: &apiv1.Command_SetFeatureLevel{SetFeatureLevel: &apiv1.SetFeatureLevel{Level: fsm.FeatureLevel}}})
	res, err = b.l.c.Submit(b.ctx, &apiv1.SubmitRequest{Spec: parts})
	require.NoError(t, err)
	require.Equal(t, int64(30_000), res.App.Spec.OwnerLeaseMs)
	require.Len(t, res.App.Spec.Parts, 2)
}
