package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// errTooShort is returned when an app has succeeded before it could move.
var errTooShort = errors.New("it had succeeded before it moved")

// longer is how many times as long apps run when they were too short.
const longer = 3

// moves shows the moves of both apps.
func (d *demo) moves(ctx context.Context) error {
	reference, err := d.reference(ctx)
	if err != nil {
		return err
	}
	apps, err := d.submitBoth(ctx)
	if err != nil {
		return err
	}
	err = d.moveBoth(ctx, apps)
	if errors.Is(err, errTooShort) {
		for _, id := range apps { // room for the next
			if _, cerr := d.call(ctx, "cancel", id); cerr != nil && d.stillLive(ctx, id) == nil {
				return cerr
			}
		}
	}
	if err != nil {
		return err
	}
	return d.compare(ctx, apps, reference)
}

// checker is who moves the first app.
const checker = "the checker"

// moveBoth waits for the first move, kills the leader, and moves the second app.
func (d *demo) moveBoth(ctx context.Context, apps []string) error {
	if err := d.awaitMove(ctx, apps[0], checker, func(migration) bool { return true }); err != nil {
		return err
	}
	if err := d.killLeader(ctx); err != nil {
		return err
	}
	return d.gather(ctx, apps[1])
}

// gather moves an app's ranks to where its first one is.
func (d *demo) gather(ctx context.Context, id string) error {
	a, err := list[app](ctx, d, "show", id)
	if err != nil {
		return err
	}
	if a.Epoch != 1 || len(a.Placement) == 0 {
		return fmt.Errorf("%s is %s at epoch %d: it was to stand still, at epoch 1, until it is moved here", a.Name, a.Phase, a.Epoch)
	}
	for rank, host := range a.Placement {
		if host == a.Placement[0] {
			continue
		}
		if err := d.stillLive(ctx, id); err != nil {
			return err
		}
		if err := d.command(ctx, a, rank, a.Placement[0]); err != nil {
			return err
		}
	}
	return nil
}

// command has one rank of an app moved, as often as that is aborted.
func (d *demo) command(ctx context.Context, a app, rank int, to string) error {
	for {
		out, err := d.call(ctx, "migrate", fmt.Sprintf("%s/%d", a.ID, rank), "--to", to, "--timeout", deadline.String())
		if err != nil {
			return errors.Join(d.stillLive(ctx, a.ID), err) // it may have ended meanwhile
		}
		id := strings.TrimSpace(string(out))
		err = d.awaitMove(ctx, a.ID, "godwit migrate", func(m migration) bool { return m.ID == id })
		if !errors.Is(err, errAborted) {
			return err
		}
	}
}

// errAborted is returned when the only migration that is waited for was aborted.
var errAborted = errors.New("the migration was aborted")

// awaitMove waits until an app has moved by one of some migrations, and tells of it when it is measured. The checker tries again what was aborted.
func (d *demo) awaitMove(ctx context.Context, id, who string, among func(migration) bool) error {
	var done migration
	err := poll(ctx, id+" has moved", func() (bool, error) {
		migs, err := list[[]migration](ctx, d, "migrations", "--app", id)
		if err != nil {
			return false, err
		}
		for _, m := range migs {
			switch {
			case !among(m):
			case m.Phase == "aborted" && who != checker:
				return false, errAborted
			case m.Phase == "committed":
				done = m
				return m.measured(), nil
			}
		}
		return false, d.stillLive(ctx, id)
	})
	if err != nil {
		return err
	}
	a, err := list[app](ctx, d, "show", id)
	if err != nil {
		return err
	}
	for _, mv := range done.Moves {
		d.say("%s: %s moved rank %d from %s to %s while it ran: %d KiB, paused for %.0f ms",
			a.Name, who, mv.Rank, mv.From, mv.To, mv.ImageBytes>>10, mv.PauseMs)
	}
	d.say("%s now has %s", a.Name, a.where())
	return nil
}

// measured says whether it is known how long each rank of a committed migration has paused.
func (m migration) measured() bool {
	for _, mv := range m.Moves {
		if mv.PauseMs == 0 {
			return false
		}
	}
	return true
}

// stillLive is an error once an app can no longer move.
func (d *demo) stillLive(ctx context.Context, id string) error {
	a, err := list[app](ctx, d, "show", id)
	if err != nil {
		return err
	}
	switch a.Phase {
	case "succeeded":
		return fmt.Errorf("%s: %w", a.Name, errTooShort)
	case "failed", "cancelled":
		return fmt.Errorf("%s %s before it moved: %s", id, a.Phase, a.Reason)
	}
	return nil
}
