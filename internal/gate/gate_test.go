package gate

import (
	"context"
	"errors"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// in takes a place that must be free.
func in(t *testing.T, g *Gate) (context.Context, *Place) {
	t.Helper()
	ctx, p, err := g.Enter(t.Context())
	require.NoError(t, err)
	return ctx, p
}

// until leaves once the place is lost, as a stream does, and says why on the channel.
func until(ctx context.Context, p *Place) <-chan error {
	why := make(chan error, 1)
	go func() {
		<-ctx.Done()
		why <- context.Cause(ctx)
		p.Leave()
	}()
	return why
}

var cfg = Config{Places: 2, Waiting: 2, Floor: 100, Window: 10 * time.Second, Patience: time.Minute}

// TestSlowAloneStays: a stream that drips keeps its place as long as nobody else wants it.
func TestSlowAloneStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := New(cfg)
		ctx, p := in(t, g)
		defer p.Leave()
		for range 100 {
			time.Sleep(59 * time.Second)
			p.Moved(1)
		}
		require.NoError(t, ctx.Err())
		time.Sleep(cfg.Patience)
		synctest.Wait()
		require.ErrorIs(t, context.Cause(ctx), ErrStalled, "but one that stands still does not")
	})
}

// TestSlowestGoes: who waits gets the place of the slowest, not before that has been slow for a window; one at the floor stays.
func TestSlowestGoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := New(cfg)
		quick, p := in(t, g)
		defer p.Leave()
		drips, d := in(t, g)
		lost := until(drips, d)
		go func() {
			for quick.Err() == nil {
				p.Moved(10)
				time.Sleep(time.Second)
			}
		}()
		go func() {
			for drips.Err() == nil {
				d.Moved(1)
				time.Sleep(time.Second)
			}
		}()
		start := time.Now()
		ctx, third := in(t, g)
		require.ErrorIs(t, <-lost, ErrSlow)
		require.GreaterOrEqual(t, time.Since(start), cfg.Window)
		require.Less(t, time.Since(start), cfg.Window+2*time.Second)
		require.NoError(t, ctx.Err())
		require.NoError(t, quick.Err())
		third.Leave()
		time.Sleep(10 * cfg.Window)
		require.NoError(t, quick.Err())
		p.Leave()
		time.Sleep(time.Second) // both streams have seen their end
	})
}

// TestFull: nobody is turned away while somebody who is slow can go instead, and no more go than are waited for.
func TestFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := cfg
		c.Waiting = 0
		g := New(c)
		one, p1 := in(t, g)
		two, p2 := in(t, g)
		_, _, err := g.Enter(t.Context())
		require.ErrorIs(t, err, ErrFull)
		time.Sleep(c.Window)
		lost1, lost2 := until(one, p1), until(two, p2)
		_, p3 := in(t, g)
		synctest.Wait()
		require.Equal(t, 1, len(lost1)+len(lost2))
		require.Equal(t, 2, g.Inside())
		p3.Leave()
		p1.Leave()
		p2.Leave()
		synctest.Wait()
		require.Zero(t, g.Inside())
	})
}

// TestWaiting: those who wait are bounded, come in order, and cost nothing when they give up.
func TestWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := New(cfg)
		_, p1 := in(t, g)
		_, p2 := in(t, g)
		var order []int
		enter := func(ctx context.Context, i int) <-chan error {
			done := make(chan error, 1)
			go func() {
				_, p, err := g.Enter(ctx)
				if err == nil {
					order = append(order, i)
					p.Leave()
				}
				done <- err
			}()
			synctest.Wait()
			return done
		}
		gone, cancel := context.WithCancel(t.Context())
		a := enter(gone, 1)
		b := enter(t.Context(), 2)
		require.ErrorIs(t, <-enter(t.Context(), 3), ErrFull)
		cancel()
		require.ErrorIs(t, <-a, context.Canceled)
		c := enter(t.Context(), 4)
		p1.Leave()
		require.NoError(t, errors.Join(<-b, <-c))
		require.Equal(t, []int{2, 4}, order)
		p2.Leave()
		require.Zero(t, g.Inside())
	})
}

// TestWorkCounts for nobody: a stream that waits for this process is neither slow nor stalled, and has all of its window afterwards
// that it had before.
func TestWorkCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := cfg
		c.Places = 1
		g := New(c)
		ctx, p := in(t, g)
		lost := until(ctx, p)
		time.Sleep(4 * time.Second)
		entered := make(chan struct{})
		go func() {
			_, q, err := g.Enter(t.Context())
			if err == nil {
				close(entered)
				q.Leave()
			}
		}()
		_ = p.Work(func() error { time.Sleep(time.Hour); return nil })
		require.NoError(t, ctx.Err())
		start := time.Now()
		require.ErrorIs(t, <-lost, ErrSlow)
		require.Equal(t, 6*time.Second, time.Since(start))
		<-entered
	})
}

