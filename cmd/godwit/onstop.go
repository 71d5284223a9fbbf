package main

import (
	"context"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/api/v1/apiv1connect"
	"github.com/godwit-run/godwit/fsm"
	"github.com/godwit-run/godwit/internal/client"
	"github.com/godwit-run/godwit/internal/text"
)

// The reasons of what workers wish of their own hosts: by them they know later what is theirs to take back.
const (
	drainReason  = "its worker was told to stop"
	noticeReason = "notice: "
)

// insteadOf is in the reason of such a wish where the host was not to take ranks before, either: what was wished, and why, quoted.
const insteadOf = "; it was "

// instead is the reason of a worker's own wish, from which before tells what it is in place of: never another of its own.
func instead(reason string, host *apiv1.Host) string {
	wish, why := fsm.WishOf(host), host.WishReason
	if strings.HasPrefix(why, drainReason) || strings.HasPrefix(why, noticeReason) {
		wish, why = before(why)
	}
	switch wish {
	case fsm.Schedulable:
		return text.Line(reason, fsm.MaxReasonBytes)
	case fsm.Drained, fsm.Evicting:
		wish = fsm.Draining
	default:
	}
	was := insteadOf + string(wish) + " " + strconv.Quote(text.Line(why, fsm.MaxReasonBytes/4))
	return text.Line(reason, fsm.MaxReasonBytes-len(was)) + was
}

// before is the wish that is to be again when a worker takes its own back, by the reason of that.
func before(reason string) (fsm.Wish, string) {
	for rest := reason; ; {
		_, after, ok := strings.Cut(rest, insteadOf)
		if !ok {
			return fsm.Schedulable, ""
		}
		rest = after
		for _, wish := range []fsm.Wish{fsm.Cordoned, fsm.Draining} {
			quoted, ok := strings.CutPrefix(rest, string(wish)+" ")
			if !ok {
				continue
			}
			if q, err := strconv.QuotedPrefix(quoted); err == nil {
				was, _ := strconv.Unquote(q)
				return wish, was
			}
		}
	}
}

// drainer has a worker's own host drained, or evicted, and takes that back.
type drainer struct {
	name    func() string
	servers func() []string
	log     *slog.Logger

	mu       sync.Mutex // held from a look at the host to a wish by it
	stopping bool       // nothing is taken back any more
}

// drained has the host of the worker drained, and says whether it is: the wait ends with a further signal, and when the time is over. Who was to leave it anyway does so.
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
	host, err := d.drain(ctx, f.drainFor)
	for err == nil && (fsm.WishOf(host) == fsm.Draining || fsm.WishOf(host) == fsm.Evicting && host.Used > 0) {
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
	if err != nil || fsm.WishOf(host) != fsm.Drained { // an evicted host may be the home of directories, which stay on its disk
		d.log.Warn("not all could move in time: what is left goes on until the lease is over, or the worker runs again", "why", host.GetWishReason(), "err", err)
		return false
	}
	return true
}

// drain has the host drained, unless it is to be left already; from now on nothing is taken back.
func (d *drainer) drain(ctx context.Context, within time.Duration) (*apiv1.Host, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.stopping = true
	host, err := d.find(ctx)
	if err != nil || fsm.ToBeLeft(host) {
		return host, err
	}
	return d.wish(ctx, fsm.Draining, within, instead(drainReason, host))
}

// takeBack gives the host new ranks again that was drained because its worker was told to stop. It tries until that is known.
func (d *drainer) takeBack(ctx context.Context) {
	for !d.takeBackOnce(ctx, drainReason) {
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
			return
		}
	}
}

// takeBackOnce takes back a wish that the host is to be left, if the worker itself had it for a reason that begins so, and says whether there is none now.
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
	if !fsm.ToBeLeft(host) || !strings.HasPrefix(host.WishReason, reason) {
		return true
	}
	wish, why := before(host.WishReason)
	if _, err := d.wish(ctx, wish, 0, why); err != nil {
		return false
	}
	d.log.Info("what the worker had wished of its host is taken back", "was", host.WishReason, "host", string(wish))
	return true
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
