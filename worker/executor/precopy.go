package executor

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/protobuf/proto"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/internal/pages"
	"github.com/godwit-run/godwit/mpi"
	"github.com/godwit-run/godwit/worker/stand"
)

// The memory of a rank that is about to move goes ahead while the rank runs (pre-copy): rounds of what was written since the last, until little is left or it becomes no
// less. The rest goes when the rank stands still.
const (
	// precopyWord marks a connection for it.
	precopyWord = "precopy"
	// A memory has one stream for so many bytes, up to stand.MostStreams: one alone does not fill a long line.
	streamBytes = 256 << 20
	// answerWait is how long the target may take for its answer, however slow the line: then the connection has failed.
	answerWait = time.Minute
	// helloWait is the same for the first words, of either side.
	helloWait = 5 * time.Second
	// lineTimeout is how long a connection lasts on which nothing moves that is to be sent.
	lineTimeout = 10 * time.Second
	// stillTries is how often it is tried to send a rank that stands still before it had better go on where it is. A try that has a connection is two: a target that only has to make another guest
	// refuses the next for as long as that takes.
	stillTries = 6

	maxHello = 4 << 10
)

// errRefused is of a target that will not take the rank however often it is tried.
var errRefused = errors.New("refused")

// way is where a rank's memory goes: to another host, or to files.
type way interface {
	// name is the migration's id, or the checkpoint's.
	name() string
	// absent tells that the rank does not run here.
	absent(why error)
	// failed tells why the rank cannot go this way; since is when it stopped, if it has.
	failed(since time.Time, err error)
	// watch has the memory watched, and says who sends it. over is called when nobody sends any more.
	watch(p *precopy) (sender *pages.Sender, over func())
	// begin begins to send everything; nil: all of it is there already.
	begin(p *precopy) (attempt, error)
	// arrived tells that all of the rank, which stands still since then, is there.
	arrived(since time.Time)
}

// attempt is one try at a way.
type attempt interface {
	// round sends a round. The last is the one of a rank that stands still.
	round(last bool) (pages.Stats, error)
	// finish sends the rest of a rank that stands still.
	finish() error
	close()
}

// precopy sends one rank on its way. It belongs to its goroutine, but for what has a comment.
type precopy struct {
	e    *Executor
	rank *rank
	way  way

	ctx     context.Context //nolint:containedctx // of the sending: over with it
	cancel  context.CancelFunc
	done    chan struct{}    // closed when nothing uses the guest any more
	hurry   chan struct{}    // capacity 1: the rank was asked to stop
	still   chan *stillImage // the rank stands still: the rest is to go
	outcome chan error       // capacity 1: of that

	sender atomic.Pointer[pages.Sender] // asked how much was sent by others, too; nil: nothing was
	rest   *stillImage                  // of the rank that stands still; nil: it runs
	stops  bool                         // it was asked to
	rounds stand.Rounds                 // of this attempt

	mu       sync.Mutex // guards the fields below
	ahead    *apiv1.ExecAhead
	attempts stand.Attempts
}

// stillImage is what goes last.
type stillImage struct {
	header *apiv1.ImageHeader
	since  time.Time
	sent   int64 // bytes of memory that had been sent then
}

// precopyRanks begins to send ranks.
func (e *Executor) precopyRanks(ctx context.Context, c *apiv1.ExecPrecopy) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, to := range c.Ranks {
		e.goAhead(ctx, mpi.Rank(to.Rank), &toHost{e, c.Migration, to})
	}
}

// errEnded is of a rank whose program has ended.
var errEnded = errors.New("has ended")

func hasEnded(id mpi.Rank) error { return fmt.Errorf("rank %d %w", id, errEnded) }

// goAhead has a rank's memory go a way. Holds mu.
func (e *Executor) goAhead(ctx context.Context, id mpi.Rank, w way) {
	r := e.ranks[id]
	switch r.stands().Depart(w.name()) {
	case stand.DepartLater:
		r.next = w
	case stand.DepartEnded:
		w.absent(hasEnded(id))
	case stand.DepartStill:
		w.absent(fmt.Errorf("rank %d does not run", id))
	case stand.DepartUnder:
	case stand.DepartNow:
		if err := e.world.Tied(r.id); err != nil {
			w.failed(time.Now(), fmt.Errorf("executor: %w", err))
			return
		}
		if r.Begin(w.name()) {
			r.withdraw()
		}
		e.sendAhead(ctx, r, w)
	}
}

// sendAhead sends a rank that runs, and no more to where it went before. Holds mu.
func (e *Executor) sendAhead(ctx context.Context, r *rank, w way) {
	old := r.precopy
	p := &precopy{
		e: e, rank: r, way: w,
		done: make(chan struct{}), hurry: make(chan struct{}, 1), still: make(chan *stillImage, 1), outcome: make(chan error, 1),
		ahead: &apiv1.ExecAhead{Migration: w.name(), Rank: int32(r.id)}, attempts: stand.NewAttempts(e.tries),
	}
	p.ctx, p.cancel = context.WithCancel(ctx)
	r.precopy = p
	e.runGroup.Go(func() error {
		defer close(p.done)
		defer p.cancel()
		if old != nil {
			old.end()
		}
		p.run()
		return nil
	})
}

func (e *Executor) ahead(a *apiv1.ExecAhead) {
	e.emit(&apiv1.ExecEvent{Msg: &apiv1.ExecEvent_Ahead{Ahead: proto.CloneOf(a)}})
}

// end ends it, and returns when nothing uses the guest any more. Another goroutine may call it, and more than once.
func (p *precopy) end() {
	p.cancel()
	<-p.done
}

