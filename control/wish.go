package control

import (
	"context"
	"fmt"

	"connectrpc.com/connect/v2"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/fsm"
	"github.com/godwit-run/godwit/internal/apierr"
)

// SetHostWish implements the Control service.
func (c *Control) SetHostWish(ctx context.Context, req *apiv1.SetHostWishRequest) (*apiv1.SetHostWishResponse, error) {
	if err := checkKey(req.IdempotencyKey); err != nil {
		return nil, err
	}
	if err := speaksFor(ctx, req.Host); err != nil {
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
	case !c.state.View().WishesStand(): // older builds do not know the fields, and what becomes of a host that is drained
		return nil, apierr.New(connect.CodeUnavailable, apierr.ReasonNotYet, "wish",
			fmt.Sprintf("wishes about hosts need a higher feature level than the cluster's, which is %d", c.state.View().FeatureLevel()),
			"try again in a moment; if that stays, some server has an older godwit (see godwit servers)")
	}
	cmd := c.command(req.IdempotencyKey)
	cmd.Op = &apiv1.Command_SetHostWish{SetHostWish: &apiv1.SetHostWish{Host: req.Host, Wish: req.Wish, Reason: req.Reason, InMs: req.InMs, Force: req.Force, Own: req.Own}}
	if _, err := c.mutate(ctx, cmd); err != nil {
		return nil, err
	}
	v := c.state.View()
	host, ok := v.Host(fsm.HostID(req.Host))
	if !ok {
		return nil, findError(req.Host, fsm.ErrNotFound)
	}
	return &apiv1.SetHostWishResponse{Host: c.shownHost(v, host), Index: v.Index()}, nil
}
