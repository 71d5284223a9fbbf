package fsm

import (
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/timestamppb"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

// TestLeastGraceStands: an app that is being stopped has the first verdict and the least grace that were asked for, and its next attempt has none.
func TestLeastGraceStands(t *testing.T) {
	m := New()
	at(t, m, 1, "init c1", "level 4", "module m", "host h1 4 n1 i1", "submit a m 1 key=k", "place a h1", "started a h1 1")
	stop := func(phase string, grace int64) Code {
		cmd := &apiv1.Command{At: &timestamppb.Timestamp{Seconds: 1}, Op: &apiv1.Command_StopApp{StopApp: &apiv1.StopApp{App: "a", Phase: phase, GraceMs: grace, Reason: phase}}}
		results, err := applyEntry(m, m.View().Index()+1, &apiv1.Entry{Commands: []*apiv1.Command{cmd}})
		require.NoError(t, err)
		return Code(results[0].GetCode())
	}
	app := func() *apiv1.App { a, _ := m.View().App("a"); return a }
	require.Equal(t, CodeInvalid, stop(apiv1.AppCancelled, -1))
	require.Equal(t, CodeInvalid, stop(apiv1.AppCancelled, MaxGraceMs+1))
	for _, step := range []struct {
		phase       string
		asked, have int64
	}{{apiv1.AppCancelled, 5000, 5000}, {apiv1.AppCancelled, 6000, 5000}, {apiv1.AppFailed, 2000, 2000}, {apiv1.AppCancelled, 0, 0}, {apiv1.AppCancelled, 10, 0}} {
		require.Empty(t, stop(step.phase, step.asked))
		require.Equal(t, step.have, app().GetGraceMs())
		require.Equal(t, apiv1.AppCancelled, app().GetVerdict())
	}
	at(t, m, 2, "ended a h1 0@1=0")
	require.Equal(t, apiv1.AppCancelled, app().GetPhase())
}