// finish sends the rest of a rank that stands still, and blocks until its target has it whole, or it is given up. It is for the rank's goroutine.
func (p *precopy) finish(rest *stillImage) error {
	rest.sent = p.sent()
	p.still <- rest
	select {
	case err := <-p.outcome:
		return err
	case <-p.done:
		select {
		case err := <-p.outcome:
			return err
		default:
			return context.Canceled
		}
	}
}

// gone is how many bytes of memory have gone, in all attempts but for those after the first few. Holds mu.
func (p *precopy) gone() int64 { return p.attempts.Gone(p.sent()) }

// sent is how many bytes of memory have gone, in this attempt.
func (p *precopy) sent() int64 {
	if s := p.sender.Load(); s != nil {
		return s.Sent()
	}
	return 0
}

// run sends until the rank is at its target or nobody wants that any more. What breaks is tried again: who has begun the migration decides for how long.
func (p *precopy) run() {
	sender, over := p.way.watch(p)
	defer over()
	p.sender.Store(sender)
	var telling sync.WaitGroup
	telling.Go(p.tell)
	defer telling.Wait()
	defer p.cancel()
	again := redial{first: redialMin}
	for {
		begin := time.Now()
		begun, err := p.attempt()
		p.look() // it may not have come so far as to
		p.mu.Lock()
		does := p.attempts.Ended(p.endOf(err), begun, p.rest != nil)
		p.mu.Unlock()
		switch does {
		case stand.FollowNothing:
			return
		case stand.FollowFail: // the rank need not be stopped for it
			p.way.failed(time.Now(), err)
			p.await()
			p.outcome <- err
			return
		case stand.FollowTell:
			p.outcome <- err
			return
		case stand.FollowAnew:
		}
		p.trouble(err)
		p.startAgain()
		t := time.NewTimer(min(again.next(time.Since(begin) > steadyAfter), time.Second))
		select {
		case <-t.C:
		case <-p.ctx.Done():
		}
		t.Stop()
	}
}

// endOf is how an attempt has ended.
func (p *precopy) endOf(err error) stand.End {
	var own *ownFault
	switch {
	case p.ctx.Err() != nil:
		return stand.EndUnwanted
	case err == nil:
		return stand.EndWhole
	case errors.Is(err, errRefused), errors.As(err, &own):
		return stand.EndVain
	}
	return stand.EndBroken
}

// startAgain has all of the rank sent again: little may have been left, and everything is.
func (p *precopy) startAgain() {
	p.mu.Lock()
	p.attempts.Broke(p.sent())
	p.sender.Load().Reset()
	p.mu.Unlock()
	p.rounds = stand.Rounds{}
	if p.rest != nil {
		p.rest.sent = 0
	}
	p.say(func(a *apiv1.ExecAhead) bool {
		news := a.Ready
		a.Ready = false
		return news
	})
}

// await waits until the rank stands still, or nobody wants that.
func (p *precopy) await() {
	select {
	case p.rest = <-p.still:
	case <-p.ctx.Done():
	}
}

// look finds out whether the rank stands still.
func (p *precopy) look() {
	select {
	case p.rest = <-p.still:
	default:
	}
}

// tellEvery is how often the worker hears how much is ahead, while that becomes more.
const tellEvery = time.Second

// tell tells the worker how much is ahead.
func (p *precopy) tell() {
	t := time.NewTicker(tellEvery)
	defer t.Stop()
	for {
		select {
		case <-t.C:
		case <-p.ctx.Done():
			return
		}
		p.say(func(a *apiv1.ExecAhead) bool {
			now := p.gone()
			more := now > a.Bytes
			a.Bytes = max(a.Bytes, now)
			return more
		})
	}
}

// say changes what is said of the rank's way, and says it if change wants that.
func (p *precopy) say(change func(a *apiv1.ExecAhead) bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if change(p.ahead) {
		p.e.ahead(p.ahead)
	}
}

func (p *precopy) trouble(err error) {
	text := ""
	if err != nil {
		text = err.Error()
	}
	p.say(func(a *apiv1.ExecAhead) bool {
		news := a.Trouble != text
		a.Trouble = text
		return news
	})
}

// ownFault is of what goes wrong at this end: no other connection would do better.
type ownFault struct{ err error }

func (f *ownFault) Error() string { return f.err.Error() }
func (f *ownFault) Unwrap() error { return f.err }

// attempt sends all of the rank. begun says whether it could begin to.
func (p *precopy) attempt() (begun bool, _ error) {
	s, err := p.way.begin(p)
	if err != nil || s == nil {
		return false, err
	}
	defer s.close()
	return true, p.sendAll(s)
}

// sendAll sends all of the rank in an attempt.
func (p *precopy) sendAll(s attempt) error {
	first := time.Time{} // when the first round had ended
	for {
		if p.look(); p.rest != nil {
			return s.finish()
		}
		start := time.Now()
		stats, err := s.round(false)
		if err != nil {
			return err
		}
		p.trouble(nil)
		if first.IsZero() {
			first = time.Now()
		}
		news := p.rounds.Went(stats.Memory, time.Since(first))
		p.say(func(a *apiv1.ExecAhead) bool {
			a.Bytes, a.Rounds, a.Ready = max(a.Bytes, p.gone()), p.rounds.Gone, p.rounds.Ready
			return news
		})
		if !p.rounds.Ready {
			continue
		}
		if err := p.pause(time.Since(start)); err != nil {
			return err
		}
	}
}

// pause waits before the next round, unless the rank stands still meanwhile.
func (p *precopy) pause(last time.Duration) error {
	t := time.NewTimer(p.rounds.Pause(last, p.stops))
	defer t.Stop()
	select {
	case <-t.C:
	case <-p.hurry:
		p.stops = true
	case p.rest = <-p.still:
	case <-p.ctx.Done():
		return p.ctx.Err()
	}
	return nil
}
