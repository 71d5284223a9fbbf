package control

import (
	"crypto/sha256"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/control/steps"
	"github.com/godwit-run/godwit/fsm"
)

// saved is a bench with a running app of two ranks, on h1 and h2, that wants checkpoints, and the duty that makes them, whose clock is the test's.
func saved(t *testing.T, change func(*Config)) (b *bench, k *checkpointer, now *time.Time) {
	t.Helper()
	b = newBench(t, change)
	b.propose(&apiv1.Command{Op: &apiv1.Command_SetFeatureLevel{SetFeatureLevel: &apiv1.SetFeatureLevel{Level: fsm.FeatureLevel}}})
	b.host("h1", 1)
	b.host("h2", 1)
	b.host("h3", 4)
	b.submit("a", &apiv1.AppSpec{Size: 2, CheckpointPeriod: 30, Place: []*apiv1.PlaceRule{{Host: "h1", Ranks: 1}, {Host: "h2", Ranks: 1}}})
	b.place()
	for _, h := range []string{"h1", "h2"} {
		b.report(h, &apiv1.AppStatus{App: "a", Executor: "running"})
	}
	b.l.takeReports(b.ctx)
	require.Equal(t, "running", b.app("a").Phase)
	k = b.l.newCheckpointer()
	at := time.Now()
	now = &at
	k.now = func() time.Time { return *now }
	k.look(b.ctx)
	return b, k, now
}

// made is the app's newest checkpoint.
func (b *bench) made() (last *apiv1.Checkpoint) {
	for c := range b.l.c.state.View().CheckpointsOf("a") {
		last = c
	}
	return last
}

// say has both hosts report how they stand with a checkpoint.
func (b *bench) say(st *apiv1.CheckpointStatus) {
	for _, h := range []string{"h1", "h2"} {
		if st.Held != nil {
			sum := sha256.Sum256([]byte(h))
			st.Held.Host, st.Held.Digest = h, sum[:]
		}
		b.report(h, &apiv1.AppStatus{App: "a", Executor: "running", Checkpoint: st})
	}
}

// TestCheckpointIsDrivenToItsEnd: it is begun when it is due, and each step is made when every host has done its part.
func TestCheckpointIsDrivenToItsEnd(t *testing.T) {
	b, k, now := saved(t, nil)
	require.Nil(t, b.made(), "its period is not over")
	*now = now.Add(30 * time.Second)
	k.look(b.ctx)
	c := b.made()
	require.Equal(t, "pending", c.Phase)
	require.Equal(t, "period", c.Cause)
	require.Equal(t, []string{"h1", "h2", "h2", "h1"}, []string{c.Parts[0].Host, c.Parts[0].Second, c.Parts[1].Host, c.Parts[1].Second})
	steps := []struct {
		say  *apiv1.CheckpointStatus
		then string
	}{
		{&apiv1.CheckpointStatus{Id: "another", Ready: true}, "pending"},
		{&apiv1.CheckpointStatus{Id: c.Id, Ready: true}, "announced"},
		{&apiv1.CheckpointStatus{Id: c.Id, Ready: true, Still: true}, "announced"},
		{&apiv1.CheckpointStatus{Id: c.Id, Still: true, Taken: &apiv1.CheckpointPart{}}, "taken"},
		{&apiv1.CheckpointStatus{Id: c.Id, Held: &apiv1.CheckpointPart{Bytes: 10, NewBytes: 5, PauseMs: 2}}, "complete"},
	}
	for _, s := range steps {
		b.report("h1", &apiv1.AppStatus{App: "a", Executor: "running", Checkpoint: s.say})
		before := b.made().Phase
		k.look(b.ctx)
		require.Equal(t, before, b.made().Phase, "one host has not done its part")
		b.say(s.say)
		k.look(b.ctx)
		require.Equal(t, s.then, b.made().Phase)
		b.report("h2", &apiv1.AppStatus{App: "a", Executor: "running"})
	}
	require.Equal(t, c.Id, b.app("a").LastCheckpoint)
	require.EqualValues(t, 10, b.made().Parts[1].Bytes)
	k.look(b.ctx)
	require.Equal(t, c.Id, b.made().Id, "the next is not due")
}

