package steps

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/timestamppb"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/fsm"
)

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

	all[4].Lost, all[4].StoredAt = true, young // it takes nobody's place, and stays while its app goes on
	running.Spec.CheckpointKeep = 2
	require.Empty(t, ids(running, true))
	all[1].StoredAt = old
	running.Spec.CheckpointKeep = 1
	require.Empty(t, ids(running, true), "1 is the last that an object store has")
}

// TestCollect: each goes by itself; what the app goes on from stays, and so does what is just brought to its store.
func TestCollect(t *testing.T) {
	s := newSaving(t)
	s.apply(&apiv1.Command{Op: &apiv1.Command_SubmitApp{SubmitApp: &apiv1.SubmitApp{
		Id: "b", Spec: &apiv1.AppSpec{Name: "b", ModuleDigest: testDigest, Size: 1, CheckpointKeep: 1, CheckpointPeriod: 1},
	}}})
	s.apply(&apiv1.Command{Op: &apiv1.Command_PlaceApp{PlaceApp: &apiv1.PlaceApp{App: "b", Placement: []string{"h3"}}}})
	started := &apiv1.AppStatus{App: "b", Epoch: 1, Executor: apiv1.ExecutorRunning}
	app := func() *apiv1.App { b, _ := s.view().App("b"); return b }
	s.take(News(s.view(), app(), "h3", started)[0])
	for _, id := range []string{"c1", "c2", "c3"} {
		s.take(BeginCheckpoint(s.view(), app(), fsm.CheckpointID(id), CausePeriod, apiv1.AfterCheckpoint_AFTER_CHECKPOINT_UNSPECIFIED))
		for _, st := range []*apiv1.CheckpointStatus{{Id: id, Ready: true}, {Id: id, Taken: &apiv1.CheckpointPart{}}, {Id: id, Held: &apiv1.CheckpointPart{}}} {
			s.say(st, "h3")
			c, _ := s.view().Checkpoint(fsm.CheckpointID(id))
			s.take(Checkpoint(s.view(), c, s.reports, new(Watch), s.now, s.deadlines))
		}
		require.Equal(t, id, app().LastCheckpoint)
	}
	what := func(onItsWay string) (out []string) {
		for _, step := range Collect(s.view(), "b", s.now, func(id string) bool { return id == onItsWay }) {
			out = append(out, step.What)
		}
		return out
	}
	require.Equal(t, []string{"remove checkpoint c2", "remove checkpoint c1"}, what(""))
	require.Equal(t, []string{"remove checkpoint c2"}, what("c1"))
	for _, step := range Collect(s.view(), "b", s.now, func(string) bool { return false }) {
		s.apply(step.Command)
	}
	require.Empty(t, what(""))
	require.Empty(t, Collect(s.view(), "nobody", s.now, nil))
}
