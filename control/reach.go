package control

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
	"time"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/fsm"
	"github.com/godwit-run/godwit/internal/apierr"
)

// Ranks on other hosts, and whoever reads output, must reach a worker where it says that it is. The leader tries when a worker
// registers; until it has come through, the host takes no new ranks. Nothing that runs is touched.

const (
	reachMin = time.Second // between two tries
	reachMax = 30 * time.Second
)

// dialsAtOnce bounds the questions to workers who they are that are under way at a time, of either kind. Each takes identifyWait
// at most, so a thousand hosts behind a firewall take a minute to be tried once.
const dialsAtOnce = 16

// places are taken by those that ask, in the order in which they come.
type places chan struct{}

// dials are the places of questions to workers: first is for those that come, until they have been tried once. Hosts that were tried in
// vain, by whichever leader, wait behind their like only: one that comes is not kept waiting by them.
type dials struct{ first, again places }

func newDials() dials {
	return dials{first: make(places, dialsAtOnce), again: make(places, dialsAtOnce)}
}

// errBusy is returned when too many other workers are being asked.
var errBusy = errors.New("the leader is still asking other hosts")

// enter waits for a place, for as long as patience, or, where that is 0, until ctx ends. Whoever has entered leaves.
func (p places) enter(ctx context.Context, patience time.Duration) error {
	if patience > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, patience, errBusy)
		defer cancel()
	}
	select {
	case p <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (p places) leave() { <-p }

// reachNow tries a host that registers: if there is no place for it soon, it counts as not reached yet. next are the places for its next try.
func (c *Control) reachNow(ctx context.Context, h *apiv1.Host) (why string, next places) {
	if err := c.dials.first.enter(ctx, identifyWait); err != nil {
		return notReached(h, err), c.dials.first
	}
	defer c.dials.first.leave()
	return c.reach(ctx, h), c.dials.again
}

// reachLater tries a host as soon as it has one of the places. It returns an error only when ctx ends.
func (c *Control) reachLater(ctx context.Context, in places, h *apiv1.Host) (string, error) {
	if err := in.enter(ctx, 0); err != nil {
		return "", err
	}
	defer in.leave()
	return c.reach(ctx, h), ctx.Err()
}

// askAtAddress asks at a worker's address who is there. It returns why that is not the worker, or "". It blocks for identifyWait at most.
func (c *Control) askAtAddress(ctx context.Context, h *apiv1.Host) string {
	there, err := c.identify(ctx, h.Addr)
	switch {
	case err != nil:
		return notReached(h, err)
	case there.Host != h.Id || there.Incarnation != h.Incarnation:
		return fmt.Sprintf("it is not reached at %s, where host %.64q answers: start it with a --listen of its own", h.Addr, there.Host)
	}
	return ""
}

func notReached(h *apiv1.Host, err error) string {
	if errors.Is(err, errBusy) {
		return fmt.Sprintf("it is not reached at %s yet: %v", h.Addr, err)
	}
	return fmt.Sprintf("it is not reached at %s (%s): see that others get through to it there, or start it with a --listen where they do", h.Addr, whyNotReached(err))
}

// whyNotReached is the reason in the fewest words.
func whyNotReached(err error) string {
	var errno syscall.Errno
	var dns *net.DNSError
	switch {
	case errors.As(err, &errno):
		return errno.Error()
	case errors.As(err, &dns):
		return "no such name"
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		return fmt.Sprintf("no answer within %v", identifyWait)
	}
	return apierr.Message(err)
}

// reachAgain goes on trying for a session whose host was not reached, until it is or ctx ends. What it finds is the host's fitness
// from the next heartbeat on. The first try is in the given places.
func (l *leader) reachAgain(ctx context.Context, s *session, in places) {
	for wait := reachMin; ; wait = min(2*wait, reachMax) {
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return
		}
		h, ok := l.c.state.View().Host(s.host)
		if !ok || h.Incarnation != s.incarnation {
			return
		}
		why, err := l.c.reachLater(ctx, in, h)
		if err != nil {
			return
		}
		in = l.c.dials.again
		s.setUnreached(why)
		if why == "" {
			return
		}
	}
}

// unreachedIn is why a host was not reached when the log last heard of it, or "".
func unreachedIn(v *fsm.View, id fsm.HostID) string {
	h, _ := v.Host(id)
	return h.GetUnreached()
}
