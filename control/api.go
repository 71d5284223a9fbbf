package control

import (
	"context"
	"fmt"
	"time"

	"connectrpc.com/connect/v2"
	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/fsm"
	"github.com/godwit-run/godwit/internal/apierr"
	"github.com/godwit-run/godwit/planner"
)

// Waits of the API.
const (
	waitDefault = 30 * time.Second
	waitMax     = time.Minute
	peerWait    = 2 * time.Second
)

// read waits until the local state is at least as new as everything committed before the call.
func (c *Control) read(ctx context.Context) (*fsm.View, error) {
	if _, err := c.log.Barrier(ctx); err != nil {
		return nil, apiError(err)
	}
	return c.state.View(), nil
}

// mutate proposes a client's command and maps refusals to errors.
func (c *Control) mutate(ctx context.Context, cmd *apiv1.Command) (*apiv1.Result, error) {
	res, err := c.log.Propose(ctx, cmd)
	if err != nil {
		return nil, apiError(err)
	}
	if res.Code != "" {
		return res, refusal(res.Code, res.Reason)
	}
	return res, nil
}

// shown is an app as users see it: a queued one says why it waits, one that is being stopped says so.
func shown(v *fsm.View, app *apiv1.App) *apiv1.App {
	if fsm.PhaseOf(app) != fsm.Queued {
		return app.Expanded()
	}
	return waiting(app, planner.WhyQueued(v, app))
}

func waiting(app *apiv1.App, why string) *apiv1.App {
	out := proto.CloneOf(app)
	out.Reason = why
	return out
}

// Submit implements the Control service.
func (c *Control) Submit(ctx context.Context, req *apiv1.SubmitRequest) (*apiv1.SubmitResponse, error) {
	if err := checkKey(req.IdempotencyKey); err != nil {
		return nil, err
	}
	if err := checkSpec(req.Spec); err != nil {
		return nil, err
	}
	if _, ok := c.state.View().Module(fsm.Digest(req.Spec.ModuleDigest)); !ok {
		return nil, apierr.New(connect.CodeFailedPrecondition, apierr.ReasonNotFound, "spec.module_digest",
			fmt.Sprintf("module %.12s is not known", req.Spec.ModuleDigest), "upload it first")
	}
	cmd := c.command(req.IdempotencyKey)
	cmd.Op = &apiv1.Command_SubmitApp{SubmitApp: &apiv1.SubmitApp{Id: newAppID(), Spec: req.Spec}}
	res, err := c.mutate(ctx, cmd)
	if err != nil {
		return nil, err
	}
	v := c.state.View()
	app, ok := v.App(fsm.AppID(res.Id))
	if !ok {
		return nil, apiError(fmt.Errorf("app %s is not in the state after its submission", res.Id))
	}
	return &apiv1.SubmitResponse{App: app, Index: res.Index}, nil
}

// newAppID is short enough to type and long enough to be unique: 40 random bits.
func newAppID() string {
	u := uuid.New()
	return fmt.Sprintf("app-%x", u[:5])
}

// GetApp implements the Control service.
func (c *Control) GetApp(ctx context.Context, req *apiv1.GetAppRequest) (*apiv1.GetAppResponse, error) {
	v, app, err := c.find(ctx, req.App)
	if err != nil {
		return nil, err
	}
	return &apiv1.GetAppResponse{App: shown(v, app), Index: v.Index(), Migrations: lastMigrations(v, app.Id)}, nil
}

func (c *Control) find(ctx context.Context, ref string) (*fsm.View, *apiv1.App, error) {
	if ref == "" {
		return nil, nil, invalid("app", "missing", "give an id, the beginning of one, or a name")
	}
	v, err := c.read(ctx)
	if err != nil {
		return nil, nil, err
	}
	app, err := v.FindApp(ref)
	if err != nil {
		return nil, nil, findError(ref, err)
	}
	return v, app, nil
}

// WaitApp implements the Control service.
func (c *Control) WaitApp(ctx context.Context, req *apiv1.WaitAppRequest) (*apiv1.WaitAppResponse, error) {
	_, app, err := c.find(ctx, req.App)
	if err != nil {
		return nil, err
	}
	wait := waitDefault
	if req.Timeout > 0 {
		wait = min(time.Duration(req.Timeout*float64(time.Second)), waitMax)
	}
	deadline := time.NewTimer(wait)
	defer deadline.Stop()
	for {
		changed := c.state.Watch()
		v := c.state.View()
		app, ok := v.App(fsm.AppID(app.Id))
		if !ok {
			return nil, findError(req.App, fsm.ErrNotFound)
		}
		if fsm.PhaseOf(app).Terminal() {
			return &apiv1.WaitAppResponse{App: shown(v, app), Index: v.Index()}, nil
		}
		select {
		case <-changed:
		case <-deadline.C:
			return &apiv1.WaitAppResponse{App: shown(v, app), Index: v.Index()}, nil
		case <-ctx.Done():
			return nil, apiError(ctx.Err())
		}
	}
}

