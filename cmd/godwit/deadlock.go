package main

import (
	"context"
	"time"

	"github.com/google/uuid"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/api/v1/apiv1connect"
	"github.com/godwit-run/godwit/internal/client"
)

// What is done when every rank of an app waits for another for good.
const (
	onDeadlockTell = "tell"
	onDeadlockFail = "fail"
)

func checkOnDeadlock(flag, v string) error {
	if v != "" && v != onDeadlockTell && v != onDeadlockFail {
		return usagef("%s %s: use tell or fail", flag, v)
	}
	return nil
}

const (
	deadlocked = "deadlock: every rank waits in an MPI call for another one, and nothing is on its way between them"
	// stuckFirst is when an app that prints nothing is asked first whether its ranks all wait for each other, and stuckMost how long it is until it
	// is asked again in the end: each question goes to all of its hosts.
	stuckFirst = 3 * time.Second
	stuckMost  = 5 * time.Minute
	// stuckShown is of how many ranks it is said what they wait in.
	stuckShown = 4
	// stuckPatience is how long show waits for the ranks' word.
	stuckPatience = time.Second
)

// watchDeadlock tells of a deadlock, and has the app fail if it is asked to, each time that it runs; else it tells once. It asks while no output comes, and ends with ctx.
func (r *runner) watchDeadlock(ctx context.Context, id string, t *tail) {
	go func() { // ends with ctx
		shown := t.shown.Load()
		for pause := stuckFirst; ; pause = min(2*pause, stuckMost) {
			select {
			case <-time.After(pause):
			case <-ctx.Done():
				return
			}
			if now := t.shown.Load(); now != shown {
				shown, pause = now, stuckFirst/2
				continue
			}
			res, err := inspectApp(ctx, r.client, id)
			if err == nil {
				r.sayFiles(res.App)
			}
			if err != nil || !res.Deadlock || res.App.GetVerdict() != "" { // such an app is at its end already
				continue
			}
			r.say("%s: %s (godwit show --ranks %s)", id, deadlocked, id)
			for _, rank := range res.Ranks[:min(stuckShown, len(res.Ranks))] {
				r.say("  rank %d on %s: %s", rank.Rank, rank.Host, rank.Doing)
			}
			if r.f.onLock != onDeadlockFail {
				return
			}
			req := &apiv1.CancelAppRequest{IdempotencyKey: uuid.NewString(), App: id, Reason: deadlocked, FailedWith: exitFailed}
			if _, err := call(ctx, r.client, apiv1connect.ControlClient.CancelApp, req); err != nil && ctx.Err() == nil {
				r.say("%s", message(err))
			}
			pause = stuckFirst / 2 // it may run again, if it has restarts
		}
	}()
}

// sayFiles tells once why an app's files are not where they are to be.
func (r *runner) sayFiles(a *apiv1.App) {
	f := a.GetFiles()
	if f.GetTrouble() == "" || r.saidFiles {
		return
	}
	r.saidFiles = true
	r.say("%s waits for its files, which are on %s: %s%s", a.Id, f.Host, f.Trouble, cancelHint(&apiv1.App{}))
}

func inspectApp(ctx context.Context, c *client.Client, id string) (*apiv1.InspectRanksResponse, error) {
	return call(ctx, c, apiv1connect.ControlClient.InspectRanks, &apiv1.InspectRanksRequest{App: id})
}

// deadlockText is a line for show, if an app's ranks all wait for each other. A host that hangs keeps it from being known.
func deadlockText(ctx context.Context, o *options, a *apiv1.App) string {
	if a.Phase != apiv1.AppRunning {
		return ""
	}
	ctx, cancel := context.WithTimeout(ctx, stuckPatience)
	defer cancel()
	c, err := o.client()
	if err != nil {
		return ""
	}
	if res, err := inspectApp(ctx, c, a.Id); err != nil || !res.Deadlock {
		return ""
	}
	return "stuck       " + deadlocked + " (show --ranks)\n"
}
