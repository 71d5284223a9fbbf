package control

import (
	"context"
	"iter"
	"time"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/fsm"
	"github.com/godwit-run/godwit/planner"
)

// maxExplainedHosts bounds the hosts that an explanation lists.
const maxExplainedHosts = 1000

// checkerOf is the checker at a view, with what the leader knows.
func (c *Control) checkerOf(v *fsm.View) planner.Checker {
	k := planner.Checker{View: v, Now: time.Now()}
	if l := c.current(); l != nil {
		k.Traffic = func(id fsm.AppID) *planner.Matrix { return l.traffic.of(v, id) }
	}
	return k
}

// Explain implements the Control service.
func (c *Control) Explain(ctx context.Context, req *apiv1.ExplainRequest) (*apiv1.ExplainResponse, error) {
	v, app, err := c.find(ctx, req.App)
	if err != nil {
		return nil, err
	}
	var why string
	var head *apiv1.App
	if fsm.PhaseOf(app) == fsm.Queued {
		reasons := c.queueReasons(v)
		why, head = reasons.of(app), reasons.line.Head()
	}
	x := c.checkerOf(v).Explain(app, why, head)
	res := &apiv1.ExplainResponse{App: c.shown(v, app), Verdict: x.Verdict, Changes: x.Changes, Hosts: x.Hosts, Index: v.Index()}
	if more := len(x.Hosts) - maxExplainedHosts; more > 0 {
		res.Hosts, res.MoreHosts = x.Hosts[:maxExplainedHosts], int32(more)
	}
	return res, nil
}

// ListCandidates implements the Control service: in order of submission. Each page is of one view: what comes first in a page plans as if nothing before it did.
func (c *Control) ListCandidates(ctx context.Context, req *apiv1.ListCandidatesRequest) (*apiv1.ListCandidatesResponse, error) {
	p, err := newPager("candidates", req.PageSize, req.PageToken)
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
	place := func(x *apiv1.Candidate) string {
		app, _ := v.App(fsm.AppID(x.App))
		return appKey(app)
	}
	candidates := iter.Seq[*apiv1.Candidate](c.checkerOf(v).Candidates(visit(p, v.InFlightAfter(from))))
	res := &apiv1.ListCandidatesResponse{Index: v.Index(), Candidates: pageOf(p, candidates, place)}
	res.NextPageToken = p.next()
	return res, nil
}