// CancelApp implements the Control service. An app that has ended already is an error that says how.
func (c *Control) CancelApp(ctx context.Context, req *apiv1.CancelAppRequest) (*apiv1.CancelAppResponse, error) {
	if err := checkKey(req.IdempotencyKey); err != nil {
		return nil, err
	}
	if err := checkText("reason", req.Reason, maxReasonBytes); err != nil {
		return nil, err
	}
	_, app, err := c.find(ctx, req.App)
	if err != nil {
		return nil, err
	}
	reason := req.Reason
	if reason == "" {
		reason = "cancelled by the user"
	}
	cmd := c.command(req.IdempotencyKey)
	cmd.Op = &apiv1.Command_StopApp{StopApp: &apiv1.StopApp{App: app.Id, Phase: string(fsm.Cancelled), Reason: reason}}
	res, err := c.mutate(ctx, cmd)
	if err != nil {
		return nil, err
	}
	v := c.state.View()
	if now, ok := v.App(fsm.AppID(app.Id)); ok {
		app = now
	}
	return &apiv1.CancelAppResponse{App: app, Index: res.Index}, nil
}

// Migrate implements the Control service.
func (c *Control) Migrate(ctx context.Context, req *apiv1.MigrateRequest) (*apiv1.MigrateResponse, error) {
	if err := checkKey(req.IdempotencyKey); err != nil {
		return nil, err
	}
	v, app, err := c.find(ctx, req.App)
	if err != nil {
		return nil, err
	}
	var id string
	if old, ok := v.Key(req.IdempotencyKey); ok && req.IdempotencyKey != "" {
		if old.Code != "" {
			return nil, refusal(old.Code, old.Reason)
		}
		id = old.Id
	} else {
		p, err := planner.ManualMove(v, app, int(req.Rank), fsm.HostID(req.To))
		if err != nil {
			return nil, apierr.New(connect.CodeFailedPrecondition, apierr.ReasonRefused, "", err.Error(), "")
		}
		res, err := c.mutate(ctx, migrationCommand(c.command(req.IdempotencyKey), p))
		if err != nil {
			return nil, err
		}
		id = res.Id
	}
	v = c.state.View()
	mig, ok := v.Migration(fsm.MigrationID(id))
	if !ok {
		return nil, apiError(fmt.Errorf("migration %s is not in the state after its proposal", id))
	}
	return &apiv1.MigrateResponse{Migration: mig, Index: v.Index()}, nil
}

// migrationCommand makes a proposal a command.
func migrationCommand(cmd *apiv1.Command, p planner.Proposal) *apiv1.Command {
	u := uuid.New()
	cmd.Op = &apiv1.Command_ProposeMigration{ProposeMigration: &apiv1.ProposeMigration{
		Id: fmt.Sprintf("mig-%x", u[:5]), App: string(p.App), FromEpoch: p.FromEpoch, Moves: p.Moves, Cause: p.Cause,
	}}
	return cmd
}

// ListServers implements the Control service.
func (c *Control) ListServers(ctx context.Context, _ *apiv1.ListServersRequest) (*apiv1.ListServersResponse, error) {
	v, err := c.read(ctx)
	if err != nil {
		return nil, err
	}
	res := &apiv1.ListServersResponse{Index: v.Index()}
	leader, _ := c.log.Leader()
	for _, s := range c.group.Servers() {
		role := "follower"
		switch {
		case s.Addr == leader:
			role = "leader"
		case !s.Voter:
			role = "nonvoter"
		}
		res.Servers = append(res.Servers, &apiv1.Server{Id: s.ID, Addr: s.Addr, Role: role})
	}
	return res, nil
}

// Discover implements the Cluster service.
func (c *Control) Discover(context.Context, *apiv1.DiscoverRequest) (*apiv1.DiscoverResponse, error) {
	leader, _ := c.log.Leader()
	v := c.state.View()
	return &apiv1.DiscoverResponse{
		ServerId: c.group.ID(), ClusterId: v.ClusterID(), LeaderAddr: leader, GossipAddr: c.peers.GossipAddr(),
		Addr: c.cfg.Addr, Bootstrapped: v.Index() > 0 || len(c.group.Servers()) > 0, Version: c.cfg.Version,
		Term: c.log.Term(), AppliedIndex: v.Index(),
	}, nil
}
