package control

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"connectrpc.com/connect/v2"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/fsm"
	"github.com/godwit-run/godwit/internal/apierr"
	"github.com/godwit-run/godwit/planner"
)

// maxTenantsShown bounds the tenants that an answer lists.
const maxTenantsShown = 10000

// GetScheduling implements the Control service.
func (c *Control) GetScheduling(ctx context.Context, _ *apiv1.GetSchedulingRequest) (*apiv1.GetSchedulingResponse, error) {
	v, err := c.read(ctx)
	if err != nil {
		return nil, err
	}
	return &apiv1.GetSchedulingResponse{Scheduling: v.Scheduling(), Tenants: tenantsOf(v), Index: v.Index()}, nil
}

// tenantsOf are the tenants of whom something is said, and those who have slots, in order of name.
func tenantsOf(v *fsm.View) []*apiv1.TenantUse {
	var out []*apiv1.TenantUse
	for t := range v.Tenants() {
		out = append(out, &apiv1.TenantUse{Tenant: t, Used: int32(v.TenantSlots(t.Name))})
	}
	for name, used := range v.TenantsWithSlots() {
		if len(out) == maxTenantsShown {
			break
		}
		if v.Tenant(name) == nil {
			out = append(out, &apiv1.TenantUse{Tenant: &apiv1.Tenant{Name: name}, Used: int32(used)})
		}
	}
	slices.SortFunc(out, func(a, b *apiv1.TenantUse) int { return cmp.Compare(a.Tenant.Name, b.Tenant.Name) })
	return out
}

// SetScheduling implements the Control service.
func (c *Control) SetScheduling(ctx context.Context, req *apiv1.SetSchedulingRequest) (*apiv1.SetSchedulingResponse, error) {
	if err := checkKey(req.IdempotencyKey); err != nil {
		return nil, err
	}
	if !planner.KnownDefault(req.Scheduling.GetPolicy()) {
		return nil, invalid("scheduling.policy", fmt.Sprintf("%.80q is none that apps could have by default", req.Scheduling.GetPolicy()), "use bin_pack, compact, spot, empty_hosts or traffic")
	}
	cmd := c.command(req.IdempotencyKey)
	cmd.Op = &apiv1.Command_SetScheduling{SetScheduling: &apiv1.SetScheduling{Scheduling: req.Scheduling, Fields: req.Fields}}
	if err := c.schedule(ctx, cmd); err != nil {
		return nil, err
	}
	v := c.state.View()
	return &apiv1.SetSchedulingResponse{Scheduling: v.Scheduling(), Index: v.Index()}, nil
}

// SetTenant implements the Control service.
func (c *Control) SetTenant(ctx context.Context, req *apiv1.SetTenantRequest) (*apiv1.SetTenantResponse, error) {
	if err := checkKey(req.IdempotencyKey); err != nil {
		return nil, err
	}
	cmd := c.command(req.IdempotencyKey)
	cmd.Op = &apiv1.Command_SetTenant{SetTenant: &apiv1.SetTenant{Tenant: req.Tenant, Remove: req.Remove, Fields: req.Fields}}
	if err := c.schedule(ctx, cmd); err != nil {
		return nil, err
	}
	return &apiv1.SetTenantResponse{Index: c.state.View().Index()}, nil
}

// schedule commits a command that changes the rules of the cluster.
func (c *Control) schedule(ctx context.Context, cmd *apiv1.Command) error {
	if err := checkLog(cmd); err != nil {
		return err
	}
	if v := c.state.View(); !v.Schedules() {
		return apierr.New(connect.CodeUnavailable, apierr.ReasonNotYet, "", fmt.Sprintf("this needs a higher feature level than the cluster's, which is %d", v.FeatureLevel()),
			"try again in a moment; if that stays, some server has an older godwit (see godwit servers)")
	}
	_, err := c.mutate(ctx, cmd)
	return err
}
