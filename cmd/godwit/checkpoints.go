package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/api/v1/apiv1connect"
	"github.com/godwit-run/godwit/internal/client"
)

func newCheckpoint(o *options) *cobra.Command {
	var detach bool
	var to string
	c := &cobra.Command{
		Use: "checkpoint APP", SuggestFor: []string{"snapshot"}, Short: "Make a checkpoint of a running app, and print its id", Args: wants("an app", 1),
		Long: "Make a checkpoint of a running app, and print its id: the images of all ranks at one moment, with the messages between them, their output, and\n" +
			"the app's files. The ranks stand still for moments only. It is complete when two hosts hold all of it, if there are two. If a host of the app is\n" +
			"lost, the app runs again from its last checkpoint, unless it has --on-host-loss fail.\n" +
			"With --to it is in an object store as well when this returns; else it comes there some time later, if the app has --checkpoint-to.",
		RunE: func(c *cobra.Command, args []string) error {
			if err := o.checkOutput(); err != nil {
				return err
			}
			if err := checkStore("--to", to); err != nil {
				return err
			}
			cl, err := o.client()
			if err != nil {
				return err
			}
			res, err := call(c.Context(), cl, apiv1connect.ControlClient.Checkpoint, &apiv1.CheckpointRequest{IdempotencyKey: uuid.NewString(), App: args[0], To: to})
			if err != nil {
				return err
			}
			made := res.Checkpoint
			if !detach {
				if made, err = awaitCheckpoint(c.Context(), cl, made.Id, to != ""); err != nil {
					return err
				}
			}
			if o.output == "json" {
				return printJSON(os.Stdout, jsonValue(made.ProtoReflect()))
			}
			return printf("%s\n", made.Id)
		},
	}
	c.Flags().BoolVarP(&detach, "detach", "d", false, "return when it is begun")
	c.Flags().StringVar(&to, "to", "", "`URL` of an object store that is to have it as well: file:///DIR or s3://BUCKET/PREFIX (default: the app's --checkpoint-to)")
	return o.outputFlag(c)
}

// checkpointLook is how often it is asked how a checkpoint stands where the servers cannot be waited for.
const checkpointLook = 100 * time.Millisecond

// checkStore says what is wrong with the URL of an object store; empty is not.
func checkStore(flag, url string) error {
	if _, err := apiv1.ParseStore(url); url != "" && err != nil {
		return usagef("%s: %v", flag, err)
	}
	return nil
}

// awaitCheckpoint waits until a checkpoint is complete, and if need be in its object store. That it was aborted, and none is made in its place, is an error: the leader sees to it that it ends. What
// keeps it from the store is said, for that may last.
func awaitCheckpoint(ctx context.Context, cl *client.Client, id string, stored bool) (*apiv1.Checkpoint, error) {
	said := ""
	for {
		made, err := findCheckpoint(ctx, cl, id)
		switch {
		case errors.Is(err, errNoCheckpoint):
			return nil, fmt.Errorf("checkpoint %s is gone: its app has ended meanwhile, or somebody has removed it", id)
		case err != nil:
			return nil, err
		case made.Phase == apiv1.CheckpointComplete && stored && made.StoredAt == nil:
			if _, why, _ := strings.Cut(made.Progress, " yet: "); why != said && why != "" {
				said = why
				fmt.Fprintf(os.Stderr, "godwit: checkpoint %s is complete, and %s\n", made.Id, made.Progress)
			}
		case made.Phase == apiv1.CheckpointComplete:
			return made, nil
		case made.Phase == apiv1.CheckpointAborted && made.Next != "":
			fmt.Fprintf(os.Stderr, "godwit: checkpoint %s was aborted (%s), and %s is made in its place\n", made.Id, made.Reason, made.Next)
			id = made.Next
			continue
		case made.Phase == apiv1.CheckpointAborted:
			return nil, fmt.Errorf("checkpoint %s was aborted: %s", made.Id, made.Reason)
		}
		if err := awaitNews(ctx, cl, made); err != nil {
			return nil, fmt.Errorf("checkpoint %s is %s: %w", made.Id, made.Phase, err)
		}
	}
}