// TestShareOfAnAddress: one address has its share and no more, whose slow streams make room for others of it; what has left counts no more.
func TestShareOfAnAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := New(Config{Places: 4, Share: 2, Floor: 100, Window: 10 * time.Second, Patience: time.Minute})
		a, b := netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.2")
		enter := func(from netip.Addr) (context.Context, *Place) {
			ctx, p, err := g.EnterFrom(t.Context(), from)
			require.NoError(t, err)
			return ctx, p
		}
		refused := func(from netip.Addr) {
			_, _, err := g.EnterFrom(t.Context(), from)
			require.ErrorIs(t, err, ErrFull)
		}
		slow, p1 := enter(a)
		_, p2 := enter(a)
		refused(a)
		_, p3 := enter(b)
		time.Sleep(10 * time.Second)
		for _, p := range []*Place{p2, p3} {
			p.Moved(100)
		}
		why := until(slow, p1)
		_, p4 := enter(a)
		require.ErrorIs(t, <-why, ErrSlow)
		refused(a)
		_, p5 := enter(b)
		refused(b)
		for _, p := range []*Place{p2, p3, p4, p5} {
			p.Leave()
			p.Leave()
		}
		require.Empty(t, g.of)
		require.Zero(t, g.Inside())
	})
}

// TestWhoIsTurnedAwayHasNoShare: a caller for whom there was no room in the queue counts no more among those of its address.
func TestWhoIsTurnedAwayHasNoShare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := New(Config{Places: 1, Share: 1, Floor: 100, Window: 10 * time.Second, Patience: time.Minute})
		a, b := netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.2")
		_, p, err := g.EnterFrom(t.Context(), b)
		require.NoError(t, err)
		_, _, err = g.EnterFrom(t.Context(), a)
		require.ErrorIs(t, err, ErrFull)
		p.Leave()
		require.Empty(t, g.of)
		_, p, err = g.EnterFrom(t.Context(), a)
		require.NoError(t, err)
		p.Leave()
	})
}

// TestWhoGivesUpHasNoShare: whoever waited in vain counts no more among those of its address, nor does a place from the moment that it is lost.
func TestWhoGivesUpHasNoShare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := New(Config{Places: 2, Waiting: 4, Share: 2, Floor: 100, Window: 10 * time.Second, Patience: time.Minute})
		a, b, c := netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.2"), netip.MustParseAddr("10.0.0.3")
		slow, p1, err := g.EnterFrom(t.Context(), a)
		require.NoError(t, err)
		_, p2, err := g.EnterFrom(t.Context(), b)
		require.NoError(t, err)
		ctx, giveUp := context.WithCancel(t.Context())
		waits := func(from netip.Addr) <-chan error {
			done := make(chan error, 1)
			go func() {
				_, p, err := g.EnterFrom(ctx, from)
				if err == nil {
					p.Leave()
				}
				done <- err
			}()
			synctest.Wait()
			return done
		}
		second := waits(a)
		require.ErrorIs(t, <-waits(a), ErrFull, "it has one place, and waits for one")
		time.Sleep(9 * time.Second)
		p2.Moved(100)
		third := waits(c)
		time.Sleep(2 * time.Second)
		require.ErrorIs(t, context.Cause(slow), ErrSlow)
		fourth := waits(a) // its first place is lost, though the stream has not gone
		giveUp()
		for _, done := range []<-chan error{second, third, fourth} {
			require.ErrorIs(t, <-done, context.Canceled)
		}
		require.Equal(t, map[netip.Addr]int{b: 1}, g.of)
		p1.Leave()
		p2.Leave()
		require.Empty(t, g.of)
		require.Zero(t, g.Inside())
	})
}

// TestHasteBuysOneWindow: however much a stream has moved, once it is slow it has no more than one window before it.
func TestHasteBuysOneWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := cfg
		c.Places = 1
		g := New(c)
		ctx, p := in(t, g)
		for range 100 {
			p.Moved(c.Floor)
		}
		lost := until(ctx, p)
		start := time.Now()
		_, q := in(t, g)
		require.ErrorIs(t, <-lost, ErrSlow)
		require.Equal(t, c.Window, time.Since(start))
		q.Leave()

		ctx, p = in(t, g)
		_ = p.Work(func() error { // what moves meanwhile counts, and buys no more than that either
			time.Sleep(time.Minute)
			p.Moved(c.Floor)
			return nil
		})
		lost = until(ctx, p)
		start = time.Now()
		_, q = in(t, g)
		require.ErrorIs(t, <-lost, ErrSlow)
		require.Equal(t, c.Window, time.Since(start))
		q.Leave()
	})
}

// TestWhoWaitsIsTold: who waits hears so each time, until it has its place; its own error ends the wait, and leaves nothing behind.
func TestWhoWaitsIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := New(Config{Places: 1, Waiting: 2, Floor: 1, Window: time.Hour, Patience: 2 * time.Hour})
		_, first, err := g.EnterTold(t.Context(), time.Second, nil)
		require.NoError(t, err, "nobody is told who need not wait")
		told := 0
		began := time.Now()
		_, second, err := g.EnterTold(t.Context(), time.Second, func(ctx context.Context) error {
			require.NoError(t, ctx.Err())
			if told++; told == 3 {
				first.Leave()
			}
			return nil
		})
		require.NoError(t, err)
		require.Equal(t, 3, told)
		require.Equal(t, 3*time.Second, time.Since(began))
		mine := errors.New("it has gone")
		_, _, err = g.EnterTold(t.Context(), time.Second, func(context.Context) error { return mine })
		require.ErrorIs(t, err, mine)
		require.Zero(t, g.Waiting())
		second.Leave()
		require.Zero(t, g.Inside())
	})
}
