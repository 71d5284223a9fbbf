package main

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/api/v1/apiv1connect"
	"github.com/godwit-run/godwit/internal/apierr"
)

// submitTries is how often an app is submitted whose module somebody removes each time.
const submitTries = 5

// submit queues the app of modules that the servers had a moment ago. Whoever removed one since had no app to see that needs it: it is sent
// once more. The key stays the same, so that there is one app whatever the refused tries have come to.
func (r *runner) submit(ctx context.Context, mods *moduleUploads) (*apiv1.App, error) {
	return r.submitKeyed(ctx, mods, uuid.NewString())
}

// submitKeyed submits what the spec is now under an idempotency key.
func (r *runner) submitKeyed(ctx context.Context, mods *moduleUploads, key string) (*apiv1.App, error) {
	for try := 1; ; try++ {
		app, err := r.submitOnce(ctx, key)
		switch {
		case !moduleGone(err):
			return app, err
		case try == submitTries:
			return nil, fmt.Errorf("%s was submitted %d times, and each time somebody had removed its module from the cluster before: stop that "+
				"(godwit module rm), and submit it again", r.f.spec.Name, try)
		}
		sending, cancel := until(ctx, r.in.first)
		err = mods.sendMissing(sending, r.client)
		cancel()
		if err != nil || r.in.came() {
			return nil, r.in.nothingYet(err)
		}
	}
}

// moduleGone says that a submission was refused because the cluster does not have the module.
func moduleGone(err error) bool {
	info := apierr.Info(err)
	return info.GetReason() == apierr.ReasonNotFound && info.GetField() == "spec.module_digest"
}

// submitOnce asks for the app once. Whoever interrupts that would not know whether there is an app: it goes on, so that the app can be
// cancelled, until the second interrupt.
func (r *runner) submitOnce(ctx context.Context, key string) (*apiv1.App, error) {
	ctx, cancel := until(ctx, r.in.second)
	defer cancel()
	answered, done := make(chan struct{}), make(chan struct{})
	go func() { // ends with the answer
		defer close(done)
		select {
		case <-r.in.first:
			r.say("interrupted while submitting %s: it is cancelled when the servers have answered; interrupt again to leave it", r.f.spec.Name)
		case <-answered:
		}
	}()
	res, err := call(ctx, r.client, apiv1connect.ControlClient.Submit, &apiv1.SubmitRequest{IdempotencyKey: key, Spec: r.f.spec})
	app := res.GetApp()
	close(answered)
	<-done
	switch {
	case err == nil || !r.in.came():
		return app, err
	case closed(r.in.second):
		return nil, &exitError{exitInterrupted, fmt.Sprintf("left: whether %s was submitted is not known; godwit ps -a shows it", r.f.spec.Name)}
	default:
		return nil, &exitError{exitInterrupted, message(err) + "; it was interrupted, and is not tried again"}
	}
}