// awaitNews waits until a checkpoint that is under way may have ended, which the servers say. Of one that is complete they say nothing, nor do those of an older
// version: it is looked at again.
func awaitNews(ctx context.Context, cl *client.Client, made *apiv1.Checkpoint) error {
	if made.Phase != apiv1.CheckpointComplete {
		if _, err := call(ctx, cl, apiv1connect.ControlClient.WaitApp, &apiv1.WaitAppRequest{App: made.App, Checkpoint: made.Id}); err == nil {
			return nil
		}
	}
	select {
	case <-time.After(checkpointLook):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

var errNoCheckpoint = errors.New("no checkpoint")

// findCheckpoint finds one by its id, or the beginning of it.
func findCheckpoint(ctx context.Context, cl *client.Client, ref string) (*apiv1.Checkpoint, error) {
	if ref == "" {
		return nil, usagef("name a checkpoint; godwit checkpoints lists them")
	}
	res, err := call(ctx, cl, apiv1connect.ControlClient.ListCheckpoints, &apiv1.ListCheckpointsRequest{Id: ref, PageSize: 100})
	if err != nil {
		return nil, err
	}
	for _, c := range res.Checkpoints {
		if c.Id == ref {
			return c, nil
		}
	}
	switch len(res.Checkpoints) {
	case 0:
		return nil, fmt.Errorf("%w %q; godwit checkpoints lists them", errNoCheckpoint, ref)
	case 1:
		return res.Checkpoints[0], nil
	}
	return nil, fmt.Errorf("%q is the beginning of %d checkpoints, such as %s and %s", ref, len(res.Checkpoints), res.Checkpoints[0].Id, res.Checkpoints[1].Id)
}

func newFreeze(o *options) *cobra.Command {
	var queue bool
	c := &cobra.Command{
		Use: "freeze APP", SuggestFor: []string{"suspend", "pause"}, Short: "Freeze a running app: a checkpoint, and its hosts are free", Args: wants("an app", 1),
		Long: "Freeze a running app: a checkpoint is made, and its ranks do not go on. When it is complete the app has no hosts any more. It goes on from there when it is\n" +
			"thawed, on whatever hosts there are. With --queue it is queued at once, and goes on by itself as soon as there is room.",
		RunE: func(c *cobra.Command, args []string) error {
			if err := o.checkOutput(); err != nil {
				return err
			}
			cl, err := o.client()
			if err != nil {
				return err
			}
			then := apiv1.AfterCheckpoint_AFTER_CHECKPOINT_FREEZE
			if queue {
				then = apiv1.AfterCheckpoint_AFTER_CHECKPOINT_QUEUE
			}
			res, err := call(c.Context(), cl, apiv1connect.ControlClient.Checkpoint, &apiv1.CheckpointRequest{IdempotencyKey: uuid.NewString(), App: args[0], Then: then})
			if err != nil {
				return err
			}
			made, err := awaitCheckpoint(c.Context(), cl, res.Checkpoint.Id, false)
			if err != nil {
				return err
			}
			if err := awaitFrozen(c.Context(), cl, made); err != nil {
				return err
			}
			if o.output == "json" {
				return printJSON(os.Stdout, jsonValue(made.ProtoReflect()))
			}
			return printf("%s\n", made.Id)
		},
	}
	c.Flags().BoolVar(&queue, "queue", false, "queue it at once: it goes on by itself as soon as there is room")
	return o.outputFlag(c)
}

// awaitFrozen waits until an app that is frozen by a checkpoint has left its hosts.
func awaitFrozen(ctx context.Context, cl *client.Client, by *apiv1.Checkpoint) error {
	for {
		res, err := call(ctx, cl, apiv1connect.ControlClient.GetApp, &apiv1.GetAppRequest{App: by.App})
		if err != nil {
			return err
		}
		if a := res.App; a.Attempt != by.Attempt || apiv1.AppOver(a.Phase) {
			return nil
		}
		select {
		case <-time.After(checkpointLook):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func newThaw(o *options) *cobra.Command {
	return o.outputFlag(&cobra.Command{
		Use: "thaw APP", SuggestFor: []string{"resume"}, Short: "Have a frozen app go on, as soon as there is room", Args: wants("an app", 1),
		RunE: func(c *cobra.Command, args []string) error {
			res, err := ask(c.Context(), o, apiv1connect.ControlClient.ThawApp, &apiv1.ThawAppRequest{IdempotencyKey: uuid.NewString(), App: args[0]})
			if err != nil || o.output != "json" {
				return err
			}
			return printJSON(os.Stdout, jsonValue(res.App.ProtoReflect()))
		},
	})
}

func newCheckpoints(o *options) *cobra.Command {
	var at string
	c := &cobra.Command{
		Use: "checkpoints [APP]", SuggestFor: []string{"snapshots"}, Short: "List checkpoints, or remove some", Args: cobra.MaximumNArgs(1),
		Long: "List checkpoints, of all apps or of one. SIZE is what it takes, NEW what was written for it and not for an earlier one, PAUSE the longest that a rank stood\n" +
			"still for it, and HOLDERS the hosts whose ranks are in it, each with the host that holds its part as well, and what is damaged there, until it is mended.\n" +
			"Of those that an app's --checkpoint-period has made the last few are kept (--checkpoint-keep); those that were asked for, while the app goes on. When it has\n" +
			"succeeded they go; when it has failed or was cancelled they stay for a while (godwit server --checkpoint-age).\n" +
			"Those that are in an object store as well (--checkpoint-to) have its URL, and go from there by the same rules. A store that cannot be reached then, or a cluster\n" +
			"that is no more, leaves some behind: --at lists what a store has, and rm --at removes it.",
		RunE: func(c *cobra.Command, args []string) error {
			if at != "" {
				if err := o.checkOutput(); err != nil {
					return err
				}
				return listArchive(c.Context(), o, at, strings.Join(args, ""))
			}
			res, err := ask(c.Context(), o, apiv1connect.ControlClient.ListCheckpoints, &apiv1.ListCheckpointsRequest{App: strings.Join(args, "")})
			if err != nil {
				return err
			}
			return printList(o, res.Checkpoints, "ID APP PHASE CAUSE AGE SIZE NEW PAUSE HOLDERS", checkpointRow)
		},
	}
	c.AddCommand(&cobra.Command{
		Use: "rm CHECKPOINT...", Short: "Remove checkpoints", Args: wants("a checkpoint", 0),
		RunE: func(c *cobra.Command, args []string) error {
			return each(c.Context(), "checkpoint", "removed", args, func(ctx context.Context, ref string) error {
				if at != "" {
					return removeArchived(ctx, at, ref)
				}
				return removeCheckpoint(ctx, o, ref)
			})
		},
	})
	c.PersistentFlags().StringVar(&at, "at", "", "`URL` of an object store, whose checkpoints are meant: file:///DIR or s3://BUCKET/PREFIX")
	return o.outputFlag(c)
}

func removeCheckpoint(ctx context.Context, o *options, ref string) error {
	cl, err := o.client()
	if err != nil {
		return err
	}
	found, err := findCheckpoint(ctx, cl, ref)
	if err != nil {
		return err
	}
	req := &apiv1.RemoveCheckpointRequest{IdempotencyKey: uuid.NewString(), Id: found.Id}
	if _, err := call(ctx, cl, apiv1connect.ControlClient.RemoveCheckpoint, req); err != nil {
		return err
	}
	return printf("%s\n", found.Id)
}

func checkpointRow(c *apiv1.Checkpoint) []string {
	var size, fresh int64
	var pause float64
	var holders []string
	for _, p := range c.Parts {
		size, fresh, pause = size+p.Bytes, fresh+p.NewBytes, max(pause, p.PauseMs)
		var on []string
		for _, h := range p.Holders() {
			on = append(on, h.Host)
		}
		holders = append(holders, strings.Join(on, "+"))
	}
	stood := "-"
	if pause > 0 {
		stood = fmt.Sprintf("%.1fms", pause)
	}
	where := strings.Join(holders, ",")
	if c.Imported {
		where = ""
	}
	if c.StoredAt != nil {
		where = strings.TrimPrefix(where+","+c.To, ",")
	}
	if c.Lost {
		where = "lost: nobody had it whole when it was wanted"
	}
	if why := c.Reason + c.Progress; why != "" {
		where += " - " + why
	}
	return []string{c.Id, c.App, c.Phase, c.Cause, ago(c.BegunAt), mebibytes(size), mebibytes(fresh), stood, where}
}

func mebibytes(n int64) string {
	if n == 0 {
		return "-"
	}
	return fmt.Sprintf("%.1fMiB", float64(n)/(1<<20))
}
