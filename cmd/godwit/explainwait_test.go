package main

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/api/v1/apiv1connect"
)

// oneApp is a server with an app in each of these states, one after the other.
type oneApp struct {
	apiv1connect.UnimplementedControlHandler
	states chan *apiv1.App
}

func (f oneApp) GetApp(context.Context, *apiv1.GetAppRequest) (*apiv1.GetAppResponse, error) {
	return &apiv1.GetAppResponse{App: <-f.states}, nil
}

// TestExplainWait: why an app waits is told until it runs, and at the latest until there is output of it.
func TestExplainWait(t *testing.T) {
	f := oneApp{states: make(chan *apiv1.App, 1)}
	cl := serveControl(t, f)
	var told []string
	explain := func(started chan struct{}) {
		explainWait(t.Context(), cl, "a", started, func(a *apiv1.App) {
			told = append(told, a.Phase+": "+a.Reason)
			close(started)
		})
	}
	f.states <- &apiv1.App{Id: "a", Phase: apiv1.AppQueued, Reason: "needs 2 slots"}
	explain(make(chan struct{}))
	f.states <- &apiv1.App{Id: "a", Phase: apiv1.AppRunning}
	explain(make(chan struct{}))
	require.Equal(t, []string{"queued: needs 2 slots"}, told)
}

// TestStandstillIsTold: who runs an app hears once that it is frozen, and once that it waits again, in each attempt but the first.
func TestStandstillIsTold(t *testing.T) {
	var got []string
	tell := tellStandstill(func(format string, args ...any) { got = append(got, fmt.Sprintf(format, args...)) })
	tell(&apiv1.App{Id: "a", Attempt: 1, Phase: apiv1.AppQueued, Reason: "needs 2 slots"})
	tell(&apiv1.App{Id: "a", Attempt: 1, Phase: apiv1.AppRunning})
	for range 2 {
		tell(&apiv1.App{Id: "a", Attempt: 2, Phase: apiv1.AppFrozen, Reason: "people want it"})
		tell(&apiv1.App{Id: "a", Attempt: 2, Phase: apiv1.AppQueued, Reason: "attempt 1: host h1 lost"})
		tell(&apiv1.App{Id: "a", Attempt: 2, Phase: apiv1.AppStarting})
		tell(&apiv1.App{Id: "a", Attempt: 2, Phase: apiv1.AppRunning})
	}
	tell(&apiv1.App{Id: "a", Attempt: 3, Phase: apiv1.AppStarting})
	require.Equal(t, []string{
		"a is frozen: people want it; godwit thaw a has it go on (interrupt, by Ctrl-C, cancels it)",
		"a is queued again: attempt 1: host h1 lost (interrupt, by Ctrl-C, cancels it)",
		"a is starting again (interrupt, by Ctrl-C, cancels it)",
	}, got)
}
