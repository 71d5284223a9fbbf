package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/api/v1/apiv1connect"
	"github.com/godwit-run/godwit/fsm"
	"github.com/godwit-run/godwit/internal/client"
	"github.com/godwit-run/godwit/internal/text"
)

func newDrain(o *options) *cobra.Command {
	var reason string
	var deadline time.Duration
	var wait, force bool
	c := &cobra.Command{
		Use: "drain HOST", Short: "Move all that is on a host to others, while it runs", Args: wants("a host", 1),
		Long: "Move all ranks, and the directories of apps, that are on a host to others, while they run; it gets no new ones. It is drained when none is left, and stays so until\n" +
			"godwit undrain, also when its worker, or the machine, starts again. What cannot be moved stays, and the host's line in godwit hosts says why: nothing is ended\n" +
			"without --force. With that, what is left at the deadline, or at once if there is none, is frozen and waits in the queue; what cannot be frozen, or is not at three\n" +
			"tries, fails.\n" +
			"Images of which a live app would go on, and that no host has which stays, keep it from being drained until they are copied to another host, which is begun at once.\n" +
			"The output of apps that have ended stays on its disk: have what you need elsewhere before the disk goes.",
		RunE: func(c *cobra.Command, args []string) error {
			req := &apiv1.SetHostWishRequest{Host: args[0], Wish: string(fsm.Draining), Reason: reason, InMs: wholeMs(deadline), Force: force}
			if deadline < 0 {
				return usagef("--deadline %s: give a time from now on", deadline)
			}
			host, cl, err := o.wish(c.Context(), req)
			if err != nil {
				return err
			}
			if wait {
				if force && deadline > 0 {
					deadline += forceTakes
				}
				host, err = awaitDrained(c.Context(), cl, host, deadline)
			}
			return o.printWish(host, err)
		},
	}
	c.Flags().DurationVar(&deadline, "deadline", 0, "by when it is to be empty, from now on: hosts that are to be left sooner go first, and --wait waits no longer (with --force 5 minutes longer)")
	c.Flags().BoolVar(&wait, "wait", false, "wait until it is drained")
	c.Flags().BoolVar(&force, "force", false, "freeze what is left at the deadline, and end what cannot be frozen")
	c.Flags().StringVar(&reason, "reason", "", "why, for those who look at the host")
	return o.outputFlag(c)
}

func newEvict(o *options) *cobra.Command {
	var in time.Duration
	c := &cobra.Command{
		Use: "evict HOST --in TIME", Short: "Say that a host will go: what is on it is moved, or frozen in time", Args: wants("a host", 1),
		Long: "Say that a host will be gone after some time, such as a spot machine that was given notice. Its ranks are moved to others while they run, before those of hosts that\n" +
			"go later. An app that fits nowhere else is frozen when half of the time is over, if other hosts can hold its images, and goes on by itself as soon as there is room.\n" +
			"godwit uncordon takes it back.",
		RunE: func(c *cobra.Command, args []string) error {
			if in <= 0 {
				return usagef("evict %s: say with --in when it goes, such as --in 60s", args[0])
			}
			host, _, err := o.wish(c.Context(), &apiv1.SetHostWishRequest{Host: args[0], Wish: string(fsm.Evicting), InMs: wholeMs(in)})
			return o.printWish(host, err)
		},
	}
	c.Flags().DurationVar(&in, "in", 0, "when it goes, from now on (required)")
	return o.outputFlag(c)
}

// newWish is a command that only says what is wanted of a host.
func newWish(o *options, name, short, long string, wish fsm.Wish) *cobra.Command {
	var reason string
	c := &cobra.Command{
		Use: name + " HOST", Short: short, Long: long, Args: wants("a host", 1),
		RunE: func(c *cobra.Command, args []string) error {
			host, _, err := o.wish(c.Context(), &apiv1.SetHostWishRequest{Host: args[0], Wish: string(wish), Reason: reason})
			return o.printWish(host, err)
		},
	}
	if wish != fsm.Schedulable {
		c.Flags().StringVar(&reason, "reason", "", "why, for those who look at the host")
	}
	return o.outputFlag(c)
}

