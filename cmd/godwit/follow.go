package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"connectrpc.com/connect/v2"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/internal/client"
	"github.com/godwit-run/godwit/internal/text"
)

// onInterrupt cancels the app at the first interrupt, and when its output cannot be written any more; it calls leave at the first
// interrupt after it has said so. The channel is closed when it cancels. All of it ends with ctx.
func (r *runner) onInterrupt(ctx context.Context, leave func(), id string, out *output) <-chan struct{} {
	stopping := make(chan struct{})
	go func() { // ends with ctx
		why := ""
		select {
		case <-r.in.first:
		case <-out.lost:
			why = fmt.Sprintf("its output cannot be written any more (%s): ", out.why())
			if app, err := getApp(ctx, r.client, id); err == nil && apiv1.AppOver(app.App.Phase) {
				return // so it is at its end already
			}
		case <-ctx.Done():
			return
		}
		close(stopping)
		again := "; interrupt to leave it"
		switch {
		case r.private:
			again = ""
		case r.in.came():
			again = "; interrupt again to leave it"
		}
		go r.cancel(ctx, id) // ends with ctx; the app is not kept by who does not read what is said
		r.say("%scancelling %s%s", why, id, again)
		said := time.Now()
		if r.in.after(ctx, said) {
			if !r.private {
				r.say("left alone: godwit logs -f %s shows the rest", id)
			}
			leave()
		}
	}()
	return stopping
}

// cancel asks for the app's end, and says why that failed.
func (r *runner) cancel(ctx context.Context, id string) {
	_, err := cancelApp(ctx, r.client, id, "interrupted", stopGrace)
	switch {
	case err == nil || ctx.Err() != nil:
	case errors.Is(err, client.ErrUnreachable) || client.Retryable(err):
		r.say("%s; %s may go on: godwit cancel %s ends it", message(err), id, id)
	default:
		r.say("%s", message(err))
	}
}

// cancelHint says how an app that waits is cancelled, if it is not yet.
func cancelHint(a *apiv1.App) string {
	if a.Verdict != "" {
		return ""
	}
	return " (interrupt, by Ctrl-C, cancels it)"
}

// onTimeout cancels the app when it has run for too long. The channel is closed then; the function ends it all.
func (r *runner) onTimeout(ctx context.Context, id string) (<-chan struct{}, func()) {
	timedOut := make(chan struct{})
	if r.limit == 0 {
		return timedOut, func() {}
	}
	timer := time.AfterFunc(r.limit, func() {
		close(timedOut)
		if _, err := cancelApp(ctx, r.client, id, fmt.Sprintf("it ran for longer than %s", r.limit), stopGrace); err != nil && ctx.Err() == nil {
			r.say("%s", message(err))
		}
	})
	return timedOut, func() { timer.Stop() }
}

// follow prints the app's output until it has ended, and returns its exit code as an error. The first interrupt cancels
// the app, the second leaves it alone. Output that cannot be written is an interrupt.
func (r *runner) follow(ctx context.Context, id string) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	out := newOutput(r.lines)
	stopping := r.onInterrupt(ctx, cancel, id, out)
	timedOut, stop := r.onTimeout(ctx, id)
	defer stop()
	told := make(chan struct{})
	go func() { // ends with ctx
		defer close(told)
		if r.placed == nil {
			return
		}
		if app := r.placement(ctx, id); app != nil {
			r.placed(app)
		}
	}()
	parts := newPauses(r.atOnce, out.line)
	t := newTail(r.client, id, true, nil, parts.line)
	t.rest = parts.rest
	t.waits = func(what string) { r.say("%s", what) }
	said := ""
	go explainWait(ctx, r.client, id, t.started, func(a *apiv1.App) { // ends with ctx
		if a.Phase != said { // once while it is queued, and once while it starts, in each turn of these
			r.say("%s is %s: %s%s", id, a.Phase, a.Reason, cancelHint(a))
		}
		said = a.Phase
	})
	r.watchDeadlock(ctx, id, t)
	end := awaitEnd(ctx, r.client, id, tellStandstill(r.say))
	all, err := r.print(ctx, t, end, out)
	if !all {
		return r.unread(id)
	}
	if err == nil {
		r.ended, err = end.get(ctx)
	}
	missing := t.incomplete()
	if err == nil {
		<-told
	}
	switch {
	case closed(out.lost) && !r.in.came(): // what ends a pipeline ends the reader too
		return out.exit()
	case closed(stopping):
		return &exitError{code: exitInterrupted}
	case r.ended.GetReason() == deadlocked:
		return &exitError{exitFailed, id + " was stopped: " + deadlocked}
	case r.feeding != nil && closed(r.feeding.ended):
		return &exitError{exitFailed, id + " was stopped: " + r.feeding.why.Error()}
	case closed(timedOut):
		return &exitError{exitTimeout, fmt.Sprintf("%s was stopped: it ran for longer than %s", id, r.limit)}
	case ctx.Err() != nil && r.private:
		return &exitError{exitInterrupted, "stopped, with the cluster that was started for this run"}
	case ctx.Err() != nil:
		return &exitError{exitInterrupted, fmt.Sprintf("stopped, but %s goes on: godwit logs -f %s shows the rest", id, id)}
	case connect.CodeOf(err) == connect.CodeNotFound: // it is over, and forgotten
		return err
	case err != nil:
		return fmt.Errorf("%w (%s goes on: godwit show %s)", err, id, id)
	}
	err = r.verdict(r.ended)
	switch {
	case missing != nil && err == nil:
		return missing
	case missing != nil:
		r.say("%s", missing)
	}
	return err
}

