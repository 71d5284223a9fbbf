package main

import (
	"context"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/google/uuid"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/api/v1/apiv1connect"
	"github.com/godwit-run/godwit/fsm"
	"github.com/godwit-run/godwit/internal/client"
)

// drainReason is why a host is drained whose worker was told to stop: by it, its next start knows that it may take ranks again.
const drainReason = "its worker was told to stop"

// drainer has a worker's own host drained.
type drainer struct {
	name    func() string
	servers func() []string
	log     *slog.Logger
}

// drained has the host of the worker drained, and says whether it was in time: a further signal ends the wait.
func (f *workerFlags) drained(ctx context.Context, signals <-chan os.Signal) bool {
	d := f.drains.Load()
	if d == nil { // it has not begun
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, f.drainFor)
	defer cancel()
	go func() {
		select {
		case <-signals:
			cancel()
		case <-ctx.Done():
		}
	}()
	d.log.Info("the worker was told to stop, and has its ranks move to other hosts first", "within", f.drainFor)
	host, err := d.wish(ctx, fsm.Draining, f.drainFor, drainReason)
	for err == nil && fsm.WishOf(host) == fsm.Draining {
		select {
		case <-time.After(drainedLook):
		case <-ctx.Done():
			err = ctx.Err()
			continue
		}
		if next, ferr := d.find(ctx); ferr == nil {
			host = next
		}
	}
	if err != nil || fsm.WishOf(host) != fsm.Drained {
		d.log.Warn("not all could move in time: what is left goes on until the lease is over, or the worker runs again", "why", host.GetWishReason(), "err", err)
		return false
	}
	return true
}

// takeBack gives the host new ranks again that was drained because its worker was told to stop. It tries until that is known.
func (d *drainer) takeBack(ctx context.Context) {
	for {
		host, err := d.find(ctx)
		if err == nil && (!fsm.ToBeLeft(host) || !strings.HasPrefix(host.WishReason, drainReason)) {
			return
		}
		if err == nil {
			if _, err = d.wish(ctx, fsm.Schedulable, 0, ""); err == nil {
				d.log.Info("the host takes ranks again, which was drained as its worker stopped")
				return
			}
		}
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
			return
		}
	}
}

// patient is how long one question to the servers may take.
const patient = 10 * time.Second

func (d *drainer) client() (*client.Client, error) {
	return client.New(strings.Join(d.servers(), ","), patient)
}

func (d *drainer) wish(ctx context.Context, wish fsm.Wish, in time.Duration, reason string) (*apiv1.Host, error) {
	cl, err := d.client()
	if err != nil {
		return nil, err
	}
	req := &apiv1.SetHostWishRequest{IdempotencyKey: uuid.NewString(), Host: d.name(), Wish: string(wish), InMs: in.Milliseconds(), Reason: reason}
	res, err := call(ctx, cl, apiv1connect.ControlClient.SetHostWish, req)
	return res.GetHost(), err
}

func (d *drainer) find(ctx context.Context) (*apiv1.Host, error) {
	cl, err := d.client()
	if err != nil {
		return nil, err
	}
	return findHost(ctx, cl, d.name())
}
