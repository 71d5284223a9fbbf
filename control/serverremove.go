package control

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"connectrpc.com/connect/v2"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/internal/apierr"
	"github.com/godwit-run/godwit/internal/transport"
)

// RemoveServer implements the Control service. A leader that is to go hands leadership on first. It may be asked again: a server that is
// known to have been removed is removed.
func (c *Control) RemoveServer(ctx context.Context, req *apiv1.RemoveServerRequest) (*apiv1.RemoveServerResponse, error) {
	if _, err := c.read(ctx); err != nil {
		return nil, err
	}
	transport.Yield(ctx)
	s, err := c.findServer(req.Id)
	if connect.CodeOf(err) == connect.CodeNotFound {
		return c.removedBefore(ctx, req.Id, err)
	}
	if err != nil {
		return nil, err
	}
	if s.ID == c.group.ID() {
		if c.alone() {
			return nil, apierr.New(connect.CodeFailedPrecondition, apierr.ReasonRefused, "id", fmt.Sprintf("server %s is the only one that votes: without it there is no cluster", s.ID),
				"add servers, wait until godwit servers shows that they vote, and try again; to end the cluster, stop this server")
		}
		if err := c.group.TransferLeadership(ctx, ""); err != nil {
			return nil, groupError(err)
		}
		return nil, apierr.New(connect.CodeUnavailable, apierr.ReasonNotLeader, "", "the server to remove has led until now and handed leadership on", "try again")
	}
	switch err := c.group.RemoveServer(ctx, s.ID); {
	case errors.Is(err, ErrNoServer): // another caller's request came before
		return c.removedBefore(ctx, s.ID, groupError(err))
	case err != nil:
		return nil, groupError(err)
	}
	c.slog.Info("server removed", "server", s.ID, "addr", s.Addr)
	return &apiv1.RemoveServerResponse{Id: s.ID}, nil
}

// alone says whether this server is the only one that votes.
func (c *Control) alone() bool {
	return !slices.ContainsFunc(c.group.Servers(), func(s ServerInfo) bool { return s.Voter && s.ID != c.group.ID() })
}

// removedBefore answers a request to remove a server that is no member. unknown is the answer if nothing is known of it.
func (c *Control) removedBefore(ctx context.Context, ref string, unknown error) (*apiv1.RemoveServerResponse, error) {
	former, err := c.group.Former(ctx)
	if err != nil {
		return nil, groupError(err)
	}
	found, whole := matching(former, ref)
	if len(found) == 0 || !whole && (len(found) > 1 || len(ref) < minIDPrefix) {
		return nil, unknown
	}
	last := found[len(found)-1] // of several at an address: they are all removed.
	if slices.ContainsFunc(c.group.Servers(), func(s ServerInfo) bool { return s.ID == last.ID }) {
		return nil, unknown // it has joined meanwhile
	}
	return &apiv1.RemoveServerResponse{Id: last.ID, Already: true}, nil
}
