package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/timestamppb"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/fsm"
)

func TestSqueueRow(t *testing.T) {
	began := timestamppb.New(time.Unix(1000, 0))
	for _, tt := range []struct {
		app  *apiv1.App
		want []string // ST TIME NODES NODELIST(REASON)
	}{
		{&apiv1.App{Phase: apiv1.AppQueued, Reason: "4 slots are wanted"}, []string{"PD", "0:00", "0", "(Resources: 4 slots are wanted)"}},
		{&apiv1.App{Phase: apiv1.AppQueued}, []string{"PD", "0:00", "0", "(Resources)"}},
		{&apiv1.App{Phase: apiv1.AppQueued, WaitsFor: []string{"app-0"}, Reason: "r"}, []string{"PD", "0:00", "0", "(Dependency)"}},
		{&apiv1.App{Phase: apiv1.AppQueued, Held: true, Reason: "r"}, []string{"PD", "0:00", "0", "(JobArrayTaskLimit)"}},
		{&apiv1.App{Phase: apiv1.AppStarting, Placement: []string{"w2", "w1", "w2"}}, []string{"CF", "0:00", "2", "w[1-2]"}},
		{&apiv1.App{Phase: apiv1.AppFrozen, Reason: "by hand"}, []string{"S", "0:00", "0", "(by hand)"}},
		{&apiv1.App{Phase: apiv1.AppRunning, Verdict: apiv1.AppFailed, Placement: []string{"w1"}}, []string{"CG", "0:00", "1", "w1"}},
		{&apiv1.App{Phase: apiv1.AppRunning, Verdict: apiv1.AppQueued, Placement: []string{"w1"}}, []string{"R", "0:00", "1", "w1"}},
		{
			&apiv1.App{Phase: apiv1.AppSucceeded, Placement: []string{"w1"}, StartedAt: began, EndedAt: timestamppb.New(time.Unix(1100, 0))},
			[]string{"CD", "1:40", "1", "w1"},
		},
		{
			&apiv1.App{Phase: apiv1.AppFailed, ExitCode: fsm.ExitTimeLimit, Reason: "late", Placement: []string{"w1"}, EndedAt: began},
			[]string{"TO", "0:00", "1", "(late)"},
		},
		{&apiv1.App{Phase: apiv1.AppFailed, ExitCode: 3, Reason: "exited 3", EndedAt: began}, []string{"F", "0:00", "0", "(exited 3)"}},
		{&apiv1.App{Phase: apiv1.AppCancelled, EndedAt: began}, []string{"CA", "0:00", "0", "(None)"}},
	} {
		tt.app.Id, tt.app.Name = "app-1", "a"
		require.Equal(t, append([]string{"app-1", "godwit", "a", "-"}, tt.want...), queueRow(tt.app))
	}
}

func TestSqueueLists(t *testing.T) {
	app := &apiv1.App{
		Id: "app-1", Name: "heat.7", Phase: apiv1.AppRunning,
		Spec: &apiv1.AppSpec{Tenant: "physics", Array: &apiv1.ArrayPlace{Id: "arr-1", Index: 7}},
	}
	over := &apiv1.App{Id: "app-2", Name: "b", Phase: apiv1.AppSucceeded, Spec: &apiv1.AppSpec{}}
	for _, tt := range []struct {
		words     []string
		app, over bool
	}{
		{nil, true, false},
		{[]string{"-t", "all"}, true, true},
		{[]string{"-t", "completed,PD"}, false, true},
		{[]string{"-j", "app-1,app-2", "--states=ALL"}, true, true},
		{[]string{"-j", "app-2"}, false, false},
		{[]string{"-j", "arr-1"}, true, false},
		{[]string{"--jobs=arr-1_7"}, true, false},
		{[]string{"-jarr-1_8"}, false, false},
		{[]string{"-j", "app-9,arr-1_[1,6-7]"}, true, false},
		{[]string{"-j", "arr-1_[1-6,8]"}, false, false},
		{[]string{"-n", "heat"}, true, false},
		{[]string{"-n", "heat.7", "-tr"}, true, false},
		{[]string{"-n", "hea"}, false, false},
		{[]string{"-A", "physics", "--me", "-p", "short"}, true, false},
		{[]string{"-A", "x"}, false, false},
	} {
		q := &queueView{}
		_, err := (&slurmLine[*queueView]{program: "squeue", options: queueOptions(), anywhere: true}).read(tt.words, q)
		require.NoError(t, err)
		require.Equal(t, []bool{tt.app, tt.over}, []bool{q.lists(app), q.lists(over)}, "%v", tt.words)
	}
	for _, words := range [][]string{{"-o", "%i"}, {"-O", "JobID"}, {"--format=%i"}, {"-t", "asleep"}, {"-j", ","}, {"--json"}, {"-i", "5"}} {
		_, err := (&slurmLine[*queueView]{program: "squeue", options: queueOptions(), anywhere: true}).read(words, &queueView{})
		require.Equal(t, exitUsage, exitCode(err), "%v", words)
	}
}
