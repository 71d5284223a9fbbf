package control

import (
	"context"
	"fmt"
	"iter"
	"strings"
	"time"

	"connectrpc.com/connect/v2"
	"google.golang.org/protobuf/proto"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/control/steps"
	"github.com/godwit-run/godwit/fsm"
	"github.com/godwit-run/godwit/internal/apierr"
	"github.com/godwit-run/godwit/internal/text"
)

// Checkpoint implements the Control service.
func (c *Control) Checkpoint(ctx context.Context, req *apiv1.CheckpointRequest) (*apiv1.CheckpointResponse, error) {
	if err := checkKey(req.IdempotencyKey); err != nil {
		return nil, err
	}
	if _, known := apiv1.AfterCheckpoint_name[int32(req.Then)]; !known {
		return nil, invalid("then", fmt.Sprintf("%d is unknown", req.Then), "leave it out, or give 1 to freeze the app, 2 to queue it again")
	}
	if !c.state.View().MakesCheckpoints() {
		return nil, c.noCheckpointsYet("")
	}
	v, app, err := c.free(ctx, req.App)
	if err != nil {
		return nil, err
	}
	cause := steps.CauseAsked
	if req.Then != apiv1.AfterCheckpoint_AFTER_CHECKPOINT_UNSPECIFIED {
		cause = steps.CauseFreeze
	}
	cmd := c.command(req.IdempotencyKey)
	cmd.Op = steps.BeginCheckpoint(v, app, newCheckpointID(), cause, req.Then).Command.Op
	if begin := cmd.GetBeginCheckpoint(); req.To != "" {
		begin.To = req.To
	}
	if err := checkLog(cmd); err != nil {
		return nil, err
	}
	res, err := c.mutate(ctx, cmd)
	if err != nil {
		return nil, err
	}
	v = c.state.View()
	made, ok := v.Checkpoint(fsm.CheckpointID(res.Id))
	if !ok {
		return nil, apierr.New(connect.CodeNotFound, apierr.ReasonNotFound, "idempotency_key",
			fmt.Sprintf("checkpoint %s was begun with this key, and is forgotten by now", res.Id), "use a new key for a new checkpoint")
	}
	return &apiv1.CheckpointResponse{Checkpoint: made, Index: v.Index()}, nil
}

// ThawApp implements the Control service.
func (c *Control) ThawApp(ctx context.Context, req *apiv1.ThawAppRequest) (*apiv1.ThawAppResponse, error) {
	if err := checkKey(req.IdempotencyKey); err != nil {
		return nil, err
	}
	_, app, err := c.find(ctx, req.App)
	if err != nil {
		return nil, err
	}
	cmd := c.command(req.IdempotencyKey)
	cmd.Op = &apiv1.Command_ThawApp{ThawApp: &apiv1.ThawApp{App: app.Id}}
	if _, err := c.mutate(ctx, cmd); err != nil {
		return nil, err
	}
	v := c.state.View()
	now, ok := v.App(fsm.AppID(app.Id))
	if !ok {
		return nil, findError(req.App, fsm.ErrNotFound)
	}
	return &apiv1.ThawAppResponse{App: now, Index: v.Index()}, nil
}

// freeWait bounds the wait for an app to run, and for a migration or a checkpoint of it to end, before another checkpoint.
const freeWait = 30 * time.Second

// free waits, but not for long, until the app runs, with neither a migration nor a checkpoint under way. One that waits in the queue for others is not waited for.
func (c *Control) free(ctx context.Context, ref string) (*fsm.View, *apiv1.App, error) {
	late := time.NewTimer(freeWait)
	defer late.Stop()
	_, app, err := c.find(ctx, ref)
	if err != nil {
		return nil, nil, err
	}
	id := fsm.AppID(app.Id)
	sub := c.state.Feed().Subscribe(fsm.OfApp(id))
	defer sub.Close()
	for {
		v := c.state.View()
		now, ok := v.App(id)
		begins := fsm.PhaseOf(now) == fsm.Starting || fsm.PhaseOf(now) == fsm.Queued && c.queueReasons(v).soon(now)
		if !ok || !begins && now.MigrationId == "" && now.CheckpointId == "" && now.GetFiles().GetTo() == "" {
			if ok {
				app = now
			}
			return v, app, nil
		}
		select {
		case <-sub.C():
		case <-late.C:
			return v, now, nil // which is told why it is refused
		case <-ctx.Done():
			return nil, nil, ctx.Err()
		}
	}
}

// ListCheckpoints implements the Control service: in the order in which they were begun.
func (c *Control) ListCheckpoints(ctx context.Context, req *apiv1.ListCheckpointsRequest) (*apiv1.ListCheckpointsResponse, error) {
	p, err := newPager("checkpoints", req.PageSize, req.PageToken)
	if err != nil {
		return nil, err
	}
	v, err := c.read(ctx)
	if err != nil {
		return nil, err
	}
	from, err := p.place()
	if err != nil {
		return nil, err
	}
	all := v.CheckpointsAfter(from)
	if req.App != "" {
		id := fsm.AppID(req.App) // of one that is forgotten there may be checkpoints
		if app, err := v.FindApp(req.App); err == nil {
			id = fsm.AppID(app.Id)
		} else if !hasCheckpoints(v, id) {
			return nil, findError(req.App, err)
		}
		all = v.CheckpointsOfAfter(id, from)
	}
	if req.Id != "" {
		all = withPrefix(all, req.Id)
	}
	res := &apiv1.ListCheckpointsResponse{Index: v.Index()}
	for _, x := range pageOf(p, visit(p, all), checkpointKey) {
		res.Checkpoints = append(res.Checkpoints, c.withProgress(x))
	}
	res.NextPageToken = p.next()
	return res, nil
}

