package main

import (
	"context"
	"time"

	"connectrpc.com/connect/v2"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/api/v1/apiv1connect"
	"github.com/godwit-run/godwit/internal/client"
)

// holdsPerLease is how often in a lease the servers hear of an app's owner: some of the calls may be lost, and a new leader be elected meanwhile.
const holdsPerLease = 6

// hold renews the lease by which an app belongs to this command, until there is nothing to hold, or ctx ends. What fails is tried again: whether the lease is
// over is the servers' to say, and whoever follows the app hears it.
func hold(ctx context.Context, c *client.Client, app *apiv1.App) {
	lease := time.Duration(app.GetSpec().GetOwnerLeaseMs()) * time.Millisecond
	if lease <= 0 {
		return // a cluster of an older godwit knows no owners
	}
	t := time.NewTicker(lease / holdsPerLease)
	defer t.Stop()
	for {
		select {
		case <-t.C:
		case <-ctx.Done():
			return
		}
		res, err := call(ctx, c, apiv1connect.ControlClient.HoldApp, &apiv1.HoldAppRequest{App: app.Id})
		if connect.CodeOf(err) == connect.CodeNotFound && err != nil || err == nil && !res.Held {
			return
		}
	}
}
