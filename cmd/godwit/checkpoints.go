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
	"google.golang.org/protobuf/proto"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/api/v1/apiv1connect"
	"github.com/godwit-run/godwit/internal/client"
)

func newCheckpoint(o *options) *cobra.Command {
	var detach bool
	c := &cobra.Command{
		Use: "checkpoint APP", SuggestFor: []string{"snapshot"}, Short: "Make a checkpoint of a running app, and print its id", Args: wants("an app", 1),
		Long: "Make a checkpoint of a running app, and print its id: the images of all ranks at one moment, with the messages between them, their output, and\n" +
			"the app's files. The ranks stand still for moments only. It is complete when two hosts hold all of it, if there are two. If a host of the app is\n" +
			"lost, the app runs again from its last checkpoint, unless it has --on-host-loss fail.",
		RunE: func(c *cobra.Command, args []string) error {
			if err := o.checkOutput(); err != nil {
				return err
			}
			cl, err := o.client()
			if err != nil {
				return err
			}
			res, err := call(c.Context(), cl, apiv1connect.ControlClient.Checkpoint, &apiv1.CheckpointRequest{IdempotencyKey: uuid.NewString(), App: args[0]})
			if err != nil {
				return err
			}
			made := res.Checkpoint
			if !detach {
				if made, err = awaitCheckpoint(c.Context(), cl, made.Id); err != nil {
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
	return o.outputFlag(c)
}

// checkpointLook is how often it is asked whether a checkpoint is complete.
const checkpointLook = 100 * time.Millisecond

// awaitCheckpoint waits until a checkpoint is complete. That it was aborted is an error: the leader sees to it that it ends.
func awaitCheckpoint(ctx context.Context, cl *client.Client, id string) (*apiv1.Checkpoint, error) {
	for {
		made, err := findCheckpoint(ctx, cl, id)
		switch {
		case err != nil:
			return nil, err
		case made.Phase == apiv1.CheckpointComplete:
			return made, nil
		case made.Phase == apiv1.CheckpointAborted:
			return nil, fmt.Errorf("checkpoint %s was aborted: %s", made.Id, made.Reason)
		}
		select {
		case <-time.After(checkpointLook):
		case <-ctx.Done():
			return nil, fmt.Errorf("checkpoint %s is %s: %w", made.Id, made.Phase, ctx.Err())
		}
	}
}

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
		return nil, fmt.Errorf("no checkpoint %q; godwit checkpoints lists them", ref)
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
			made, err := awaitCheckpoint(c.Context(), cl, res.Checkpoint.Id)
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
	c := &cobra.Command{
		Use: "checkpoints [APP]", SuggestFor: []string{"snapshots"}, Short: "List checkpoints, or remove some", Args: cobra.MaximumNArgs(1),
		Long: "List checkpoints, of all apps or of one. SIZE is what it takes, NEW what was written for it and not for an earlier one, PAUSE the longest that a rank stood\n" +
			"still for it, and HOLDERS the hosts whose ranks are in it, each with the host that holds its part as well.\n" +
			"Of those that an app's --checkpoint-period has made the last few are kept (--checkpoint-keep); those that were asked for, while the app goes on. When it has\n" +
			"succeeded they go; when it has failed or was cancelled they stay for a while (godwit server --checkpoint-age).",
		RunE: func(c *cobra.Command, args []string) error {
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
			return each(c.Context(), "checkpoint", "removed", args, func(ctx context.Context, ref string) error { return removeCheckpoint(ctx, o, ref) })
		},
	})
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
		if p.Second == "" {
			holders = append(holders, p.Host)
		} else {
			holders = append(holders, p.Host+"+"+p.Second)
		}
	}
	stood := "-"
	if pause > 0 {
		stood = fmt.Sprintf("%.1fms", pause)
	}
	where := strings.Join(holders, ",")
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

func newRestore(o *options) *cobra.Command {
	var name, place string
	c := &cobra.Command{
		Use: "restore CHECKPOINT", Short: "Run a new app from a checkpoint, and print its id", Args: wants("a checkpoint", 1),
		Long: "Run a new app from a checkpoint, and print its id. Its ranks go on where they were, on whatever hosts there are; its output begins with what they had\n" +
			"printed, and its files are those of that moment. The app that the checkpoint is of may go on, or be over.",
		RunE: func(c *cobra.Command, args []string) error {
			if err := o.checkOutput(); err != nil {
				return err
			}
			cl, err := o.client()
			if err != nil {
				return err
			}
			from, err := findCheckpoint(c.Context(), cl, args[0])
			if err != nil {
				return err
			}
			if from.Phase != apiv1.CheckpointComplete {
				return fmt.Errorf("checkpoint %s is %s: only a complete one can be gone on from", from.Id, from.Phase)
			}
			spec, err := restoredSpec(from, name, place)
			if err != nil {
				return err
			}
			res, err := call(c.Context(), cl, apiv1connect.ControlClient.Submit, &apiv1.SubmitRequest{IdempotencyKey: uuid.NewString(), Spec: spec})
			if err != nil {
				return err
			}
			if o.output == "json" {
				return printJSON(os.Stdout, jsonValue(res.App.ProtoReflect()))
			}
			return printf("%s\n", res.App.Id)
		},
	}
	c.Flags().StringVar(&name, "name", "", "the new app's name (default: that of the app it was)")
	c.Flags().StringVar(&place, "place", "", "explicit placement in rank order, such as h1:2,h2:2")
	return o.outputFlag(c)
}

// restoredSpec is what an app is submitted as that goes on from a checkpoint.
func restoredSpec(from *apiv1.Checkpoint, name, place string) (*apiv1.AppSpec, error) {
	spec := proto.CloneOf(from.Spec)
	if spec == nil {
		return nil, errors.New("the checkpoint does not say what its app was submitted as")
	}
	spec.Restore, spec.OwnerLeaseMs, spec.Place = from.Id, 0, nil
	if name != "" {
		spec.Name = name
	}
	var err error
	spec.Place, err = parsePlace(place)
	return spec, err
}
