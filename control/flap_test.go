package control

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/fsm"
	"github.com/godwit-run/godwit/internal/transport"
)

// puppet is a worker that runs ranks of its own: they end as soon as they have begun. It goes to whoever leads.
type puppet struct {
	tr     *trio
	host   string
	client *http.Client

	mu       sync.Mutex // guards the fields below
	statuses map[string]*apiv1.AppStatus
	leave    context.CancelFunc // ends its session
}

// run keeps a session until ctx ends.
func (p *puppet) run(ctx context.Context) {
	for i := 0; ctx.Err() == nil; i++ {
		p.session(ctx, p.tr.servers[i%len(p.tr.servers)])
	}
}

func (p *puppet) session(ctx context.Context, m *member) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	hello := helloOf(p.host, "i1")
	p.mu.Lock()
	p.leave = cancel
	for _, st := range p.statuses {
		hello.Apps = append(hello.Apps, st)
	}
	p.mu.Unlock()
	l, err := dial(ctx, p.client, p.tr.addr(m), hello)
	if err != nil {
		select { // refused: it leads no more, or not yet
		case <-time.After(time.Millisecond):
		case <-ctx.Done():
		}
		return
	}
	records := apiv1.NewRecords(p.host)
	for {
		select {
		case r := <-l.in:
			rec, err := records.Complete(r.GetRecord())
			if err != nil {
				p.tr.t.Error(err)
				return
			}
			for _, st := range p.follow(rec) {
				if l.stream.Send(&apiv1.SessionRequest{Msg: &apiv1.SessionRequest_Status{Status: st}}) != nil {
					return
				}
			}
		case <-l.over: //nolint:errcheck // however it ends
			return
		case <-ctx.Done():
			return
		}
	}
}

// follow makes the puppet's ranks agree with a record, and returns what there is to report of the app: that they run, and that
// they have ended.
func (p *puppet) follow(rec *apiv1.AppRecord) []*apiv1.AppStatus {
	p.mu.Lock()
	defer p.mu.Unlock()
	app := rec.GetApp()
	if rec == nil || rec.Gone || fsm.PhaseOf(app).Terminal() {
		delete(p.statuses, app.GetId())
		return nil
	}
	var out []*apiv1.AppStatus
	for _, state := range []string{apiv1.RankRunning, apiv1.RankEnded} {
		st := &apiv1.AppStatus{App: app.Id, Index: rec.Index, Epoch: app.Epoch, Executor: apiv1.ExecutorRunning}
		for r, host := range app.Placement {
			if host == p.host {
				st.Ranks = append(st.Ranks, &apiv1.RankStatus{Rank: int32(r), Epoch: app.RankEpoch(int32(r)), State: state})
			}
		}
		if len(st.Ranks) == 0 {
			return nil
		}
		out = append(out, st)
		p.statuses[app.Id] = st
	}
	return out
}

// drop ends its session, as a worker does whose heartbeats go unanswered.
func (p *puppet) drop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.leave != nil {
		p.leave()
	}
}

// flaps is a trio whose leaders come and go.
type flaps struct {
	*trio
	rng     *rand.Rand
	puppets []*puppet
	ids     map[string]string // of the apps, by the key of their submission
	last    *member           // that leads
	stops   map[*member]func()
}

func (f *flaps) view() *fsm.View { return f.servers[0].machine.View() }

func (f *flaps) ended() (n int) {
	for app := range f.view().Apps() {
		if fsm.PhaseOf(app).Terminal() {
			n++
		}
	}
	return n
}

// flap makes a server the leader, and has it take apps. The leader before it knows of its end, or goes on as if it were one.
func (f *flaps) flap(round int) {
	leader := f.servers[(round+f.rng.IntN(2))%3]
	if stop := f.stops[leader]; stop != nil {
		stop() // it leads, or believes it
	}
	others := slices.DeleteFunc(slices.Clone(f.servers), func(m *member) bool { return m == leader })
	if last := f.last; last != nil && last != leader {
		if f.rng.IntN(3) > 0 {
			others = slices.DeleteFunc(others, func(m *member) bool { return m == last })
		} else {
			f.stops[last]()
		}
	}
	f.last, f.stops[leader] = leader, f.lead(leader, others...)
	f.mu.Lock()
	f.rough = true
	f.mu.Unlock()
	for _, p := range f.puppets {
		p.drop()
	}
	for n := range 3 {
		key := fmt.Sprintf("app-%d-%d", round, n)
		req := &apiv1.SubmitRequest{IdempotencyKey: key, Spec: &apiv1.AppSpec{Name: "x", ModuleDigest: testDigest, Size: 3}}
		require.Eventually(f.t, func() bool {
			res, err := leader.control.Submit(f.t.Context(), req)
			if err != nil {
				return false
			}
			if before := f.ids[key]; before != "" && before != res.App.Id {
				f.t.Errorf("%s made app %s, and %s", key, before, res.App.Id)
			}
			f.ids[key] = res.App.Id
			return true
		}, time.Minute, time.Millisecond)
	}
	until := f.view().Index() + uint64(f.rng.IntN(15))
	require.Eventually(f.t, func() bool { return f.view().Index() >= until || f.ended() == len(f.ids) }, time.Minute, time.Millisecond)
}

// TestAppsOutliveTheirLeaders: leaders come and go, and some that were deposed do not know it, and go on: their commands come
// into the log late, and answers are lost. Every submission makes one app, every app runs once and succeeds, no host is lost,
// and all servers have one state.
func TestAppsOutliveTheirLeaders(t *testing.T) {
	t.Parallel()
	for seed := range uint64(4) {
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) { outlive(t, seed) })
	}
}

func outlive(t *testing.T, seed uint64) {
	f := &flaps{rng: rand.New(rand.NewPCG(seed, 1)), ids: map[string]string{}, stops: map[*member]func(){}} //nolint:gosec // a schedule
	f.trio = newTrio(t, func(c *Config) { c.Lease = time.Hour })
	add := &apiv1.Command{Key: "m", Op: &apiv1.Command_AddModule{AddModule: &apiv1.AddModule{Module: &apiv1.Module{Digest: testDigest}}}}
	f.mu.Lock()
	_, err := f.apply(add)
	f.mu.Unlock()
	require.NoError(t, err)
	var running sync.WaitGroup
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(func() { cancel(); running.Wait() })
	for i := range 3 {
		p := &puppet{tr: f.trio, host: fmt.Sprintf("w%d", i+1), client: transport.NewHTTPClient(), statuses: map[string]*apiv1.AppStatus{}}
		f.puppets = append(f.puppets, p)
		running.Go(func() { p.run(ctx) })
	}
	for round := range 8 {
		f.flap(round)
	}
	require.Eventually(t, func() bool { return f.ended() == len(f.ids) }, time.Minute, 10*time.Millisecond)
	f.mu.Lock()
	defer f.mu.Unlock()
	v := f.view()
	require.Len(t, slices.Collect(v.Apps()), len(f.ids), "one app a submission")
	for app := range v.Apps() {
		require.Equal(t, fsm.Succeeded, fsm.PhaseOf(app), "%s: %s", app.Id, app.Reason)
		require.EqualValues(t, 1, app.Attempt)
	}
	for h := range v.Hosts() {
		require.Equal(t, fsm.Ready, fsm.HostStateOf(h), h.Reason)
		require.Zero(t, h.Used)
	}
	for _, s := range f.servers {
		require.NoError(t, fsm.CheckInvariants(s.machine.View()))
		require.Equal(t, v.Hash(), s.machine.View().Hash())
	}
}
