package jepsen

import (
	"context"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"time"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/jepsen/history"
)

// traffic is what a number of clients ask of a cluster while it is tortured. Each client talks to one server only, so that
// what is wrong with one server shows, but for submissions that it makes again through another; and it has one operation
// under way at a time.
type traffic struct {
	c      *cluster
	rec    *history.Recorder
	digest string // of the module that the short apps run
	long   string // of the module that the long apps run
	bad    string // of the module that the failing apps run

	mu   sync.Mutex      // guards apps, live, kept
	apps []string        // ids of the apps that clients have been told of
	live map[string]bool // those of them that nobody has seen to end
	kept map[string]bool // those that nobody may cancel: their ranks are to be moved
}

const (
	// clients is how many there are.
	clients = 6
	// thinking is how long a client waits on average between two operations.
	thinking = 60 * time.Millisecond
	// fewApps is how many apps may be in flight before clients ask for no more: more would only wait in the queue.
	fewApps = 8
)

// run lets the clients work until ctx ends. Each has random numbers of its own, so that the schedule of one does not
// depend on the speed of another.
func (tr *traffic) run(ctx context.Context, seed uint64) {
	var all sync.WaitGroup
	for i := range clients {
		rng := rand.New(rand.NewPCG(seed, uint64(i+1))) //nolint:gosec // not for secrets
		all.Go(func() { tr.client(ctx, i, rng) })
	}
	rng := rand.New(rand.NewPCG(seed, 1000)) //nolint:gosec // not for secrets
	all.Go(func() { tr.mover(ctx, clients, rng) })
	all.Wait()
}

func (tr *traffic) client(ctx context.Context, id int, rng *rand.Rand) {
	k := &caller{tr: tr, id: id, addr: tr.c.api.addrs[id%len(tr.c.api.addrs)], api: newClient()}
	for ctx.Err() == nil {
		switch n := rng.IntN(100); {
		case n < 8 && tr.inFlight() < fewApps:
			k.submitTwice(tr.short(rng), pick(rng, tr.c.api.addrs))
		case n < 35 && tr.inFlight() < fewApps:
			k.submit(tr.short(rng), rng.IntN(2) == 0)
		case n < 70:
			if app := tr.known(rng); app != "" {
				k.status(app)
			}
		case n < 78:
			if app := tr.known(rng); app != "" && !tr.keeps(app) {
				k.cancel(app)
			}
		default:
			k.list()
		}
		select {
		case <-time.After(time.Duration(rng.Int64N(int64(2 * thinking)))):
		case <-ctx.Done():
		}
	}
}

// mover keeps one long app going and moves its ranks about.
func (tr *traffic) mover(ctx context.Context, id int, rng *rand.Rand) {
	k := &caller{tr: tr, id: id, api: newClient()}
	app := ""
	for ctx.Err() == nil {
		k.addr = pick(rng, tr.c.api.addrs)
		alive := app != "" // as far as anybody knows
		if alive {
			if op := k.status(app); op.End == history.OK {
				alive = !over(op.Apps[0])
				if op.Apps[0].Phase == "running" {
					var hosts []string
					for _, w := range tr.c.workers {
						hosts = append(hosts, w.name)
					}
					rng.Shuffle(len(hosts), func(i, j int) { hosts[i], hosts[j] = hosts[j], hosts[i] })
					k.migrate(app, int32(rng.IntN(3)), hosts)
				}
			}
		}
		if !alive {
			spec := &apiv1.AppSpec{Name: "long", ModuleDigest: tr.long, Args: []string{"100000", "50"}, Size: 3, Hint: "never_alone"}
			if op := k.submit(spec, true); op.End == history.OK {
				app = op.Apps[0].ID
				tr.keep(app)
			}
		}
		select {
		case <-time.After(time.Duration(500+rng.IntN(1000)) * time.Millisecond):
		case <-ctx.Done():
		}
	}
}

// short is an app that takes a moment, of one to three ranks. Some fail, each with a code of its own.
func (tr *traffic) short(rng *rand.Rand) *apiv1.AppSpec {
	n := int32(1 + rng.IntN(3))
	switch rng.IntN(8) {
	case 0:
		return &apiv1.AppSpec{
			Name: "fails", ModuleDigest: tr.bad, Args: []string{strconv.Itoa(1 + rng.IntN(250)), strconv.Itoa(rng.IntN(int(n)))}, Size: n,
		}
	case 1, 2:
		return &apiv1.AppSpec{Name: "steps", ModuleDigest: tr.long, Args: []string{strconv.Itoa(5 + rng.IntN(40)), "50"}, Size: n}
	}
	return &apiv1.AppSpec{Name: "hello", ModuleDigest: tr.digest, Size: n}
}

// known is some app that a client has been told of, mostly a recent one; empty: none yet.
func (tr *traffic) known(rng *rand.Rand) string {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	if len(tr.apps) == 0 {
		return ""
	}
	if rng.IntN(4) == 0 {
		return pick(rng, tr.apps)
	}
	return tr.apps[max(0, len(tr.apps)-1-rng.IntN(15))]
}

// inFlight is how many apps have not been seen to end.
func (tr *traffic) inFlight() int {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	return len(tr.live)
}

// saw notes apps that an answer has shown.
func (tr *traffic) saw(apps []history.Seen) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	for _, a := range apps {
		if _, known := tr.live[a.ID]; !known && !over(a) && !slices.Contains(tr.apps, a.ID) {
			tr.apps = append(tr.apps, a.ID)
			tr.live[a.ID] = true
		}
		if over(a) {
			delete(tr.live, a.ID)
		}
	}
}

// over says whether an app is shown to have ended.
func over(a history.Seen) bool {
	return a.Phase == "succeeded" || a.Phase == "failed" || a.Phase == "cancelled"
}

// keep spares an app from being cancelled by clients; one that was cancelled already stays so.
func (tr *traffic) keep(app string) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.kept[app] = true
}

func (tr *traffic) keeps(app string) bool {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	return tr.kept[app]
}
