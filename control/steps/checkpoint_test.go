package steps

import (
	"crypto/sha256"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/fsm"
)

// saving is a stage with an app of a rank on h1 and one on h2, a host h3 beside, and what the leader has seen of the app's checkpoint.
type saving struct {
	*stage
	watch *Watch
}

func newSaving(t *testing.T) *saving {
	t.Helper()
	s := &saving{stage: newStage(t), watch: new(Watch)}
	s.newest()
	s.host("h1", 1)
	s.host("h2", 1)
	s.host("h3", 4)
	s.run("h1", "h2")
	return s
}

// begin begins a checkpoint.
func (s *saving) begin() {
	s.t.Helper()
	require.True(s.t, MayCheckpoint(s.view(), s.app()))
	s.take(BeginCheckpoint(s.view(), s.app(), "c1", CausePeriod, apiv1.AfterCheckpoint_AFTER_CHECKPOINT_UNSPECIFIED))
	require.Equal(s.t, "pending", s.checkpoint().Phase)
	require.False(s.t, MayCheckpoint(s.view(), s.app()), "there is one")
}

func (s *saving) checkpoint() *apiv1.Checkpoint {
	s.t.Helper()
	c, ok := s.view().Checkpoint("c1")
	require.True(s.t, ok)
	return c
}

func (s *saving) reports(host fsm.HostID) *apiv1.AppStatus { return s.said[host] }

func (s *saving) step() *Step {
	return Checkpoint(s.view(), s.checkpoint(), s.reports, s.watch, s.now, s.deadlines)
}

// say has hosts report how they stand with the checkpoint.
func (s *saving) say(st *apiv1.CheckpointStatus, hosts ...fsm.HostID) {
	for _, h := range hosts {
		if st.Held != nil {
			sum := sha256.Sum256([]byte(h))
			st.Held.Host, st.Held.Digest = string(h), sum[:]
		}
		s.said[h] = &apiv1.AppStatus{App: "a", Checkpoint: st}
	}
}

// look has the next step made, and says where the checkpoint is then.
func (s *saving) look() string {
	s.t.Helper()
	s.take(s.step())
	return s.checkpoint().Phase
}

// TestCheckpointSteps: each step is due when every host has done its part, and no sooner.
func TestCheckpointSteps(t *testing.T) {
	s := newSaving(t)
	s.begin()
	for _, tt := range []struct {
		say  *apiv1.CheckpointStatus
		then string
	}{
		{&apiv1.CheckpointStatus{Id: "c1", Ready: true}, "announced"},
		{&apiv1.CheckpointStatus{Id: "c1", Still: true}, "announced"},
		{&apiv1.CheckpointStatus{Id: "c1", Still: true, Taken: &apiv1.CheckpointPart{}}, "taken"},
		{&apiv1.CheckpointStatus{Id: "c1", Held: &apiv1.CheckpointPart{Bytes: 10, NewBytes: 5, PauseMs: 2}}, "complete"},
	} {
		s.say(&apiv1.CheckpointStatus{Id: "another", Ready: true, Still: true, Taken: &apiv1.CheckpointPart{}, Held: &apiv1.CheckpointPart{}}, "h1", "h2")
		require.Nil(t, s.step(), "that is of another")
		s.say(tt.say, "h1")
		require.Nil(t, s.step(), "one host has not done its part")
		require.Equal(t, "h2", StandingOf(s.checkpoint(), s.reports).Waiting)
		s.say(tt.say, "h2")
		require.Equal(t, s.step(), s.step(), "the same input has the same output")
		require.Equal(t, tt.then, s.look())
	}
	require.Equal(t, "c1", s.app().LastCheckpoint)
	require.Nil(t, s.step(), "it is over")
}

// TestHomeIsToldBeforeItTakesTheFiles: of an app with files the home waits until all ranks stand still.
func TestHomeIsToldBeforeItTakesTheFiles(t *testing.T) {
	s := newSaving(t)
	s.apply(&apiv1.Command{Op: &apiv1.Command_ChangeFiles{ChangeFiles: &apiv1.ChangeFiles{App: "a", Host: "h1", What: apiv1.ChangeFiles_WHAT_OPENED}}})
	s.begin()
	require.True(t, s.checkpoint().Parts[0].Files)
	s.say(&apiv1.CheckpointStatus{Id: "c1", Ready: true}, "h1", "h2")
	s.look()
	s.say(&apiv1.CheckpointStatus{Id: "c1", Still: true, Taken: &apiv1.CheckpointPart{}}, "h1", "h2")
	require.Equal(t, "announced", s.look())
	require.True(t, s.checkpoint().Still)
	require.Equal(t, "taken", s.look())
}

// TestCheckpointIsAborted: for which reasons, and not before the deadline is over.
func TestCheckpointIsAborted(t *testing.T) {
	for _, tt := range []struct {
		name   string
		say    []*apiv1.CheckpointStatus
		wait   time.Duration
		reason string
	}{
		{"a host cannot", []*apiv1.CheckpointStatus{{Fault: "its disk is full"}}, 0, "its disk is full"},
		{"it does not get ready", []*apiv1.CheckpointStatus{{}}, 30 * time.Second, "host h2 is not ready within 30s"},
		{"a rank computes", []*apiv1.CheckpointStatus{{Ready: true}, {}}, 10 * time.Second, "a rank on host h2 did not stop within 10s: it computes"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newSaving(t)
			s.begin()
			for _, st := range tt.say {
				st.Id = "c1"
				s.say(st, "h1", "h2")
				s.look()
			}
			if tt.wait > 0 {
				require.Nil(t, s.step())
				s.now = s.now.Add(tt.wait)
				require.Nil(t, s.step(), "the deadline is not over")
				s.now = s.now.Add(1)
			}
			s.look()
			require.Equal(t, "aborted", s.checkpoint().Phase)
			require.Contains(t, s.checkpoint().Reason, tt.reason)
			require.Empty(t, s.app().CheckpointId)
		})
	}
}

