package control

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"
	"time"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/fsm"
	"github.com/godwit-run/godwit/internal/apierr"
)

// Ranks on other hosts, and whoever reads output, must reach a worker where it says that it is. The leader tries when a worker
// registers; until it has come through, the host takes no new ranks. Nothing that runs is touched.

// notReached begins the condition of a host that was not reached at its address.
const notReached = "it is not reached at "

const (
	reachMin = time.Second // between two tries
	reachMax = 30 * time.Second
)

// askAtAddress asks at a worker's address who is there. It returns why that is not the worker, or "". It blocks for identifyWait at most.
func (c *Control) askAtAddress(ctx context.Context, h *apiv1.Host) string {
	there, err := c.identify(ctx, h.Addr)
	switch {
	case err != nil:
		return fmt.Sprintf("%s%s (%s): see that others get through to it there, or start it with a --listen where they do", notReached, h.Addr, whyNotReached(err))
	case there.Host != h.Id || there.Incarnation != h.Incarnation:
		return fmt.Sprintf("%s%s, where host %.64q answers: start it with a --listen of its own", notReached, h.Addr, there.Host)
	}
	return ""
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
// from the next heartbeat on.
func (l *leader) reachAgain(ctx context.Context, s *session) {
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
		why := l.c.reach(ctx, h)
		if ctx.Err() != nil {
			return
		}
		s.setUnreached(why)
		if why == "" {
			return
		}
	}
}

// unreachedIn is the condition of a host that was not reached when it registered, or "".
func unreachedIn(v *fsm.View, id fsm.HostID) string {
	if h, ok := v.Host(id); ok && strings.HasPrefix(h.Unfit, notReached) {
		return h.Unfit
	}
	return ""
}
