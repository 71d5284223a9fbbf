package main

import (
	"context"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/api/v1/apiv1connect"
	"github.com/godwit-run/godwit/internal/client"
)

// appEnd is the end of an app, which is waited for from the app's beginning: whoever reads the output at leisure, after so many
// others have ended that the servers have forgotten this one, has its end all the same.
type appEnd struct {
	client *client.Client
	id     string
	done   chan struct{} // closed once what is below is set
	app    *apiv1.App
	err    error
}

// awaitEnd begins to wait for an app's end. Meanwhile goesOn hears of it now and then, and when it is frozen or queued again. The wait ends with ctx.
func awaitEnd(ctx context.Context, c *client.Client, id string, goesOn func(*apiv1.App)) *appEnd {
	e := &appEnd{client: c, id: id, done: make(chan struct{})}
	go func() {
		defer close(e.done)
		e.app, e.err = waitApp(ctx, c, id, goesOn)
	}()
	return e
}

// get waits for the end. A wait that failed, as in a long outage that is over by now, is tried once more.
func (e *appEnd) get(ctx context.Context) (*apiv1.App, error) {
	<-e.done
	if e.err == nil {
		return e.app, nil
	}
	return waitApp(ctx, e.client, e.id, ignore)
}

// ignore is told of an app that goes on, and does nothing.
func ignore(*apiv1.App) {}

// waitApp waits until an app is terminal.
func waitApp(ctx context.Context, c *client.Client, id string, goesOn func(*apiv1.App)) (*apiv1.App, error) {
	for {
		res, err := call(ctx, c, apiv1connect.ControlClient.WaitApp, &apiv1.WaitAppRequest{App: id})
		if err != nil {
			return nil, err
		}
		if apiv1.AppOver(res.App.Phase) {
			return res.App, nil
		}
		goesOn(res.App)
	}
}