// TestCheckpointIsMadeAnew: one that was damaged, or whose second host takes nothing, has another in its place, in the same entry, with another second host; and that one another. Then, or where nothing would be better, it is over.
func TestCheckpointIsMadeAnew(t *testing.T) {
	s := newSaving(t)
	s.host("h4", 4)
	s.begin()
	find := func(id string) *apiv1.Checkpoint {
		c, ok := s.view().Checkpoint(fsm.CheckpointID(id))
		require.True(t, ok, id)
		return c
	}
	step := func(id string, st *apiv1.CheckpointStatus) {
		st.Id = id
		s.say(st, "h1")
		s.take(Checkpoint(s.view(), find(id), s.reports, new(Watch), s.now, s.deadlines))
	}
	step("c1", &apiv1.CheckpointStatus{Fault: "its own copy is damaged", Retry: true})
	require.Equal(t, "aborted", find("c1").Phase)
	require.Equal(t, "its own copy is damaged", find("c1").Reason)
	require.Equal(t, "c1-2", find("c1").Next)
	require.Equal(t, "c1-2", s.app().CheckpointId)
	next := find("c1-2")
	require.Equal(t, "pending", next.Phase)
	require.EqualValues(t, 1, next.Tries)
	require.Equal(t, CausePeriod, next.Cause)
	require.NotEqual(t, find("c1").Parts[0].Second, next.Parts[0].Second)

	step("c1-2", &apiv1.CheckpointStatus{Fault: "host h3 has no room", Retry: true})
	require.EqualValues(t, 2, find("c1-3").Tries)
	step("c1-3", &apiv1.CheckpointStatus{Fault: "host h4 has no room", Retry: true})
	require.Equal(t, "aborted", find("c1-3").Phase)
	require.Equal(t, "tried 3 times in a row, the last time: host h4 has no room", find("c1-3").Reason)
	require.Empty(t, find("c1-3").Next)
	require.Empty(t, s.app().CheckpointId)
	require.Equal(t, 3, AbortedSince(s.view(), s.app()))
}

// TestFaultOfOneHostIsForGood: where another host's fault would stay none is made in the place of a checkpoint.
func TestFaultOfOneHostIsForGood(t *testing.T) {
	s := newSaving(t)
	s.begin()
	s.say(&apiv1.CheckpointStatus{Id: "c1", Fault: "it was damaged", Retry: true}, "h1")
	s.say(&apiv1.CheckpointStatus{Id: "c1", Fault: "its disk is full"}, "h2")
	require.Equal(t, "aborted", s.look())
	require.Empty(t, s.checkpoint().Next)
	require.Empty(t, s.app().CheckpointId)
}

// TestSecondHostThatTakesNothing: after the deadline another one is tried.
func TestSecondHostThatTakesNothing(t *testing.T) {
	s := newSaving(t)
	s.begin()
	for _, st := range []*apiv1.CheckpointStatus{{Ready: true}, {Taken: &apiv1.CheckpointPart{}, Still: true}, {Trouble: "host h2 cannot be reached"}} {
		st.Id = "c1"
		s.say(st, "h1", "h2")
		s.look()
	}
	s.now = s.now.Add(2*time.Minute + 1)
	require.Equal(t, "aborted", s.look())
	require.Contains(t, s.checkpoint().Reason, "not stored within 2m0s: host h2 cannot be reached")
	require.Equal(t, "c1-2", s.checkpoint().Next)
}

// TestSlowCheckpointGoesOn: as long as more is written.
func TestSlowCheckpointGoesOn(t *testing.T) {
	s := newSaving(t)
	s.begin()
	for i := range int64(10) {
		s.say(&apiv1.CheckpointStatus{Id: "c1", Progress: i + 1}, "h1", "h2")
		require.Equal(t, "pending", s.look())
		s.now = s.now.Add(20 * time.Second)
		require.Equal(t, "pending", s.look())
	}
}

// TestNextCheckpoint: what is aborted again and again is tried later each time, but never sooner than its period says, and the count ends with one that is complete.
func TestNextCheckpoint(t *testing.T) {
	s := newSaving(t)
	app := proto.CloneOf(s.app())
	app.Spec.CheckpointPeriod = 20
	require.Equal(t, 20*time.Second, NextCheckpoint(s.view(), app))
	s.begin()
	s.said["h1"] = &apiv1.AppStatus{App: "a", Checkpoint: &apiv1.CheckpointStatus{Id: "c1", Fault: "no"}}
	require.Equal(t, "aborted", s.look())
	require.Equal(t, 30*time.Second, NextCheckpoint(s.view(), app))
	for vain, want := range map[int]time.Duration{0: time.Minute, 1: time.Minute, 3: 2 * time.Minute, 6: 10 * time.Minute, 1000: 10 * time.Minute} {
		require.Equal(t, want, nextAfter(time.Minute, vain))
	}
	require.Equal(t, time.Hour, nextAfter(time.Hour, 1000))
}
