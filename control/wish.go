package control

import (
	"context"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/fsm"
)

// SetHostWish implements the Control service.
func (c *Control) SetHostWish(ctx context.Context, req *apiv1.SetHostWishRequest) (*apiv1.SetHostWishResponse, error) {
	if err := checkKey(req.IdempotencyKey); err != nil {
		return nil, err
	}
	if err := checkText("reason", req.Reason, maxReasonBytes); err != nil {
		return nil, err
	}
	wish := fsm.Wish(req.Wish)
	switch {
	case !wish.Known():
		return nil, invalid("wish", "it is none that a host can be given", "give schedulable, cordoned, draining or evicting")
	case wish == fsm.Evicting && req.InMs <= 0:
		return nil, invalid("in_ms", "when the host will go is not said", "say in how many milliseconds")
	}
	cmd := c.command(req.IdempotencyKey)
	cmd.Op = &apiv1.Command_SetHostWish{SetHostWish: &apiv1.SetHostWish{Host: req.Host, Wish: req.Wish, Reason: req.Reason, InMs: req.InMs, Force: req.Force}}
	if _, err := c.mutate(ctx, cmd); err != nil {
		return nil, err
	}
	v := c.state.View()
	host, ok := v.Host(fsm.HostID(req.Host))
	if !ok {
		return nil, findError(req.Host, fsm.ErrNotFound)
	}
	host = withoutSecret(host)
	return &apiv1.SetHostWishResponse{Host: host, Index: v.Index()}, nil
}