// placementPause is how long to wait before asking again whether an app has a placement.
const placementPause = 50 * time.Millisecond

// placement waits until the app has a placement, or has ended; nil if ctx or the calls say no.
func (r *runner) placement(ctx context.Context, id string) *apiv1.App {
	for {
		res, err := getApp(ctx, r.client, id)
		if err != nil {
			return nil
		}
		if len(res.App.Placement) > 0 || res.App.EndedAt != nil {
			return res.App
		}
		select {
		case <-time.After(placementPause):
		case <-ctx.Done():
			return nil
		}
	}
}

// hostOf is where a rank was when the first of its output came.
func (r *runner) hostOf(ctx context.Context, rank int32) string {
	if r.seen == nil {
		r.seen = r.placement(ctx, r.id)
	}
	if placement := r.seen.GetPlacement(); int(rank) < len(placement) {
		return placement[rank]
	}
	return ""
}

const (
	// waitNotice is how long an app may be queued or starting before the user is told why.
	waitNotice = 2 * time.Second
	// waitAgain is how long until it is looked again whether it waits for something of another kind.
	waitAgain = 10 * time.Second
)

// explainWait shows tell an app that does not start, again and again while it is queued or starting: its reason says what it waits for.
func explainWait(ctx context.Context, c *client.Client, id string, started <-chan struct{}, tell func(*apiv1.App)) {
	for wait := waitNotice; ; wait = waitAgain {
		select {
		case <-started:
			return
		case <-time.After(wait):
		case <-ctx.Done():
			return
		}
		res, err := getApp(ctx, c, id)
		if err != nil {
			continue
		}
		a := res.App
		if a.Phase != apiv1.AppQueued && a.Phase != apiv1.AppStarting {
			return
		}
		tell(a)
	}
}

// tellStandstill has say tell of an app that its ranks do not run any more, and why: once in each attempt that it is frozen, and once that it waits. Of the first
// attempt explainWait does.
func tellStandstill(say func(format string, args ...any)) func(*apiv1.App) {
	frozen, waits := uint32(1), uint32(1) // the last attempts that were told of
	return func(a *apiv1.App) {
		switch {
		case a.Phase == apiv1.AppFrozen && a.Attempt > frozen:
			frozen = a.Attempt
			say("%s is frozen%s; godwit thaw %s has it go on%s", a.Id, because(a.Reason), a.Id, cancelHint(a))
		case (a.Phase == apiv1.AppQueued || a.Phase == apiv1.AppStarting) && a.Attempt > waits:
			waits = a.Attempt
			say("%s is %s again%s%s", a.Id, a.Phase, because(a.Reason), cancelHint(a))
		}
	}
}

func (r *runner) say(format string, args ...any) {
	if !r.f.quiet {
		r.in.tell(os.Stderr, r.program+": "+text.Clean(fmt.Sprintf(format, args...), maxShown))
	}
}

// verdict is the app's end as this program's.
func (r *runner) verdict(app *apiv1.App) error {
	if app.Phase == apiv1.AppSucceeded {
		return nil
	}
	code := int(app.ExitCode) & 0xff
	if code == 0 {
		code = exitFailed
	}
	return &exitError{code, fmt.Sprintf("%s %s%s", app.Id, apiv1.AppStands(app.Phase, false), because(app.Reason))}
}
