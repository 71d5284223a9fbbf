package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"connectrpc.com/connect/v2"
	"github.com/google/uuid"
	"github.com/spf13/cobra"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/api/v1/apiv1connect"
	"github.com/godwit-run/godwit/fsm"
	"github.com/godwit-run/godwit/internal/apierr"
	"github.com/godwit-run/godwit/internal/client"
)

// migrateFlags are those of godwit migrate.
type migrateFlags struct {
	to      string
	wait    bool
	waitFor time.Duration
}

const migrateLong = `Move ranks of a running app to another host, all of them at once. It prints the migration's id as soon as that is under way; with --wait it
returns when it has ended: with 0 if the ranks are on the host, 1 if they stay where they were, with the reason, and 124 if it is still under way at the end of --wait-for.
A checkpoint of the app that is under way is waited for with --wait; without, the migration is refused until that has ended.`

func newMigrate(o *options) *cobra.Command {
	f := &migrateFlags{}
	c := &cobra.Command{
		Use: "migrate APP/RANK[,RANK...] --to HOST", Short: "Move ranks of a running app to another host", Long: migrateLong, Args: wants("a rank and its new host", 1),
		RunE: func(c *cobra.Command, args []string) error {
			app, ranks, err := splitRank(args[0])
			if err != nil {
				return err
			}
			switch {
			case len(ranks) == 0 || f.to == "":
				return usagef("migrate %s: name a rank, as APP/RANK, or several, as APP/RANK,RANK, and their new host with --to", args[0])
			case f.waitFor < 0 || f.waitFor > 0 && !f.wait:
				return usagef("--wait-for %v: give a time above 0, with --wait", f.waitFor)
			}
			return f.run(c.Context(), o, &apiv1.MigrateRequest{IdempotencyKey: uuid.NewString(), App: app, Rank: ranks[0], MoreRanks: ranks[1:], To: f.to})
		},
	}
	c.Flags().StringVar(&f.to, "to", "", "the host to move it to (required)")
	c.Flags().BoolVar(&f.wait, "wait", false, "return when the migration has ended")
	c.Flags().DurationVar(&f.waitFor, "wait-for", 0, "with --wait: for how long at the most (default: as long as it takes)")
	return o.outputFlag(c)
}

func (f *migrateFlags) run(ctx context.Context, o *options, req *apiv1.MigrateRequest) error {
	if err := o.checkOutput(); err != nil {
		return err
	}
	cl, err := o.client()
	if err != nil {
		return err
	}
	waiting, cancel := ctx, context.CancelFunc(func() {})
	if f.waitFor > 0 {
		waiting, cancel = context.WithTimeout(ctx, f.waitFor)
	}
	defer cancel()
	mig, err := f.begin(ctx, waiting, cl, req)
	if err == nil && f.wait {
		mig, err = f.ended(waiting, cl, mig)
	}
	if err != nil {
		return err
	}
	if o.output == "json" {
		err = printJSON(os.Stdout, jsonValue(mig.ProtoReflect()))
	} else {
		err = printf("%s\n", mig.Id)
	}
	if err == nil && fsm.MigrationPhaseOf(mig) == fsm.Aborted {
		err = fmt.Errorf("migration %s was aborted, and the ranks stay where they were%s", mig.Id, because(mig.Reason))
	}
	return err
}

// begin has a migration begin; with --wait after the checkpoint that is under way, as long as waiting is not over.
func (f *migrateFlags) begin(ctx, waiting context.Context, cl *client.Client, req *apiv1.MigrateRequest) (*apiv1.Migration, error) {
	for again := true; ; {
		res, err := call(ctx, cl, apiv1connect.ControlClient.Migrate, req)
		if err == nil {
			return res.Migration, nil
		}
		if !f.wait || connect.CodeOf(err) != connect.CodeFailedPrecondition || apierr.Info(err).GetReason() != apierr.ReasonRefused {
			return nil, err
		}
		waited, over := f.checkpointEnds(waiting, cl, req.App)
		switch {
		case over != nil:
			return nil, over
		case !waited && !again: // refused twice, with no checkpoint between: for another reason
			return nil, err
		}
		again = waited
	}
}

// checkpointEnds returns when no checkpoint of an app is under way, and whether it waited for that. The servers say when one has ended.
func (f *migrateFlags) checkpointEnds(waiting context.Context, cl *client.Client, app string) (waited bool, err error) {
	checkpoint := ""
	for {
		var found *apiv1.App
		if checkpoint == "" {
			var res *apiv1.GetAppResponse
			res, err = call(waiting, cl, apiv1connect.ControlClient.GetApp, &apiv1.GetAppRequest{App: app})
			found = res.GetApp()
		} else {
			var res *apiv1.WaitAppResponse
			res, err = call(waiting, cl, apiv1connect.ControlClient.WaitApp, &apiv1.WaitAppRequest{App: app, Checkpoint: checkpoint})
			found, waited = res.GetApp(), true
		}
		switch {
		case err != nil && !f.waitOver(waiting, err):
			return waited, err
		case err != nil:
			under := cmp.Or(checkpoint, "as it seems")
			if f.waitFor > 0 && !errors.Is(waiting.Err(), context.Canceled) {
				return waited, &exitError{exitTimeout, fmt.Sprintf("no migration has begun within %v (--wait-for): app %s has a checkpoint under way, %s", f.waitFor, app, under)}
			}
			return waited, &exitError{exitInterrupted, fmt.Sprintf("no migration has begun: app %s has a checkpoint under way, %s", app, under)}
		case found.GetCheckpointId() == "" || apiv1.AppOver(found.GetPhase()):
			return waited, nil
		}
		checkpoint = found.CheckpointId
	}
}

// waitOver tells whether it is the end of waiting that has ended a call. A server may say that the time is up before the context does.
func (f *migrateFlags) waitOver(waiting context.Context, err error) bool {
	return waiting.Err() != nil || f.waitFor > 0 && connect.CodeOf(err) == connect.CodeDeadlineExceeded
}

// ended returns a migration when it has ended, or an error at the timeout. The servers say when it has.
func (f *migrateFlags) ended(waiting context.Context, cl *client.Client, mig *apiv1.Migration) (*apiv1.Migration, error) {
	for {
		res, err := call(waiting, cl, apiv1connect.ControlClient.WaitApp, &apiv1.WaitAppRequest{App: mig.App, Migration: mig.Id})
		switch {
		case connect.CodeOf(err) == connect.CodeNotFound && err != nil:
			return nil, fmt.Errorf("migration %s has ended, and is forgotten with its app", mig.Id)
		case err != nil && !f.waitOver(waiting, err):
			return nil, fmt.Errorf("migration %s is under way, and whether it has ended is not known: %w", mig.Id, err)
		case err != nil && f.waitFor > 0 && !errors.Is(waiting.Err(), context.Canceled):
			return nil, &exitError{exitTimeout, fmt.Sprintf("migration %s is still under way after %v (--wait-for), and goes on: godwit migrations lists it", mig.Id, f.waitFor)}
		case err != nil:
			return nil, &exitError{exitInterrupted, fmt.Sprintf("migration %s is under way, and goes on without being waited for: godwit migrations lists it", mig.Id)}
		case res.Migration != nil && fsm.MigrationPhaseOf(res.Migration).Ended():
			return res.Migration, nil
		case res.App.MigrationId != mig.Id:
			return nil, fmt.Errorf("migration %s has ended, and is forgotten: so many others have since", mig.Id)
		}
	}
}
