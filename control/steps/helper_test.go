package steps

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/timestamppb"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/fsm"
)

const testDigest = "00000000000000000000000000000000000000000000000000000000000000aa"

// stage is a state whose log commits at once, what hosts have reported of app a, and a clock: all of them are the test's.
type stage struct {
	t         *testing.T
	machine   *fsm.Machine
	index     uint64
	now       time.Time
	said      map[fsm.HostID]*apiv1.AppStatus
	deadlines Deadlines
}

// newStage has a state of the first feature level.
func newStage(t *testing.T) *stage {
	t.Helper()
	s := &stage{
		t: t, machine: fsm.New(), now: time.Unix(10_000, 0), said: map[fsm.HostID]*apiv1.AppStatus{},
		deadlines: Deadlines{Announce: 30 * time.Second, Freeze: 10 * time.Second, Transfer: 2 * time.Minute},
	}
	s.apply(&apiv1.Command{Op: &apiv1.Command_InitCluster{InitCluster: &apiv1.InitCluster{ClusterId: "c1"}}})
	s.apply(&apiv1.Command{Op: &apiv1.Command_AddModule{AddModule: &apiv1.AddModule{Module: &apiv1.Module{Digest: testDigest, Migratable: true}}}})
	return s
}

// newest has the state follow the newest rules.
func (s *stage) newest() {
	s.t.Helper()
	s.apply(&apiv1.Command{Op: &apiv1.Command_SetFeatureLevel{SetFeatureLevel: &apiv1.SetFeatureLevel{Level: fsm.FeatureLevel}}})
}

func (s *stage) view() *fsm.View { return s.machine.View() }

// propose commits a command, and says whether the log has applied it.
func (s *stage) propose(c *apiv1.Command) bool {
	s.t.Helper()
	s.index++
	c = &apiv1.Command{Op: c.Op, At: timestamppb.New(s.now), Key: fmt.Sprintf("k%d", s.index)}
	data, err := fsm.Encode(&apiv1.Entry{Commands: []*apiv1.Command{c}})
	require.NoError(s.t, err)
	res, err := s.machine.Apply(s.index, 7, data)
	require.NoError(s.t, err)
	return res[0].Code == ""
}

func (s *stage) apply(c *apiv1.Command) {
	s.t.Helper()
	require.True(s.t, s.propose(c))
}

// take proposes a step, and what follows from how it went.
func (s *stage) take(step *Step) {
	s.t.Helper()
	for step != nil {
		if s.propose(step.Command) {
			step = step.Then
		} else {
			step = step.Else
		}
	}
}

func (s *stage) host(name string, slots int32) {
	s.t.Helper()
	s.apply(&apiv1.Command{Op: &apiv1.Command_RegisterHost{RegisterHost: &apiv1.RegisterHost{Host: &apiv1.Host{
		Id: name, Name: name, Addr: name + ":1", Slots: slots, Incarnation: "i-" + name, NodeId: "n-" + name,
	}}}})
}

// place has app a placed, with a rank on each of the hosts that are named.
func (s *stage) place(placement ...string) {
	s.t.Helper()
	s.apply(&apiv1.Command{Op: &apiv1.Command_SubmitApp{SubmitApp: &apiv1.SubmitApp{
		Id: "a", Spec: &apiv1.AppSpec{Name: "a", ModuleDigest: testDigest, Size: int32(len(placement))},
	}}})
	s.apply(&apiv1.Command{Op: &apiv1.Command_PlaceApp{PlaceApp: &apiv1.PlaceApp{App: "a", Placement: placement}}})
}

// run has app a run there.
func (s *stage) run(placement ...string) {
	s.t.Helper()
	s.place(placement...)
	for _, host := range placement {
		for _, step := range News(s.view(), s.app(), fsm.HostID(host), &apiv1.AppStatus{App: "a", Epoch: s.app().Epoch, Executor: apiv1.ExecutorRunning}) {
			s.take(step)
		}
	}
	require.Equal(s.t, apiv1.AppRunning, s.app().Phase)
}

// running is a stage with an app of ranks 0, 1 on h1 and 2, 3 on h2.
func running(t *testing.T) *stage {
	t.Helper()
	s := newStage(t)
	s.host("h1", 4)
	s.host("h2", 4)
	s.run("h1", "h1", "h2", "h2")
	return s
}

func (s *stage) app() *apiv1.App {
	s.t.Helper()
	app, ok := s.view().App("a")
	require.True(s.t, ok)
	return app
}
