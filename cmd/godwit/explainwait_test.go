package main

import (
	"context"
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