// TestCheckpointIsAborted: when a deadline of the configuration is over, counted from what this leader has seen.
func TestCheckpointIsAborted(t *testing.T) {
	b, k, now := saved(t, func(c *Config) { c.AnnounceDeadline = 7 * time.Second })
	*now = now.Add(30 * time.Second)
	k.look(b.ctx)
	b.say(&apiv1.CheckpointStatus{Id: b.made().Id})
	k.look(b.ctx) // sees where it is
	*now = now.Add(7 * time.Second)
	k.look(b.ctx)
	require.Equal(t, "pending", b.made().Phase)
	*now = now.Add(1)
	k.look(b.ctx)
	require.Equal(t, "aborted", b.made().Phase)
	require.Contains(t, b.made().Reason, "host h2 is not ready within 7s")
}

// TestHostsHearWhatTheyHold: of new checkpoints, of such as are gone, and of all of them when they come back.
func TestHostsHearWhatTheyHold(t *testing.T) {
	b, k, now := saved(t, nil)
	s := newSession("h2", "1", func() {})
	require.True(t, b.l.sessions.add(s))
	tell := b.l.holdingsTeller()
	*now = now.Add(30 * time.Second)
	k.look(b.ctx)
	tell(b.ctx)
	id := b.made().Id
	h := s.takeHolds()
	require.False(t, h.Whole)
	require.Equal(t, id, h.Hold[0].Id)
	require.Nil(t, s.takeHolds())
	whole := allHoldings(b.l.c.state.View(), "h1")
	require.True(t, whole.Whole)
	require.Len(t, whole.Hold, 1)
	require.Empty(t, allHoldings(b.l.c.state.View(), "h3").Hold)
	b.say(&apiv1.CheckpointStatus{Id: id, Fault: "no"})
	k.look(b.ctx)
	tell(b.ctx)
	require.Equal(t, []string{id}, s.takeHolds().Drop)
	require.Empty(t, allHoldings(b.l.c.state.View(), "h1").Hold)
}

// TestUnwantedGoAtOnce: what nobody wants is not removed one after the other.
func TestUnwantedGoAtOnce(t *testing.T) {
	a := newArchived(t)
	a.cause = steps.CauseAsked
	const n = 3
	for range n {
		a.complete("")
	}
	a.propose(&apiv1.Command{Op: &apiv1.Command_StopApp{StopApp: &apiv1.StopApp{App: "a", Phase: "cancelled"}}})
	for rank, host := range []string{"h1", "h2"} {
		a.propose(&apiv1.Command{Op: &apiv1.Command_RanksEnded{RanksEnded: &apiv1.RanksEnded{App: "a", Host: host, Ranks: []*apiv1.EndedRank{{Rank: int32(rank), Epoch: 1, ExitCode: 137}}}}})
	}
	var under sync.WaitGroup
	under.Add(n)
	a.log.before = func(c *apiv1.Command) {
		if c.GetRemoveCheckpoint() != nil {
			under.Done()
			all := make(chan struct{})
			go func() { under.Wait(); close(all) }()
			select {
			case <-all:
			case <-time.After(10 * time.Second):
			}
		}
	}
	*a.now = time.Now().Add(2 * a.l.c.cfg.CheckpointAge)
	began := time.Now()
	a.k.look(a.ctx)
	require.Less(t, time.Since(began), 10*time.Second)
	require.Nil(t, a.made())
}

// TestCheckpointOfAWaitingApp: who asks for a checkpoint of an app that waits in the queue for others is told at once.
func TestCheckpointOfAWaitingApp(t *testing.T) {
	b := newBench(t, nil)
	b.propose(&apiv1.Command{Op: &apiv1.Command_SetFeatureLevel{SetFeatureLevel: &apiv1.SetFeatureLevel{Level: fsm.FeatureLevel}}})
	b.submit("a", &apiv1.AppSpec{Size: 2})
	_, app, err := b.l.c.free(b.ctx, "a")
	require.NoError(t, err)
	require.Equal(t, apiv1.AppQueued, app.Phase)
}

