package control

import (
	"cmp"
	"context"
	"fmt"
	"strconv"
	"time"

	"connectrpc.com/connect/v2"
	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/fsm"
	"github.com/godwit-run/godwit/internal/apierr"
	"github.com/godwit-run/godwit/internal/transport"
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

// shown is an app as users see it: one that is queued, starts or is to stop says what it waits for.
func (c *Control) shown(v *fsm.View, app *apiv1.App) *apiv1.App {
	switch {
	case fsm.PhaseOf(app) == fsm.Queued:
		return waiting(app, c.queueReasons(v).of(app))
	case waitsForHosts(app):
		return c.withTrouble(waiting(app.Expanded(), c.awaited(v, app)))
	}
	return c.withTrouble(app.Expanded())
}

// waitsForHosts says whether an app starts, or is to stop.
func waitsForHosts(app *apiv1.App) bool {
	phase := fsm.PhaseOf(app)
	return phase == fsm.Starting || phase == fsm.Running && app.Verdict != ""
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
	if s := req.Spec; len(s.Mounts) > 0 || s.Dir != "" || s.Inputs != nil || s.Stdin != "" {
		if err := c.waitMounts(ctx); err != nil {
			return nil, err
		}
	}
	spec, err := c.atLevel(req.Spec)
	if err != nil {
		return nil, err
	}
	cmd := c.command(req.IdempotencyKey)
	cluster, err := c.clusterID(ctx)
	if err != nil {
		return nil, err
	}
	// The id follows from the key: a retry, however late and through whichever server, makes no second app.
	id := fsm.AppIDFor(cluster, cmd.Key)
	cmd.Op = &apiv1.Command_SubmitApp{SubmitApp: &apiv1.SubmitApp{Id: string(id), Spec: spec}}
	res, err := c.log.Propose(ctx, cmd)
	switch {
	case err != nil:
		return nil, apiError(err)
	case fsm.Code(res.Code) == fsm.CodeNotFound: // only the log knows for sure what it knows
		return nil, apierr.New(connect.CodeFailedPrecondition, apierr.ReasonNotFound, "spec.module_digest", res.Reason, "upload it first")
	case res.Code != "":
		return nil, refusal(res.Code, res.Reason)
	}
	app, ok := c.state.View().App(fsm.AppID(res.Id))
	if !ok {
		return nil, apierr.New(connect.CodeNotFound, apierr.ReasonNotFound, "idempotency_key",
			fmt.Sprintf("app %s was submitted with this key, and is forgotten by now", res.Id), "use a new key for a new app")
	}
	return &apiv1.SubmitResponse{App: app.Expanded(), Index: res.Index}, nil
}

// clusterID is the id that the cluster was made with, which never changes: a new leader may still have to read it from the log.
func (c *Control) clusterID(ctx context.Context) (string, error) {
	if id := c.state.View().FirstClusterID(); id != "" {
		return id, nil
	}
	v, err := c.read(ctx)
	if err != nil {
		return "", err
	}
	if v.ClusterID() == "" {
		return "", apierr.New(connect.CodeUnavailable, apierr.ReasonNoLeader, "", "the cluster is being made", "try again")
	}
	return v.FirstClusterID(), nil
}

// GetApp implements the Control service.
func (c *Control) GetApp(ctx context.Context, req *apiv1.GetAppRequest) (*apiv1.GetAppResponse, error) {
	v, app, err := c.find(ctx, req.App)
	if err != nil {
		return nil, err
	}
	return &apiv1.GetAppResponse{App: c.shown(v, app), Index: v.Index(), Migrations: lastMigrations(v, app.Id)}, nil
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

// CancelApp implements the Control service. An app that has ended already is an error that says how. The caller may have it fail instead: the first verdict stands.
func (c *Control) CancelApp(ctx context.Context, req *apiv1.CancelAppRequest) (*apiv1.CancelAppResponse, error) {
	if err := checkKey(req.IdempotencyKey); err != nil {
		return nil, err
	}
	if err := checkText("reason", req.Reason, maxReasonBytes); err != nil {
		return nil, err
	}
	if req.GraceMs < 0 || req.GraceMs > fsm.MaxGraceMs {
		return nil, invalid("grace_ms", strconv.FormatInt(req.GraceMs, 10), fmt.Sprintf("give 0 (none) to %d milliseconds", fsm.MaxGraceMs))
	}
	_, app, err := c.find(ctx, req.App)
	if err != nil {
		return nil, err
	}
	reason := req.Reason
	if reason == "" {
		reason = "cancelled by the user"
	}
	stop := &apiv1.StopApp{App: app.Id, Phase: string(fsm.Cancelled), Reason: reason, GraceMs: req.GraceMs}
	if !c.state.View().Schedules() {
		stop.GraceMs = 0
	}
	if req.FailedWith != 0 {
		stop.Phase, stop.ExitCode = string(fsm.Failed), req.FailedWith
	}
	cmd := c.command(req.IdempotencyKey)
	cmd.Op = &apiv1.Command_StopApp{StopApp: stop}
	res, err := c.mutate(ctx, cmd)
	if err != nil {
		return nil, err
	}
	v := c.state.View()
	if now, ok := v.App(fsm.AppID(app.Id)); ok {
		app = now
	}
	return &apiv1.CancelAppResponse{App: c.shown(v, app), Index: res.Index}, nil
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
	id, err := c.migrate(ctx, v, app, req)
	if err != nil {
		return nil, err
	}
	v = c.state.View()
	mig, ok := v.Migration(fsm.MigrationID(id))
	if !ok {
		return nil, apierr.New(connect.CodeNotFound, apierr.ReasonNotFound, "idempotency_key",
			fmt.Sprintf("migration %s was proposed with this key, and is forgotten by now", id), "use a new key for a new migration")
	}
	return &apiv1.MigrateResponse{Migration: mig, Index: v.Index()}, nil
}

// migrate proposes the move, and returns the migration's id. A retry gets the first one's, though the rank has moved since.
func (c *Control) migrate(ctx context.Context, v *fsm.View, app *apiv1.App, req *apiv1.MigrateRequest) (string, error) {
	ranks := append([]int32{req.Rank}, req.MoreRanks...)
	if len(ranks) > int(app.Size) {
		return "", invalid("more_ranks", fmt.Sprintf("%d ranks are named, the app has %d", len(ranks), app.Size), "name each rank once")
	}
	moves := make([]*apiv1.Move, len(ranks))
	for i, r := range ranks {
		moves[i] = &apiv1.Move{Rank: r, To: req.To}
	}
	asked := migrationCommand(c.command(req.IdempotencyKey), planner.Proposal{App: fsm.AppID(app.Id), Moves: moves, Cause: planner.CauseManual})
	if before, ok := v.Answer(asked); ok {
		if before.Code != "" {
			return "", refusal(before.Code, before.Reason)
		}
		return before.Id, nil
	}
	p, err := planner.ManualMove(v, app, ranks, fsm.HostID(req.To))
	if err != nil {
		return "", apiError(err)
	}
	res, err := c.mutate(ctx, migrationCommand(asked, p))
	if err != nil {
		return "", err
	}
	return res.Id, nil
}

// migrationCommand makes a proposal a command.
func migrationCommand(cmd *apiv1.Command, p planner.Proposal) *apiv1.Command {
	moves := make([]*apiv1.Move, len(p.Moves)) // from_epoch says where the ranks are: the largest migration fits an entry
	for i, m := range p.Moves {
		moves[i] = &apiv1.Move{Rank: m.Rank, To: m.To}
	}
	u := uuid.New()
	cmd.Op = &apiv1.Command_ProposeMigration{ProposeMigration: &apiv1.ProposeMigration{
		Id: fmt.Sprintf("mig-%x", u[:5]), App: string(p.App), FromEpoch: p.FromEpoch, Moves: moves, Cause: p.Cause,
	}}
	return cmd
}

// Discover implements the Cluster service.
func (c *Control) Discover(ctx context.Context, req *apiv1.DiscoverRequest) (*apiv1.DiscoverResponse, error) {
	c.peers.Met(req)
	leader, _ := c.log.Leader()
	v := c.state.View()
	res := &apiv1.DiscoverResponse{
		ServerId: c.group.ID(), FormerClusterIds: v.FormerClusterIDs(), ClusterId: cmp.Or(v.ClusterID(), c.group.ClusterID()), LeaderAddr: leader, GossipAddr: c.peers.GossipAddr(),
		Addr: c.cfg.Addr, Version: c.cfg.Version, Term: c.log.Term(), AppliedIndex: v.Index(), ModulesMissing: c.holding.missing(v),
		Hashes: v.Hashes(), FeatureLevel: c.state.Knows(),
	}
	for _, s := range c.group.Servers() {
		res.Members = append(res.Members, &apiv1.GroupMember{Id: s.ID, Addr: s.Addr, Voter: s.Voter})
	}
	res.Bootstrapped = v.Index() > 0 || len(res.Members) > 0
	err := transport.Wait(ctx, func() error { c.peers.Introduce(req.Nonce, res); return nil }) // it may be the disk that is asked
	return res, err
}
