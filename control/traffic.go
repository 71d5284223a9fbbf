package control

import (
	"context"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/fsm"
	"github.com/godwit-run/godwit/planner"
)

const (
	// measuredAtOnce bounds the apps whose hosts are asked at a time for what ranks send each other.
	measuredAtOnce = 8
	// measureAge is how old an answer may be that a check goes by; what a host cannot tell is asked again after that, too.
	measureAge = 5 * time.Second
	// shortest is for how many seconds an app is taken to go on at least: 0 is for ever.
	shortest = 1e-3
)

// traffic is what this leader knows of what the ranks of apps send each other, by the hosts' words. It is asked for apps of policy traffic when they are to be checked, and forgotten when they are
// over. It may be used concurrently, but for look.
type traffic struct {
	c *Control

	mu     sync.Mutex // guards the fields below
	wanted map[fsm.AppID]bool
	known  map[fsm.AppID]*measurement
}

// measurement is what the hosts of an app have said.
type measurement struct {
	at    time.Time
	epoch uint64
	ranks []*apiv1.RankDoing // by rank; nil: some host has not answered
}

func newTraffic(c *Control) *traffic {
	return &traffic{c: c, wanted: map[fsm.AppID]bool{}, known: map[fsm.AppID]*measurement{}}
}

// measured says whether what is known of an app is new enough to go by; if not, it is asked for.
func (t *traffic) measured(id fsm.AppID, now time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if m := t.known[id]; m != nil && now.Sub(m.at) < measureAge {
		return true
	}
	t.wanted[id] = true
	return false
}

// look asks the hosts of the apps that are wanted, and takes as long as they do, inspectWait at most.
func (t *traffic) look(ctx context.Context) {
	t.mu.Lock()
	wanted := t.wanted
	t.wanted = map[fsm.AppID]bool{}
	t.mu.Unlock()
	if len(wanted) == 0 {
		return
	}
	v := t.c.state.View()
	var g errgroup.Group
	g.SetLimit(measuredAtOnce)
	for id := range wanted {
		g.Go(func() error {
			m := &measurement{at: time.Now()}
			if app, ok := v.App(id); ok && fsm.PhaseOf(app).Placed() {
				m.epoch, m.ranks = app.Epoch, t.ask(ctx, v, app)
			}
			t.mu.Lock()
			defer t.mu.Unlock()
			t.known[id] = m
			return nil
		})
	}
	_ = g.Wait() // the functions return no errors
	v = t.c.state.View()
	t.mu.Lock()
	defer t.mu.Unlock()
	for id := range t.known {
		if app, ok := v.App(id); !ok || !fsm.PhaseOf(app).Placed() {
			delete(t.known, id)
		}
	}
}

// ask asks the hosts of an app; nil: one of them has not answered for all of its ranks.
func (t *traffic) ask(ctx context.Context, v *fsm.View, app *apiv1.App) []*apiv1.RankDoing {
	res := t.c.inspect(ctx, v, &apiv1.InspectRanksResponse{App: app.Expanded()}, true)
	for _, r := range res.Ranks {
		if !app.HasEnded(r.Rank) && r.MemoryBytes == 0 {
			return nil
		}
	}
	return res.Ranks
}

// of is what is known of the live ranks of an app of a view, whose placement it was measured by; nil: nothing is.
func (t *traffic) of(v *fsm.View, id fsm.AppID) *planner.Matrix {
	t.mu.Lock()
	m := t.known[id]
	t.mu.Unlock()
	app, ok := v.App(id)
	if !ok || m == nil || m.ranks == nil || m.epoch != app.Epoch {
		return nil
	}
	return matrixOf(app, m.ranks, time.Now())
}

// matrixOf is what the live ranks of an app send each other, as a policy takes it.
func matrixOf(app *apiv1.App, ranks []*apiv1.RankDoing, now time.Time) *planner.Matrix {
	var live []int32
	for _, r := range ranks {
		if !app.HasEnded(r.Rank) {
			live = append(live, r.Rank)
		}
	}
	m := planner.NewMatrix(len(live))
	m.ImageBytes = make([]int64, len(live))
	for to, rank := range live {
		r := ranks[rank]
		m.ImageBytes[to] = r.MemoryBytes
		for _, h := range r.Heard {
			if from, ok := slices.BinarySearch(live, h.From); ok {
				m.Add(from, to, h.BytesPerSecond)
			}
		}
	}
	if app.StartedAt != nil {
		left := time.Duration(0)
		ran := now.Sub(app.StartedAt.AsTime()) + time.Duration(app.RanMs)*time.Millisecond
		if app.Spec.TimeLimitMs > 0 {
			left = max(1, time.Duration(app.Spec.TimeLimitMs)*time.Millisecond-ran)
		}
		m.Lasts = max(shortest, planner.Lasting(ran, left))
	}
	return m
}