// TestImagesLeaveToo: a drained host that alone has the last checkpoint of an app is draining for all who ask, until another host has it.
func TestImagesLeaveToo(t *testing.T) {
	b, k, now := saved(t, nil)
	b.l.c.setLeader(b.l)
	b.propose(&apiv1.Command{Op: &apiv1.Command_BeginCheckpoint{BeginCheckpoint: &apiv1.BeginCheckpoint{
		Id: "c1", App: "a", Epoch: 1, Cause: "manual", Parts: []*apiv1.CheckpointPart{{Host: "h1"}, {Host: "h2", Second: "h3"}},
	}}})
	finish := func(hosts ...string) {
		for _, st := range []*apiv1.CheckpointStatus{{Ready: true}, {Still: true, Taken: &apiv1.CheckpointPart{}}, {Held: &apiv1.CheckpointPart{Bytes: 10}}} {
			for range 2 {
				st.Id = b.made().Id
				for _, h := range hosts {
					if st.Held != nil {
						sum := sha256.Sum256([]byte(h))
						st.Held = &apiv1.CheckpointPart{Host: h, Digest: sum[:], Bytes: 10}
					}
					b.report(h, &apiv1.AppStatus{App: "a", Epoch: b.app("a").Epoch, Executor: "running", Checkpoint: proto.CloneOf(st)})
				}
				k.look(b.ctx)
			}
		}
		require.Equal(t, apiv1.CheckpointComplete, b.made().Phase)
	}
	finish("h1", "h2")
	b.wish("h1", fsm.Draining, 0, false)
	*now = now.Add(6 * time.Second)
	k.look(b.ctx)
	require.Empty(t, b.app("a").CheckpointId, "it is there still")
	b.propose(&apiv1.Command{Op: &apiv1.Command_ProposeMigration{ProposeMigration: &apiv1.ProposeMigration{Id: "m1", App: "a", FromEpoch: 1, Moves: []*apiv1.Move{{Rank: 0, From: "h1", To: "h3"}}, Cause: "drain"}}})
	b.propose(&apiv1.Command{Op: &apiv1.Command_AnnounceMigration{AnnounceMigration: &apiv1.AnnounceMigration{Id: "m1", Acks: []string{"h1", "h2", "h3"}}}})
	b.propose(&apiv1.Command{Op: &apiv1.Command_FreezeMigration{FreezeMigration: &apiv1.FreezeMigration{Id: "m1", Commit: true, Ranks: []*apiv1.FrozenRank{{Rank: 0, ImageBytes: 1, ImageDigest: make([]byte, 32)}}}}})
	host := func() *apiv1.Host {
		res, err := b.l.c.GetHost(b.ctx, &apiv1.GetHostRequest{Host: "h1"})
		require.NoError(t, err)
		all, err := b.l.c.ListHosts(b.ctx, &apiv1.ListHostsRequest{})
		require.NoError(t, err)
		require.Equal(t, res.Host.Wish, all.Hosts[0].Wish)
		return res.Host
	}
	require.Equal(t, "draining", host().Wish)
	require.True(t, host().InUse, "a worker that stops waits for a new one")
	require.Contains(t, host().Leaving, "no host that stays has what host h1 made of checkpoint c1, the last one of app a")
	b.propose(&apiv1.Command{Op: &apiv1.Command_HoldPart{HoldPart: &apiv1.HoldPart{Id: "c1", Host: "h1", To: "h2"}}})
	require.Equal(t, "drained", host().Wish)
	require.False(t, host().InUse)
	require.Empty(t, host().Leaving)
	*now = now.Add(6 * time.Second)
	k.look(b.ctx)
	require.Empty(t, b.app("a").CheckpointId)
}