func checkpointKey(x *apiv1.Checkpoint) string { return placeKey(fsm.BeginningOf(x)) }

func hasCheckpoints(v *fsm.View, id fsm.AppID) bool {
	for range v.CheckpointsOf(id) {
		return true
	}
	return false
}

func withPrefix(all iter.Seq[*apiv1.Checkpoint], prefix string) iter.Seq[*apiv1.Checkpoint] {
	return func(yield func(*apiv1.Checkpoint) bool) {
		for x := range all {
			if strings.HasPrefix(x.Id, prefix) && !yield(x) {
				return
			}
		}
	}
}

// withProgress is a checkpoint with what hosts have told the leader of it while it is made; another server knows nothing of that.
func (c *Control) withProgress(x *apiv1.Checkpoint) *apiv1.Checkpoint {
	l := c.current()
	if l == nil {
		return x
	}
	if apiv1.CheckpointOver(x.Phase) {
		var words []string
		if storesYet(x) {
			words = append(words, storeWords(l.storer.said(x.Id)))
		}
		if damaged := l.mender.said(x.Id); damaged != "" {
			words = append(words, damaged)
		}
		if len(words) == 0 {
			return x
		}
		out := proto.CloneOf(x)
		out.Progress = text.Line(strings.Join(words, "; "), maxReasonBytes)
		return out
	}
	out := proto.CloneOf(x)
	s := steps.StandingOf(x, l.inbox.reports(fsm.AppID(x.App)))
	switch {
	case s.Fault != "":
		out.Progress = s.Fault
	case s.Waiting != "" && s.Trouble != "":
		out.Progress = fmt.Sprintf("waits for host %s: %s", s.Waiting, s.Trouble)
	case s.Waiting != "":
		out.Progress = fmt.Sprintf("waits for host %s; %d MiB are written or sent", s.Waiting, s.Progress>>20)
	}
	out.Progress = text.Line(out.Progress, maxWhyShown)
	return out
}

// storesYet says whether a checkpoint is complete, and not in its object store yet.
func storesYet(x *apiv1.Checkpoint) bool {
	return x.Phase == apiv1.CheckpointComplete && x.To != "" && x.StoredAt == nil
}

// ImportCheckpoint implements the Control service.
func (c *Control) ImportCheckpoint(ctx context.Context, req *apiv1.ImportCheckpointRequest) (*apiv1.ImportCheckpointResponse, error) {
	if err := checkKey(req.IdempotencyKey); err != nil {
		return nil, err
	}
	if req.Checkpoint == nil {
		return nil, invalid("checkpoint", "missing", "")
	}
	cmd := c.command(req.IdempotencyKey)
	cmd.Op = &apiv1.Command_ImportCheckpoint{ImportCheckpoint: &apiv1.ImportCheckpoint{Checkpoint: req.Checkpoint}}
	if err := checkLog(cmd); err != nil {
		return nil, err
	}
	res, err := c.mutate(ctx, cmd)
	if err != nil {
		return nil, err
	}
	v := c.state.View()
	known, ok := v.Checkpoint(fsm.CheckpointID(res.Id))
	if !ok {
		return nil, apierr.New(connect.CodeNotFound, apierr.ReasonNotFound, "idempotency_key",
			fmt.Sprintf("checkpoint %s was imported with this key, and is forgotten by now", res.Id), "use a new key")
	}
	return &apiv1.ImportCheckpointResponse{Checkpoint: known, Index: v.Index()}, nil
}

// RemoveCheckpoint implements the Control service.
func (c *Control) RemoveCheckpoint(ctx context.Context, req *apiv1.RemoveCheckpointRequest) (*apiv1.RemoveCheckpointResponse, error) {
	if err := checkKey(req.IdempotencyKey); err != nil {
		return nil, err
	}
	v, err := c.read(ctx)
	if err != nil {
		return nil, err
	}
	cmd := c.command(req.IdempotencyKey)
	cmd.Op = &apiv1.Command_RemoveCheckpoint{RemoveCheckpoint: &apiv1.RemoveCheckpoint{Ids: []string{req.Id}}}
	if _, before := v.Answer(cmd); !before {
		if _, ok := v.Checkpoint(fsm.CheckpointID(req.Id)); !ok {
			return nil, apierr.New(connect.CodeNotFound, apierr.ReasonNotFound, "id", fmt.Sprintf("no checkpoint %.80q", req.Id), "godwit checkpoints lists them")
		}
	}
	res, err := c.mutate(ctx, cmd)
	if err != nil {
		return nil, err
	}
	return &apiv1.RemoveCheckpointResponse{Index: res.Index}, nil
}
