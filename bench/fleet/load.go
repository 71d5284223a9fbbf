package fleet

import (
	"context"
	"math"
	"math/rand/v2"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

// clients is how many apps are submitted at a time, at the most.
const clients = 64

// submission is an app that was accepted.
type submission struct {
	id       string
	size     int
	asked    time.Time
	accepted time.Time
}

// load submits apps, whose sizes and lengths are by chance.
type load struct {
	api    api
	digest string
	most   int
	mean   time.Duration

	mu       sync.Mutex // guards the fields below
	random   *rand.Rand
	accepted []submission
}

// spec is the next app: as many of 1 to 2 ranks as of 2 to 4, and so on; a fifth are looked at for whether they should move.
func (l *load) spec() *apiv1.AppSpec {
	l.mu.Lock()
	defer l.mu.Unlock()
	size := int32(math.Exp(l.random.Float64() * math.Log(float64(l.most)+0.999)))
	lasts := min(l.random.ExpFloat64(), 5) * l.mean.Seconds()
	s := &apiv1.AppSpec{Name: "fleet", ModuleDigest: l.digest, Size: size, Args: []string{strconv.FormatFloat(lasts, 'f', 3, 64)}}
	if l.random.IntN(5) == 0 {
		s.MigrationCheckPeriod = 10
	}
	return s
}

// one submits an app.
func (l *load) one(ctx context.Context) error {
	s := l.spec()
	asked := time.Now()
	id, err := l.api.submit(ctx, s)
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.accepted = append(l.accepted, submission{id, int(s.Size), asked, time.Now()})
	return nil
}

// burst submits n apps at once.
func (l *load) burst(ctx context.Context, n int) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(clients)
	for range n {
		g.Go(func() error { return l.one(ctx) })
	}
	return g.Wait()
}

// rate submits so many apps an hour, evenly, until ctx ends; what was begun is waited for.
func (l *load) rate(ctx context.Context, hour int) error {
	g, gctx := errgroup.WithContext(context.WithoutCancel(ctx))
	g.SetLimit(clients)
	t := time.NewTicker(time.Hour / time.Duration(hour))
	defer t.Stop()
	for {
		select {
		case <-t.C:
			g.Go(func() error { return l.one(gctx) })
		case <-gctx.Done():
			return g.Wait()
		case <-ctx.Done():
			return g.Wait()
		}
	}
}

// all are the apps accepted so far.
func (l *load) all() []submission {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]submission(nil), l.accepted...)
}
