package control

import (
	"context"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/godwit-run/godwit/fsm"
)

const (
	// holdingTick is how often a server looks for modules at the most: when some have come or gone, and while it lacks some.
	holdingTick = time.Second
	// illPause is the longest pause instead, which grows from holdingTick, while this server's disk refuses what it lacks.
	illPause = 32 * time.Second
	// comingWait is how long a module is left to who brings it already: that may be a stranger who takes his time.
	comingWait = streamPatience
	// pullsAtOnce bounds how many modules come at a time: one server that hangs costs the others little.
	pullsAtOnce = 4
)

// KeepModules brings the modules that the state names, and this server lacks, from the other servers, until ctx is over. It returns
// when no module is on its way between this server and others any more, for whomever.
func (c *Control) KeepModules(ctx context.Context) error {
	defer c.errands.end()
	sub := c.state.Feed().Subscribe(fsm.AnyModule)
	defer sub.Close()
	k := keeper{c: c, pause: holdingTick}
	t := time.NewTimer(k.pause)
	defer t.Stop()
	for due := true; ; {
		select {
		case <-sub.C():
			due = true
		case <-c.holding.forgot:
			due = true
		case <-t.C:
			if due {
				due = k.bring(ctx) > 0
			}
			t.Reset(k.pause)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// keeper brings the modules that a server lacks. It is KeepModules' alone.
type keeper struct {
	c     *Control
	pause time.Duration        // until it looks again
	left  map[string]time.Time // lacking, and left to who brings them: since when
}

// bring brings the modules that this server lacks, as far as they can be had, and says how many it lacks then.
func (k *keeper) bring(ctx context.Context) int {
	v := k.c.state.View()
	lacks := k.c.holding.lacks(v)
	if len(lacks) == 0 {
		k.left, k.pause = nil, holdingTick
		return 0
	}
	some, err := k.pull(ctx, k.due(lacks, time.Now()))
	switch {
	case ctx.Err() != nil:
	case err != nil:
		k.ill(err)
	case some:
		k.well()
	}
	return len(k.c.holding.lacks(v))
}

// due are those that nobody brings already, or has for long.
func (k *keeper) due(lacks []string, now time.Time) (due []string) {
	left := map[string]time.Time{}
	for _, digest := range lacks {
		if k.c.modules.comes(digest) {
			since, ok := k.left[digest]
			if !ok {
				since = now
			}
			left[digest] = since
			if now.Sub(since) < comingWait {
				continue
			}
		}
		due = append(due, digest)
	}
	k.left = left
	return due
}

// pull gets modules, in any order: one for which there is no room must not keep smaller ones out each time. It says whether some have come,
// and begins no other once this server's disk has refused one, with that error.
func (k *keeper) pull(ctx context.Context, digests []string) (some bool, err error) {
	rand.Shuffle(len(digests), func(i, j int) { digests[i], digests[j] = digests[j], digests[i] })
	var came atomic.Bool
	g, well := errgroup.WithContext(ctx)
	g.SetLimit(pullsAtOnce)
	for _, digest := range digests {
		g.Go(func() error {
			if well.Err() != nil {
				return nil
			}
			err := k.c.fetched(ctx, digest)
			switch {
			case err == nil:
				came.Store(true)
			case ownDisk(err):
				return err
			case ctx.Err() == nil:
				k.c.slog.Debug("module not found yet", "digest", digest, "err", err)
			}
			return nil
		})
	}
	err = g.Wait()
	return came.Load(), err
}

// ill notes that this server's disk refuses what it lacks, and says so the first time.
func (k *keeper) ill(err error) {
	if k.pause == holdingTick {
		k.c.slog.Warn("this server's disk refuses a module that it lacks: it tries again, less and less often", "err", err)
	}
	k.pause = min(2*k.pause, illPause)
}

// well notes that the disk has taken something.
func (k *keeper) well() {
	if k.pause > holdingTick {
		k.c.slog.Info("this server's disk takes modules again")
	}
	k.pause = holdingTick
}
