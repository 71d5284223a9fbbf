package fsm

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

// TestLostCheckpointOfDependents: apps that begin from a checkpoint which is lost fail in one entry, also those of them that depend on each other.
func TestLostCheckpointOfDependents(t *testing.T) {
	m := New()
	mustHold(t, m, "init c1", "level 4", "module m migratable", "host h1 4 n1 i1", "host h2 4 n2 i1", "submit a1 m 1", "place a1 h1", "started a1 h1 1",
		"checkpoint c1 a1 1", "announce-checkpoint c1", "take c1", "complete c1 h1", "submit s m 1 restore=c1", "place s h2",
		"submit q1 m 1 restore=c1", "submit q2 m 1 restore=c1 after=q1", "submit q3 m 1 after=q2")
	results, err := applyEntry(m, m.View().Index()+1, &apiv1.Entry{Commands: []*apiv1.Command{{Op: &apiv1.Command_RestartApp{
		RestartApp: &apiv1.RestartApp{App: "s", Attempt: 1, FromCheckpoint: true, Lost: "c1", Reason: "nobody has it"},
	}}}})
	require.NoError(t, err)
	require.Empty(t, results[0].GetCode(), results[0].GetReason())
	requireSound(t, m)
	for _, id := range []AppID{"q1", "q2", "q3"} {
		app, _ := m.View().App(id)
		require.Equal(t, Failed, PhaseOf(app), id)
	}
}

// TestArraysThatWaitForArrays: the end of one of an array costs nothing for those that wait for all of it.
func TestArraysThatWaitForArrays(t *testing.T) {
	m := New()
	mustHold(t, m, "init c1", "level 4", "module m migratable")
	const apps = 300
	mustApplyMany(t, m, apps, func(i int) string { return fmt.Sprintf("submit a%d m 1 array=one,%d,0", i, i) })
	mustApplyMany(t, m, apps, func(i int) string { return fmt.Sprintf("submit b%d m 1 array=two,%d,0 afteranyarray=one", i, i) })
	v := m.View()
	require.Zero(t, v.Queued()-apps)
	mustHold(t, m, "stop a0 cancelled 0 no")
	app, _ := v.App("b7")
	now, _ := m.View().App("b7")
	require.Same(t, app, now, "one that waits is not touched")
	mustApplyMany(t, m, apps-1, func(i int) string { return fmt.Sprintf("stop a%d cancelled 0 no", i+1) })
	require.Equal(t, apps, m.View().Queued())
	require.NoError(t, CheckInvariants(m.View()))
}
