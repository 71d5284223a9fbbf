package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"connectrpc.com/connect/v2"
	"github.com/google/uuid"
	"github.com/spf13/cobra"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/api/v1/apiv1connect"
	"github.com/godwit-run/godwit/internal/client"
)

// cancelApp decides that an app is to end. Its ranks end some time later.
func cancelApp(ctx context.Context, c *client.Client, ref, reason string) (*apiv1.App, error) {
	req := &apiv1.CancelAppRequest{IdempotencyKey: uuid.NewString(), App: ref, Reason: reason}
	res, err := call(ctx, c, apiv1connect.ControlClient.CancelApp, req)
	return res.GetApp(), err
}

func newCancel(o *options) *cobra.Command {
	var reason string
	var detach bool
	c := &cobra.Command{
		Use: "cancel APP...", SuggestFor: []string{"kill", "scancel", "stop"}, Short: "Stop apps: all that can be, if others cannot", Args: wants("an app", 0), ValidArgsFunction: completeApps(o),
		Long: "Stop apps: all that can be, if others cannot. It returns when their ranks have ended, or --timeout after; they end as well if it is\n" +
			"interrupted meanwhile.",
		RunE: func(c *cobra.Command, args []string) error {
			cl, err := o.client()
			if err != nil {
				return err
			}
			asked, done := cancelAll(c.Context(), cl, args, reason), "cancelled"
			if detach {
				done = "being cancelled"
			}
			return each(c.Context(), "app", done, args, func(ctx context.Context, ref string) error {
				a := asked[ref]
				if a.err != nil || detach {
					return a.err
				}
				return awaitCancelled(ctx, cl, a.app, o.timeout)
			})
		},
	}
	c.Flags().StringVar(&reason, "reason", "cancelled by the user", "why, to be shown with the app")
	c.Flags().BoolVarP(&detach, "detach", "d", false, "return once it is decided, while ranks may still run")
	return c
}

// cancelled is what came of asking for an app's end.
type cancelled struct {
	app *apiv1.App
	err error
}

// cancelAll asks for the end of all apps before any of them is waited for. Those behind one for which no server answers are not asked for.
func cancelAll(ctx context.Context, cl *client.Client, refs []string, reason string) map[string]cancelled {
	asked := map[string]cancelled{}
	for _, ref := range refs {
		if _, again := asked[ref]; again {
			continue
		}
		app, err := cancelApp(ctx, cl, ref, reason)
		asked[ref] = cancelled{app, err}
		if ctx.Err() != nil || errors.Is(err, client.ErrUnreachable) {
			break
		}
	}
	return asked
}

// awaitCancelled returns when the app's ranks have ended, or after so long at the most.
func awaitCancelled(ctx context.Context, cl *client.Client, app *apiv1.App, long time.Duration) error {
	waiting, cancel := context.WithTimeout(ctx, long)
	defer cancel()
	id, err := app.Id, error(nil)
	if !apiv1.AppOver(app.Phase) {
		app, err = waitApp(waiting, cl, id)
	}
	switch {
	case connect.CodeOf(err) == connect.CodeNotFound && err != nil: // it is over, and forgotten
		return nil
	case err != nil && waiting.Err() != nil && ctx.Err() == nil:
		return &exitError{exitTimeout, fmt.Sprintf("it is cancelled, but ranks of it have not ended within %v (--timeout): they end, at the latest when "+
			"a host that does not answer is called lost; godwit show %s shows them", long, id)}
	case err != nil:
		return fmt.Errorf("it is cancelled, and whether its ranks have ended is not known: %w", err)
	case app.Phase != apiv1.AppCancelled:
		return fmt.Errorf("it had %s before%s", app.Phase, because(app.Reason))
	}
	return nil
}
