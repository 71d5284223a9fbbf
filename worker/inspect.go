package worker

import (
	"context"
	"sync"
	"time"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/internal/transport"
)

// inspectWait is how long an executor may take to say what its ranks do. One that runs at all does so at once.
const inspectWait = 2 * time.Second

// What is told of ranks that nothing can be told of.
const (
	reasonNoAnswer   = "no answer (computing without MPI calls for long, or stuck)"
	reasonNoExecutor = "not started yet, or just ended"
)

// inspection is a question to an executor, asked once for all who wanted to know before: an answer is never older than the wish for it.
type inspection struct {
	mu      sync.Mutex                       // guards the fields below
	asked   bool                             // and not answered yet
	waiting map[chan []*apiv1.RankDoing]bool // whether the question that is asked was asked for them
	traffic bool                             // somebody has wanted to know of traffic: from then on all are told
}

// join adds someone who waits for an answer, and says whether the question has to be asked now.
func (i *inspection) join(ch chan []*apiv1.RankDoing, traffic bool) (ask bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.traffic = i.traffic || traffic
	if i.waiting == nil {
		i.waiting = map[chan []*apiv1.RankDoing]bool{}
	}
	ask, i.asked = !i.asked, true
	i.waiting[ch] = ask
	return ask
}

func (i *inspection) leave(ch chan []*apiv1.RankDoing) {
	i.mu.Lock()
	defer i.mu.Unlock()
	delete(i.waiting, ch)
}

// answer gives the answer to those for whom the question was asked, whose channels have room for it, and says whether it has to be asked again, for others.
func (i *inspection) answer(ranks []*apiv1.RankDoing) (again bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	for ch, forThem := range i.waiting {
		if !forThem {
			i.waiting[ch], again = true, true
			continue
		}
		ch <- ranks
		delete(i.waiting, ch)
	}
	i.asked = again
	return again
}

// inspect asks the executor what its ranks do, and waits for at most inspectWait. It is false when there is no answer.
func (c *child) inspect(ctx context.Context, traffic bool) ([]*apiv1.RankDoing, bool) {
	ctx, cancel := context.WithTimeout(ctx, inspectWait)
	defer cancel()
	ch := make(chan []*apiv1.RankDoing, 1)
	if c.inspection.join(ch, traffic) {
		c.askInspect()
	}
	defer c.inspection.leave(ch)
	select {
	case ranks := <-ch:
		return ranks, true
	case <-c.exited:
		return nil, false
	case <-ctx.Done():
		return nil, false
	}
}

// askInspect asks. One question at a time: the next is asked after the answer to this one.
func (c *child) askInspect() {
	c.inspection.mu.Lock()
	traffic := c.inspection.traffic
	c.inspection.mu.Unlock()
	c.say(&apiv1.ExecCommand{Msg: &apiv1.ExecCommand_Inspect{Inspect: &apiv1.ExecInspect{Traffic: traffic}}})
}

// Inspect implements the Data service.
func (s dataService) Inspect(ctx context.Context, req *apiv1.InspectRequest) (*apiv1.InspectResponse, error) {
	if err := checkID("app", req.App); err != nil {
		return nil, err
	}
	transport.Yield(ctx)
	c := s.w.childOf(req.App)
	if c == nil {
		return &apiv1.InspectResponse{Reason: reasonNoExecutor}, nil
	}
	ranks, ok := c.inspect(ctx, req.Traffic)
	if !ok {
		if d := c.pulse.silent(time.Now()); d > 0 {
			return &apiv1.InspectResponse{Reason: silence(d)}, nil
		}
		return &apiv1.InspectResponse{Reason: reasonNoAnswer}, nil
	}
	return &apiv1.InspectResponse{Ranks: ranks, Reason: reasonNoExecutor}, nil
}

// childOf is the executor of an app, or nil.
func (w *Worker) childOf(app string) *child {
	w.mu.Lock()
	defer w.mu.Unlock()
	for c := range w.children {
		if c.app == app {
			return c
		}
	}
	return nil
}
