package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/google/uuid"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/api/v1/apiv1connect"
	"github.com/godwit-run/godwit/fsm"
	"github.com/godwit-run/godwit/internal/client"
	"github.com/godwit-run/godwit/internal/listen"
	"github.com/godwit-run/godwit/internal/text"
)

// The reasons of what workers wish of their own hosts, as they begin: by them they know later which of their wishes it is.
const (
	drainReason  = "its worker was told to stop"
	noticeReason = "notice: "
)

// drainer has a worker's own host drained, or evicted, and takes that back.
type drainer struct {
	name    func() string
	servers func() []string
	dialer  listen.Dialer // to them
	log     *slog.Logger

	mu       sync.Mutex // held from a look at the host to a wish by it
	stopping bool       // nothing is taken back any more

	asking sync.Mutex // guards the fields below
	cl     *client.Client
	of     string // the servers of cl
}

// drained has the host of the worker drained, and says whether nothing is on it any more: the wait ends with a further signal, and when the time is over. Who was to leave it
// anyway does so.
func (f *workerFlags) drained(ctx context.Context, signals <-chan os.Signal) bool {
	d := f.drains.Load()
	if d == nil { // it has not begun
		return false
	}
	ctx, cancel := context.WithTimeoutCause(ctx, f.drainFor, errors.New("the time of --drain-for is over"))
	defer cancel()
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	go func() {
		select {
		case s := <-signals:
			stop(stoppedBy{s})
		case <-ctx.Done():
		}
	}()
	d.log.Info("the worker was told to stop, and has its ranks move to other hosts first", "within", f.drainFor)
	until := time.Now().Add(f.drainFor)
	var host *apiv1.Host
	var err error
	for begun := false; ctx.Err() == nil; {
		var now *apiv1.Host
		if begun {
			now, err = d.find(ctx)
		} else if now, err = d.drain(ctx, time.Until(until)); err == nil {
			begun = true
		}
		if err == nil {
			host = now
		}
		switch {
		case err == nil && fsm.ToBeLeft(host) && !host.InUse:
			return true
		case err == nil && !fsm.ToBeLeft(host):
			d.log.Warn("somebody does not want the ranks to move: they go on until the lease is over, or the worker runs again", "host", fsm.Condition(host), "why", host.WishReason)
			return false
		}
		select {
		case <-time.After(drainedLook):
		case <-ctx.Done():
		}
	}
	d.log.Warn("not all could move in time: what is left goes on until the lease is over, or the worker runs again", "cause", context.Cause(ctx), "why", wishWords(host), "err", err)
	var by stoppedBy
	return errors.As(context.Cause(ctx), &by) && by.Signal != syscall.SIGTERM
}

// stoppedBy is that a signal came.
type stoppedBy struct{ os.Signal }

func (s stoppedBy) Error() string { return "a further signal: " + s.String() }

// drain has the host drained, unless it is to be left already; from now on nothing is taken back.
func (d *drainer) drain(ctx context.Context, within time.Duration) (*apiv1.Host, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.stopping = true
	host, err := d.find(ctx)
	if err != nil || fsm.ToBeLeft(host) {
		return host, err
	}
	return d.wish(ctx, fsm.Draining, within, drainReason)
}

// takeBack gives the host new ranks again of which its worker, before it was started again, had wished otherwise for a reason that begins so. It tries
// until that is known.
func (d *drainer) takeBack(ctx context.Context, reason string) {
	for !d.takeBackOnce(ctx, reason) {
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
			return
		}
	}
}

// takeBackOnce takes back what the worker itself had wished of its host for a reason that begins so, and says whether there is nothing of that now. What others wish of it
// stands.
func (d *drainer) takeBackOnce(ctx context.Context, reason string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.stopping {
		return true
	}
	host, err := d.find(ctx)
	if err != nil {
		return false
	}
	own := ownWish(host)
	if own == nil || !strings.HasPrefix(own.Reason, reason) {
		return true
	}
	now, err := d.wish(ctx, fsm.Schedulable, 0, "")
	if err != nil {
		return false
	}
	d.log.Info("what the worker had wished of its host is taken back", "was", own.Reason, "host", fsm.Condition(now))
	return true
}

// ownWish is what the worker of a host wishes of it; nil: nothing.
func ownWish(host *apiv1.Host) *apiv1.HostWish {
	for _, w := range fsm.WishesOf(host) {
		if w.Own {
			return w
		}
	}
	return nil
}

// patient is how long one question to the servers may take.
const patient = 10 * time.Second

// client is of the servers that are known now: the same as long as they are.
func (d *drainer) client() (*client.Client, error) {
	d.asking.Lock()
	defer d.asking.Unlock()
	servers := strings.Join(d.servers(), ",")
	if d.cl != nil && d.of == servers {
		return d.cl, nil
	}
	cl, err := client.NewBy(client.By(servers, d.dialer), patient)
	if err != nil {
		return nil, err
	}
	if d.cl != nil {
		d.cl.Close()
	}
	d.cl, d.of = cl, servers
	return cl, nil
}

func (d *drainer) wish(ctx context.Context, wish fsm.Wish, in time.Duration, reason string) (*apiv1.Host, error) {
	cl, err := d.client()
	if err != nil {
		return nil, err
	}
	req := &apiv1.SetHostWishRequest{
		IdempotencyKey: uuid.NewString(), Host: d.name(), Wish: string(wish), InMs: in.Milliseconds(), Reason: text.Line(reason, fsm.MaxReasonBytes), Own: true,
	}
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
