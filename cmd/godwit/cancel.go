package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"connectrpc.com/connect/v2"
	"github.com/google/uuid"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/api/v1/apiv1connect"
	"github.com/godwit-run/godwit/fsm"
	"github.com/godwit-run/godwit/internal/client"
)

// stopGrace is for how long programs that have a handler for SIGTERM may go on when they are told to end.
const stopGrace = fsm.StopGraceMs * time.Millisecond

// cancelApp decides that an app is to end. Its ranks end some time later, those that can be told of it after the grace at the latest.
func cancelApp(ctx context.Context, c *client.Client, ref, reason string, grace time.Duration) (*apiv1.App, error) {
	req := &apiv1.CancelAppRequest{IdempotencyKey: uuid.NewString(), App: ref, Reason: reason, GraceMs: grace.Milliseconds()}
	res, err := call(ctx, c, apiv1connect.ControlClient.CancelApp, req)
	return res.GetApp(), err
}

func newCancel(o *options) *cobra.Command {
	var reason string
	var detach bool
	var grace time.Duration
	c := &cobra.Command{
		Use: "cancel APP|ARRAY|ARRAY_[INDEXES]...", SuggestFor: []string{"kill", "scancel", "stop"}, Short: "Stop apps: all that can be, if others cannot", Args: wants("an app", 0), ValidArgsFunction: completeApps(o),
		Long: "Stop apps: all that can be, if others cannot. A program that has a handler for SIGTERM is told by that, and has the --grace to end by\n" +
			"itself; all others end at their next call. It returns when their ranks have ended, or --timeout after that; they end as well if it is\n" +
			"interrupted meanwhile. Cancelled again with a shorter grace, or none, they have that.",
		RunE: func(c *cobra.Command, args []string) error {
			cl, err := o.client()
			if err != nil {
				return err
			}
			if args, err = withArrays(c.Context(), cl, args); err != nil {
				return err
			}
			all := cancelAll(c.Context(), cl, args, reason, grace)
			t := &tally{done: "being cancelled", lack: "apps are not being cancelled", of: len(args)}
			if !detach {
				awaitAll(c.Context(), cl, all, o.timeout+grace)
				t.done, t.lack = "cancelled", "apps were not seen to end as cancelled"
			}
			for _, ref := range args {
				if a := all[ref]; a != nil {
					t.add(ref, a.err)
				} else {
					t.add(ref, errNotTried)
				}
			}
			return t.err()
		},
	}
	c.Flags().StringVar(&reason, "reason", "cancelled by the user", "why, to be shown with the app")
	c.Flags().DurationVar(&grace, "grace", stopGrace, "for how long ranks may go on that have a handler for SIGTERM; 0: they are not told")
	c.Flags().BoolVarP(&detach, "detach", "d", false, "return once it is decided, while ranks may still run")
	return c
}

// withArrays names, in the place of each array, and of several apps of one, those of its apps that have not ended.
func withArrays(ctx context.Context, cl *client.Client, refs []string) ([]string, error) {
	var out []string
	for _, ref := range refs {
		array, indexes, some := splitMember(ref)
		if !isArray(ref) {
			out = append(out, ref)
			continue
		}
		if len(indexes) == 1 { // as any app that is named: it is told if it has ended
			out = append(out, indexRef(array, indexes[0]))
			continue
		}
		of := arrayApps
		if some {
			of = memberApps
		}
		apps, err := of(ctx, cl, ref)
		if err != nil {
			return nil, err
		}
		for _, a := range slices.Backward(apps) { // those first that are held: the end of another would let them begin
			if !apiv1.AppOver(a.Phase) {
				out = append(out, a.Id)
			}
		}
	}
	return out, nil
}

// cancelled is what came of asking for an app's end.
type cancelled struct {
	app *apiv1.App
	err error
}

// cancelAll asks for the end of all apps before any of them is waited for. Those behind one for which no server answers are not asked for.
func cancelAll(ctx context.Context, cl *client.Client, refs []string, reason string, grace time.Duration) map[string]*cancelled {
	asked := map[string]*cancelled{}
	for _, ref := range refs {
		if _, again := asked[ref]; again {
			continue
		}
		app, err := cancelApp(ctx, cl, ref, reason, grace)
		if ctx.Err() != nil && err != nil {
			err = &exitError{exitInterrupted, "interrupted: whether it is cancelled is not known"}
		}
		asked[ref] = &cancelled{app, err}
		if ctx.Err() != nil || errors.Is(err, client.ErrUnreachable) {
			break
		}
	}
	return asked
}

// maxAwaited bounds how many apps are waited for at once.
const maxAwaited = 64

// awaitAll returns when the ranks of all that are cancelled have ended, or after so long at the most for all of them, and notes what came of each.
func awaitAll(ctx context.Context, cl *client.Client, all map[string]*cancelled, long time.Duration) {
	waiting, cancel := context.WithTimeout(ctx, long)
	defer cancel()
	var g errgroup.Group
	g.SetLimit(maxAwaited)
	for _, a := range all {
		if a.err == nil {
			g.Go(func() error { a.err = awaitCancelled(waiting, cl, a.app, long); return nil })
		}
	}
	_ = g.Wait() // none fails
}

// awaitCancelled returns when the app's ranks have ended, or waiting has: after so long, or since it is interrupted.
func awaitCancelled(waiting context.Context, cl *client.Client, app *apiv1.App, long time.Duration) error {
	id, err := app.Id, error(nil)
	if !apiv1.AppOver(app.Phase) {
		app, err = waitApp(waiting, cl, id, ignore)
	}
	switch {
	case connect.CodeOf(err) == connect.CodeNotFound && err != nil: // it is over, and forgotten
		return nil
	case err != nil && (errors.Is(waiting.Err(), context.DeadlineExceeded) || connect.CodeOf(err) == connect.CodeDeadlineExceeded): // the server may say so first
		return &exitError{exitTimeout, fmt.Sprintf("it is cancelled, but was not seen to end within %v (--timeout): its ranks end when their "+
			"hosts have stopped them, or a host that does not answer is called lost; godwit show %s says whom it waits for", long, id)}
	case err != nil && waiting.Err() != nil:
		return &exitError{exitInterrupted, fmt.Sprintf("it is cancelled, but was not seen to end: its ranks end also without being waited for; godwit show %s shows them", id)}
	case err != nil:
		return fmt.Errorf("it is cancelled, and whether its ranks have ended is not known: %w", err)
	case app.Phase != apiv1.AppCancelled:
		return fmt.Errorf("it had %s before%s", app.Phase, because(app.Reason))
	}
	return nil
}
