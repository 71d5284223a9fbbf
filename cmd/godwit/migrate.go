package main

import (
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

// migrationLook is how often a migration that is waited for is looked at.
const migrationLook = 100 * time.Millisecond

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

// checkpointEnds returns when no checkpoint of an app is under way, and whether it waited for that.
func (f *migrateFlags) checkpointEnds(waiting context.Context, cl *client.Client, app string) (waited bool, err error) {
	look := time.NewTicker(migrationLook)
	defer look.Stop()
	checkpoint := "as it seems"
	for ; ; waited = true {
		res, err := call(waiting, cl, apiv1connect.ControlClient.GetApp, &apiv1.GetAppRequest{App: app})
		switch id := res.GetApp().GetCheckpointId(); {
		case err != nil && waiting.Err() == nil:
			return waited, err
		case err == nil && id == "":
			return waited, nil
		case err == nil:
			checkpoint = id
		}
		select {
		case <-look.C:
		case <-waiting.Done():
			if errors.Is(waiting.Err(), context.DeadlineExceeded) {
				return waited, &exitError{exitTimeout, fmt.Sprintf("no migration has begun within %v (--wait-for): app %s has a checkpoint under way, %s", f.waitFor, app, checkpoint)}
			}
			return waited, &exitError{exitInterrupted, fmt.Sprintf("no migration has begun: app %s has a checkpoint under way, %s", app, checkpoint)}
		}
	}
}

// ended returns a migration when it has ended, or an error at the timeout.
func (f *migrateFlags) ended(waiting context.Context, cl *client.Client, mig *apiv1.Migration) (*apiv1.Migration, error) {
	look := time.NewTicker(migrationLook)
	defer look.Stop()
	for {
		res, err := call(waiting, cl, apiv1connect.ControlClient.ListMigrations, &apiv1.ListMigrationsRequest{App: mig.App})
		if err != nil && waiting.Err() == nil {
			return nil, fmt.Errorf("migration %s is under way, and whether it has ended is not known: %w", mig.Id, err)
		}
		found := false
		for _, m := range res.GetMigrations() {
			if m.Id == mig.Id {
				found = true
				if fsm.MigrationPhaseOf(m).Ended() {
					return m, nil
				}
			}
		}
		if err == nil && !found {
			return nil, fmt.Errorf("migration %s has ended, and is forgotten with its app", mig.Id)
		}
		select {
		case <-look.C:
		case <-waiting.Done():
			if errors.Is(waiting.Err(), context.DeadlineExceeded) {
				return nil, &exitError{exitTimeout, fmt.Sprintf("migration %s is still under way after %v (--wait-for), and goes on: godwit migrations lists it", mig.Id, f.waitFor)}
			}
			return nil, &exitError{exitInterrupted, fmt.Sprintf("migration %s is under way, and goes on without being waited for: godwit migrations lists it", mig.Id)}
		}
	}
}