// wish says what is wanted of a host.
func (o *options) wish(ctx context.Context, req *apiv1.SetHostWishRequest) (*apiv1.Host, *client.Client, error) {
	if err := o.checkOutput(); err != nil {
		return nil, nil, err
	}
	cl, err := o.client()
	if err != nil {
		return nil, nil, err
	}
	req.IdempotencyKey = uuid.NewString()
	res, err := call(ctx, cl, apiv1connect.ControlClient.SetHostWish, req)
	if err != nil {
		return nil, nil, err
	}
	return res.Host, cl, nil
}

// printWish prints what a host is now.
func (o *options) printWish(host *apiv1.Host, err error) error {
	switch {
	case err != nil:
		return err
	case o.output == "json":
		return printJSON(os.Stdout, jsonValue(host.ProtoReflect()))
	}
	words := wishWords(host)
	if wish := fsm.WishOf(host); fsm.HostStateOf(host).Gone() && wish != fsm.Schedulable {
		words = strings.Join(slices.DeleteFunc([]string{string(wish) + " is noted for when its worker is here again", words}, func(s string) bool { return s == "" }), "; ")
	}
	return printf("%s is %s%s\n", host.Name, fsm.Condition(host), because(words))
}

// wholeMs is a time in milliseconds, of which a shorter one is one.
func wholeMs(d time.Duration) int64 { return int64((d + time.Millisecond - 1) / time.Millisecond) }

// forceTakes is how much longer than its deadline a drain by force is waited for: what is left is frozen only then, in three tries, before it is ended.
const forceTakes = 5 * time.Minute

// drainedLook is how often it is looked whether a host is drained.
const drainedLook = 500 * time.Millisecond

// wishWords is why somebody has a wish about a host, and how far that is.
func wishWords(host *apiv1.Host) string {
	return strings.Join(slices.DeleteFunc([]string{host.GetWishReason(), host.GetLeaving()}, func(s string) bool { return s == "" }), "; ")
}

// awaitDrained waits until nothing is on a host any more, or most is over, unless that is 0, and says on standard error what there is on it, when that changes. A host
// that goes is never called drained: it is waited for until nothing is on it.
func awaitDrained(ctx context.Context, cl *client.Client, host *apiv1.Host, most time.Duration) (*apiv1.Host, error) {
	name, said, first := host.Id, "", host
	if most > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, most)
		defer cancel()
	}
	for {
		switch wish := fsm.WishOf(host); {
		case fsm.HostStateOf(host).Gone() != fsm.HostStateOf(first).Gone(), host.Incarnation != first.Incarnation:
			return nil, fmt.Errorf("%s was lost, or its worker began anew, while it was being drained: what was on it by then has ended, or runs again from a checkpoint; godwit ps --all shows it", name)
		case wish == fsm.Drained, wish == fsm.Evicting && !host.InUse:
			return host, nil
		case !fsm.ToBeLeft(host):
			return nil, fmt.Errorf("%s is %s by now: somebody has wished otherwise", name, fsm.Condition(host))
		}
		if now := fmt.Sprintf("%s has %d ranks%s", name, host.Used, because(wishWords(host))); now != said {
			said = now
			fmt.Fprintln(os.Stderr, "godwit: "+text.Clean(now, maxShown))
		}
		select {
		case <-time.After(drainedLook):
		case <-ctx.Done():
			return nil, &exitError{exitTimeout, fmt.Sprintf("%s, and is not drained; that goes on: godwit hosts shows it, godwit undrain %s ends it", said, name)}
		}
		next, err := findHost(ctx, cl, name)
		if ctx.Err() == nil && err != nil {
			return nil, err
		}
		if err == nil {
			host = next
		}
	}
}

// findHost is a host as it is now.
func findHost(ctx context.Context, cl *client.Client, name string) (*apiv1.Host, error) {
	res, err := call(ctx, cl, apiv1connect.ControlClient.GetHost, &apiv1.GetHostRequest{Host: name})
	return res.GetHost(), err
}
