package control

import (
	"crypto/sha256"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/timestamppb"

	apiv1 "github.com/godwit-run/godwit/api/v1"
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

// TestHomeIsToldBeforeItTakesTheFiles: of an app with files the home waits until all ranks stand still.
func TestHomeIsToldBeforeItTakesTheFiles(t *testing.T) {
	b, k, now := saved(t, nil)
	b.propose(&apiv1.Command{Op: &apiv1.Command_ChangeFiles{ChangeFiles: &apiv1.ChangeFiles{App: "a", Host: "h1", What: apiv1.ChangeFiles_WHAT_OPENED}}})
	*now = now.Add(30 * time.Second)
	k.look(b.ctx)
	c := b.made()
	require.True(t, c.Parts[0].Files)
	b.say(&apiv1.CheckpointStatus{Id: c.Id, Ready: true})
	k.look(b.ctx)
	b.say(&apiv1.CheckpointStatus{Id: c.Id, Still: true, Taken: &apiv1.CheckpointPart{}})
	k.look(b.ctx)
	require.Equal(t, "announced", b.made().Phase)
	require.True(t, b.made().Still)
	k.look(b.ctx)
	require.Equal(t, "taken", b.made().Phase)
}

func TestCheckpointIsAborted(t *testing.T) {
	for _, tc := range []struct {
		name   string
		say    []*apiv1.CheckpointStatus
		wait   time.Duration
		reason string
	}{
		{"a host cannot", []*apiv1.CheckpointStatus{{Fault: "its disk is full"}}, 0, "its disk is full"},
		{"it does not get ready", []*apiv1.CheckpointStatus{{}}, time.Minute, "host h2 is not ready within 30s"},
		{"a rank computes", []*apiv1.CheckpointStatus{{Ready: true}, {}}, time.Minute, "a rank on host h2 did not stop within 10s: it computes"},
		{"the second host takes nothing", []*apiv1.CheckpointStatus{{Ready: true}, {Taken: &apiv1.CheckpointPart{}, Still: true}, {Trouble: "host h1 is full"}}, 3 * time.Minute, "not stored within 2m0s: host h1 is full"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b, k, now := saved(t, nil)
			*now = now.Add(30 * time.Second)
			k.look(b.ctx)
			c := b.made()
			for _, st := range tc.say {
				st.Id = c.Id
				b.say(st)
				k.look(b.ctx)
				k.look(b.ctx) // sees where it is now
			}
			*now = now.Add(tc.wait)
			k.look(b.ctx)
			require.Equal(t, "aborted", b.made().Phase)
			require.Contains(t, b.made().Reason, tc.reason)
			require.Empty(t, b.app("a").CheckpointId)
		})
	}
}

// TestSlowCheckpointGoesOn: as long as more is written.
func TestSlowCheckpointGoesOn(t *testing.T) {
	b, k, now := saved(t, nil)
	*now = now.Add(30 * time.Second)
	k.look(b.ctx)
	for i := range int64(10) {
		b.say(&apiv1.CheckpointStatus{Id: b.made().Id, Progress: i + 1})
		k.look(b.ctx)
		*now = now.Add(20 * time.Second)
		k.look(b.ctx)
		require.Equal(t, "pending", b.made().Phase)
	}
}

// TestUnwantedCheckpoints: which go, by number, by age, and by what has become of their app.
func TestUnwantedCheckpoints(t *testing.T) {
	old, young := timestamppb.New(time.Unix(1000, 0)), timestamppb.New(time.Unix(3000, 0))
	all := []*apiv1.Checkpoint{
		{Id: "asked", Cause: "manual", Phase: "complete", EndedAt: old},
		{Id: "1", Cause: "period", Phase: "complete", EndedAt: old},
		{Id: "2", Cause: "period", Phase: "complete", EndedAt: young},
		{Id: "bad", Cause: "period", Phase: "aborted", EndedAt: young},
		{Id: "3", Cause: "period", Phase: "complete", EndedAt: young},
		{Id: "now", Cause: "period", Phase: "taken"},
	}
	ids := func(app *apiv1.App, known bool) (out []string) {
		for _, c := range unwanted(app, known, all, time.Unix(2000, 0)) {
			out = append(out, c.Id)
		}
		return out
	}
	running := &apiv1.App{Phase: "running", Spec: &apiv1.AppSpec{}}
	require.Equal(t, []string{"1"}, ids(running, true))
	running.Spec.CheckpointKeep = 1
	require.Equal(t, []string{"2", "1"}, ids(running, true))
	require.Equal(t, []string{"3", "bad", "2", "1", "asked"}, ids(&apiv1.App{Phase: "succeeded"}, true))
	require.Equal(t, []string{"1", "asked"}, ids(&apiv1.App{Phase: "failed"}, true))
	require.Equal(t, []string{"1", "asked"}, ids(nil, false))
}

// TestSecondHosts: another of the app's, if there is one, the same as before, if it is there; any other of the cluster if not.
func TestSecondHosts(t *testing.T) {
	b, _, _ := saved(t, nil)
	v := b.l.c.state.View()
	alone := &apiv1.App{Id: "b", Placement: []string{"h3", "h3"}}
	parts := seconds(v, alone)
	require.Len(t, parts, 1)
	require.Contains(t, []string{"h1", "h2"}, parts[0].Second)
	require.Equal(t, parts, seconds(v, alone), "it is the same each time")
	three := &apiv1.App{Id: "c", Placement: []string{"h2", "h1", "h3"}}
	for i, p := range seconds(v, three) {
		require.Equal(t, []string{"h2", "h3", "h1"}[i], p.Second)
	}
	require.Empty(t, seconds(fsm.New().View(), alone)[0].Second, "there is nobody else")
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
