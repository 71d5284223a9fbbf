package control

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

	"connectrpc.com/connect/v2"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/api/v1/apiv1connect"
	"github.com/godwit-run/godwit/fsm"
	"github.com/godwit-run/godwit/internal/apierr"
	"github.com/godwit-run/godwit/internal/transport"
)

// identifyWait bounds a question to a worker who it is. No answer within it says nothing.
const identifyWait = time.Second

// checkPredecessor returns an error unless the host may get another incarnation: the registration of one ends all that the present
// one runs, so the process of that must have ended. Whoever has a copy of the data directory has all that the log knows a worker
// by. So the one that is registered is asked at its address: if it answers, the newcomer is a copy. If nobody is there, and
// it has no session, it has ended. Whatever lies between is left to the lease, and the newcomer tries again meanwhile.
func (l *leader) checkPredecessor(ctx context.Context, old, h *apiv1.Host, secret []byte) error {
	id := fsm.HostID(h.Id)
	if fsm.HostStateOf(old).Gone() || old.Incarnation == h.Incarnation {
		return nil
	}
	if old.NodeId != h.NodeId || len(old.SecretHash) > 0 && !bytes.Equal(old.SecretHash, secret) {
		return nil // no process of this host, says the log
	}
	if err := l.c.dials.first.enter(ctx, identifyWait); err != nil {
		return errPredecessor(h.Id, fmt.Sprintf("may still run: whether it does at %s is not known (%v)", old.Addr, err))
	}
	there, err := l.c.identify(ctx, old.Addr)
	l.c.dials.first.leave()
	switch s := l.sessions.of(id); {
	case err == nil && there.Host == h.Id && there.Incarnation == old.Incarnation:
		l.log.Warn("a worker with a copy of a running worker's data directory is refused", "host", h.Id, "addr", old.Addr, "copy_addr", h.Addr)
		return apierr.New(connect.CodeAlreadyExists, apierr.ReasonCopy, "host.incarnation",
			fmt.Sprintf("another process runs as host %s, with this data directory or one that it was copied from or to, at %s: this one is a copy", h.Id, old.Addr),
			"give this worker an empty --data-dir and another --name, or stop the other first")
	case s != nil && s.incarnation == old.Incarnation:
		return errPredecessor(h.Id, "still has its session with the leader, but does not answer at "+old.Addr)
	case err != nil && !nobodyThere(err):
		return errPredecessor(h.Id, fmt.Sprintf("may still run: whether it does at %s is not known (%s)", old.Addr, apierr.Message(err)))
	}
	return nil
}

func errPredecessor(host, what string) error {
	return apierr.New(connect.CodeUnavailable, apierr.ReasonRefused, "host.incarnation",
		fmt.Sprintf("an earlier process of host %s %s", host, what), "wait: this one takes its place once that has ended, or its lease is over")
}

// identify asks who answers at a worker's address.
func (c *Control) identify(ctx context.Context, addr string) (*apiv1.IdentifyResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, identifyWait)
	defer cancel()
	return apiv1connect.NewDataClient(transport.NewClient(c.http, addr)).Identify(ctx, &apiv1.IdentifyRequest{})
}

// nobodyThere says whether the error of a question to a worker shows that no worker listens at the address: the machine there
// refused the connection, or what answered is none.
func nobodyThere(err error) bool {
	return errors.Is(err, syscall.ECONNREFUSED) || connect.CodeOf(err) == connect.CodeUnimplemented
}
