package control

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"maps"
	"slices"
	"time"

	"connectrpc.com/connect/v2"
	"google.golang.org/protobuf/proto"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/fsm"
	"github.com/godwit-run/godwit/internal/apierr"
)

// registerTries bounds how often a registration begins anew because another one came before it.
const registerTries = 3

// errOlder is returned when some servers are of a version that does not know what is asked for.
var errOlder = errors.New("some servers are of an older version")

// errRegistered is returned when another process has registered as the host since its predecessor was asked for.
var errRegistered = errors.New("another process has registered as this host meanwhile")

// register makes the host known to the log, unless it is already, as it is. Of copies of one worker that come at the same moment, all
// of which find no predecessor, the log takes one; to the others that one is the predecessor then. It returns the places in which the host, if it was not reached, waits for its next try.
func (l *leader) register(ctx context.Context, h *apiv1.Host, secret []byte) (next places, err error) {
	for range registerTries {
		old, ok := l.c.state.View().Host(fsm.HostID(h.Id))
		if ok && old.Incarnation == h.Incarnation && !fsm.HostStateOf(old).Gone() &&
			old.Addr == h.Addr && old.Slots == h.Slots && l.sameOffers(old, h) && maps.Equal(old.Labels, h.Labels) && old.NodeId == h.NodeId && bytes.Equal(old.SecretHash, secret) {
			return l.c.dials.again, nil // also of a leader before this one: what that found the log has
		}
		if ok {
			if err := l.checkPredecessor(ctx, old, h, secret); err != nil {
				return nil, err
			}
		}
		if next, err = l.replace(ctx, old.GetIncarnation(), h, secret); !errors.Is(err, errRegistered) {
			return next, err
		}
	}
	return nil, errPredecessor(h.Id, err.Error())
}

// sameOffers says whether the log has what a host offers beside slots, or cannot have it.
func (l *leader) sameOffers(old, h *apiv1.Host) bool {
	if !l.c.state.View().Mounts() && old.MemoryBytes == 0 && old.RankMemoryBytes == 0 && old.Speed == 0 && len(old.Volumes)+len(h.Volumes) == 0 {
		return true
	}
	return old.MemoryBytes == h.MemoryBytes && old.RankMemoryBytes == h.RankMemoryBytes && old.Speed == h.Speed && slices.EqualFunc(old.Volumes, h.Volumes, equal)
}

// replace has the log take the host in the place of an incarnation of it; empty: of none. What it returns is register's.
func (l *leader) replace(ctx context.Context, incarnation string, h *apiv1.Host, secret []byte) (places, error) {
	why, next := l.c.reachNow(ctx, h)
	volumes, memory, ofRank, speed := h.Volumes, h.MemoryBytes, h.RankMemoryBytes, h.Speed
	if offersMore(h) && l.c.waitOffers(ctx, len(volumes) > 0) != nil {
		l.log.Warn("servers of an older version do not know of hosts' volumes, memory and speed: the host is registered without, until they are upgraded", "host", h.Id)
		volumes, memory, ofRank, speed = nil, 0, 0, 0
	}
	cmd := l.c.command("")
	cmd.Term = l.term
	cmd.Op = &apiv1.Command_RegisterHost{RegisterHost: &apiv1.RegisterHost{InsteadOf: &incarnation, Host: &apiv1.Host{
		Id: h.Id, Name: h.Id, Addr: h.Addr, Slots: h.Slots, Labels: h.Labels, Incarnation: h.Incarnation, NodeId: h.NodeId,
		SecretHash: secret, Unreached: why, Volumes: volumes, MemoryBytes: memory, RankMemoryBytes: ofRank, Speed: speed,
	}}}
	res, err := l.c.log.Propose(ctx, cmd)
	if err != nil {
		return nil, apiError(err)
	}
	switch fsm.Code(res.Code) {
	case fsm.CodeApplied:
		l.log.Info("host registered", "host", h.Id, "slots", h.Slots, "addr", h.Addr)
		return next, nil
	case fsm.CodeNameTaken:
		return nil, apierr.New(connect.CodeAlreadyExists, apierr.ReasonNameTaken, "host.id", res.Reason, "give this worker another --name")
	case fsm.CodeForbidden:
		return nil, apierr.New(connect.CodePermissionDenied, apierr.ReasonForbidden, "secret", res.Reason, "")
	case fsm.CodeStaleIncarnation:
		return nil, errRegistered
	case fsm.CodeIncarnationOver:
		return nil, apierr.New(connect.CodeFailedPrecondition, apierr.ReasonIncarnationOver, "host.incarnation", res.Reason, bornAgain)
	default:
		return nil, refusal(res.Code, res.Reason)
	}
}

func equal[M proto.Message](a, b M) bool { return proto.Equal(a, b) }

// offersMore says whether a host offers what servers of an older version do not know of.
func offersMore(h *apiv1.Host) bool {
	return len(h.Volumes) > 0 || h.MemoryBytes != 0 || h.RankMemoryBytes != 0 || h.Speed != 0
}

// awaitMounts waits until the log may name what hosts offer beside slots, or ctx ends.
func (c *Control) awaitMounts(ctx context.Context) {
	sub := c.state.Feed().Subscribe(fsm.TheCluster)
	defer sub.Close()
	for !c.state.View().Mounts() {
		select {
		case <-sub.C():
		case <-ctx.Done():
			return
		}
	}
}

// mountsWait is how long is waited for a new cluster to know of volumes: its leader asks all servers what they know first.
const mountsWait = 10 * time.Second

// waitOffers waits until the log may name what a host offers beside slots. For volumes it waits in any case; for the rest, which every host has, only while the cluster is so new that it has no
// level at all: else hosts would be long in coming to one that waits for some server to be upgraded.
func (c *Control) waitOffers(ctx context.Context, volumes bool) error {
	if v := c.state.View(); !volumes && !v.Mounts() && v.FeatureLevel() > 0 {
		return errOlder
	}
	return c.waitMounts(ctx)
}

// waitMounts waits until the log may name volumes and mounts.
func (c *Control) waitMounts(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, mountsWait)
	defer cancel()
	if c.awaitMounts(ctx); !c.state.View().Mounts() {
		return apierr.New(connect.CodeUnavailable, apierr.ReasonRefused, "spec.mounts", "some servers are of a version that knows nothing of volumes",
			"try again when all are upgraded")
	}
	return nil
}

// secretHash is what the log keeps of a worker's secret; nil: it has none.
func secretHash(secret string) []byte {
	if secret == "" {
		return nil
	}
	sum := sha256.Sum256([]byte(secret))
	return sum[:]
}
