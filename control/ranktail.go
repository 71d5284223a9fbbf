package control

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"sync"
	"time"

	"connectrpc.com/connect/v2"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/api/v1/apiv1connect"
	"github.com/godwit-run/godwit/fsm"
	"github.com/godwit-run/godwit/internal/apierr"
	"github.com/godwit-run/godwit/internal/text"
	"github.com/godwit-run/godwit/internal/transport"
)

// appTail is what the readers of one app's output share.
type appTail struct {
	c      *Control
	app    fsm.AppID
	follow bool
	wanted map[int32]bool // ranks; none: all
	wait   time.Duration  // for a host that does not answer; with follow it is waited for until it does, or is gone
	out    chan<- *apiv1.LogsResponse

	mu   sync.Mutex      // guards told
	told map[string]bool // hosts of which it was said that they are waited for
}

// rankTail follows one rank's output from host to host.
type rankTail struct {
	*appTail
	rank     int32
	next     uint64
	last     *uint64   // of the lines that are there only so many; nil: all from next on
	since    int64     // only lines from that time on; 0: all. Once one has come no clock says any more which are wanted
	heard    time.Time // when its host was last asked, or had the turn to say more
	silent   time.Time // since when its host has not answered; zero: it has
	failures int       // in a row: what it answered is that it cannot
}

// run sends the rank's lines until they are complete; without follow, those there are now. Where a rank has run and its output cannot be had,
// it says so.
func (t *rankTail) run(ctx context.Context) error {
	sub := t.c.state.Feed().Subscribe(fsm.OfApp(t.app))
	defer sub.Close()
	for {
		at := t.where(t.c.state.View())
		pause := placeRetry
		if at.fresh && t.follow {
			if err := t.begin(ctx, t.next); err != nil { // all of its lines are yet to come
				return err
			}
		}
		switch {
		case at.addr != "":
			var done bool
			var err error
			if done, pause, err = t.readAt(ctx, at); done || err != nil {
				return err
			}
		case at.over || !t.follow:
			return t.lost(ctx, at.ran, fmt.Sprintf("host %s is gone; its output may come back with it", at.host))
		}
		if err := await(ctx, sub.C(), pause); err != nil {
			return err
		}
	}
}

// readAt reads from the rank's host once, and says whether all is read, or missing, and else how long to wait before the next time.
func (t *rankTail) readAt(ctx context.Context, at place) (done bool, pause time.Duration, err error) {
	more := t.follow && !at.over
	before := t.next
	err = t.read(ctx, at.addr, more, t.patience(more, time.Now()))
	if t.next > before {
		t.failures = 0 // a stream may break more often than that while the lines come
	}
	switch {
	case ctx.Err() != nil:
		return true, 0, ctx.Err()
	case errors.Is(err, errNoOutput) && at.over:
		return true, 0, t.lost(ctx, at.ran, fmt.Sprintf("host %s does not keep it any more (--keep-logs of godwit worker, or its disk was full)", at.host))
	case err == nil || errors.Is(err, errNoOutput):
		t.failures, t.silent, pause = 0, time.Time{}, logRetry
		if err != nil {
			pause = placeRetry // its start wakes us
		}
		return at.over || !t.follow, pause, nil
	case errors.Is(err, errSilent) || connect.CodeOf(err) == connect.CodeUnavailable || apierr.Info(err).GetReason() == apierr.ReasonOverloaded:
		// it may be busy, and has had its time; or it may come back
	default:
		t.failures++
	}
	if t.silent.IsZero() {
		t.silent = t.heard
		if more { // it had nothing to say until now
			t.silent = time.Now()
		}
	}
	lasted := time.Since(t.silent)
	why := ""
	if !errors.Is(err, errSilent) {
		why = text.Line(fmt.Sprintf("does not give it (%v)", err), maxReasonBytes-len(at.host))
	}
	if lasted >= min(logSilence, t.wait) {
		if err := t.sayAwaited(ctx, at.host, why); err != nil {
			return true, 0, err
		}
	}
	cannot := t.failures > maxLogFailures && (at.over || !t.follow)
	if cannot || !t.follow && lasted >= t.wait {
		return true, 0, t.lost(ctx, at.ran || cannot, fmt.Sprintf("host %s %s; godwit logs, when it does, has it", at.host, cmp.Or(why, "does not answer")))
	}
	return false, logRetry, nil
}

// patience is how long the host may take for a message now; 0: for ever, since the rank may have nothing to say. That it is over
// decides nothing but what the caller is told, and when it has waited for long enough.
func (t *rankTail) patience(more bool, now time.Time) time.Duration {
	switch {
	case more:
		return 0
	case t.follow && t.silent.IsZero():
		return logSilence
	case t.follow:
		return logWait
	case t.silent.IsZero():
		return min(logSilence, t.wait)
	}
	return max(t.wait-now.Sub(t.silent), logRetry)
}

// sayAwaited tells, of each host once, that the output of the ranks there is waited for.
func (t *rankTail) sayAwaited(ctx context.Context, host, why string) error {
	t.mu.Lock()
	said := t.told[host]
	t.told[host] = true
	t.mu.Unlock()
	app, ok := t.c.state.View().App(t.app)
	if said || !ok {
		return nil
	}
	m := &apiv1.AwaitedOutput{Host: host, Reason: why}
	for r, at := range app.Placement {
		if rank := int32(r); at == host && (len(t.wanted) == 0 || t.wanted[rank]) {
			m.Ranks = append(m.Ranks, rank)
		}
	}
	return t.send(ctx, &apiv1.LogsResponse{Awaited: []*apiv1.AwaitedOutput{m}})
}

// begin tells where the rank's lines begin, if that was to be found out: what is asked from now on begins there.
func (t *rankTail) begin(ctx context.Context, seq uint64) error {
	if t.last == nil {
		return nil
	}
	t.next, t.last = seq, nil
	return t.send(ctx, &apiv1.LogsResponse{Begin: []*apiv1.LogPosition{{Rank: t.rank, Seq: seq}}})
}

func (t *rankTail) send(ctx context.Context, m *apiv1.LogsResponse) error {
	select {
	case t.out <- m:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// lost tells that the output of a rank that has run is nowhere.
func (t *rankTail) lost(ctx context.Context, ran bool, reason string) error {
	if !ran {
		return nil
	}
	return t.send(ctx, &apiv1.LogsResponse{Missing: []*apiv1.MissingOutput{{Rank: t.rank, Reason: reason}}})
}

// place is where a rank's output is.
type place struct {
	host, addr string // addr is empty if the host is gone, or there is none yet
	over       bool   // the rank has ended
	ran        bool   // it has run on that host
	fresh      bool   // the app has not begun
}

func (t *rankTail) where(v *fsm.View) place {
	app, ok := v.App(t.app)
	if !ok {
		return place{over: true}
	}
	phase := fsm.PhaseOf(app)
	at := place{over: phase.Terminal(), fresh: phase == fsm.Queued || phase == fsm.Starting}
	if len(app.Placement) == 0 {
		return at
	}
	at.host = app.Placement[t.rank]
	at.over = at.over || app.HasEnded(t.rank)
	at.ran = slices.Contains(app.StartedHosts, at.host)
	if host, ok := v.Host(fsm.HostID(at.host)); ok && !fsm.HostStateOf(host).Gone() {
		at.addr = host.Addr
	}
	return at
}

// await returns when ch is closed or gives a value, or after d at the most.
func await(ctx context.Context, ch <-chan struct{}, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ch:
	case <-t.C:
	case <-ctx.Done():
		return ctx.Err()
	}
	return nil
}

// errNoOutput is returned when a host has nothing of a rank: it has not started there yet.
var errNoOutput = errors.New("the host has no output of this rank")

// errSilent is returned when a host has taken too long for a message.
var errSilent = errors.New("the host does not answer")

// read sends what one host has of the rank; with follow, until it has all it will have. It may take so long for each message; 0: for ever.
func (t *rankTail) read(ctx context.Context, addr string, follow bool, patience time.Duration) (err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	patience = cmp.Or(patience, math.MaxInt64)
	silent := time.AfterFunc(patience, func() { cancel(errSilent) })
	defer silent.Stop()
	defer func() {
		if err != nil && errors.Is(context.Cause(ctx), errSilent) {
			err = errSilent
		}
	}()
	t.heard = time.Now()
	client := apiv1connect.NewDataClient(transport.NewClient(t.c.http, addr))
	stream, err := client.ReadLogs(ctx, &apiv1.ReadLogsRequest{
		App: string(t.app), Follow: follow, From: []*apiv1.LogPosition{{Rank: t.rank, Seq: t.next}}, Tail: t.last, SinceMs: t.since,
	})
	if err != nil {
		return err
	}
	for {
		silent.Reset(patience)
		t.heard = time.Now()
		m, err := stream.Receive()
		silent.Stop() // the caller may take its time
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case connect.CodeOf(err) == connect.CodeNotFound:
			return errNoOutput
		case err != nil:
			return err
		}
		t.silent = time.Time{} // also without lines: their turn to be read is yet to come
		for _, p := range m.Begin {
			if err := t.begin(ctx, p.Seq); err != nil {
				return err
			}
		}
		if len(m.Lines) == 0 {
			continue
		}
		if err := t.send(ctx, &apiv1.LogsResponse{Lines: m.Lines}); err != nil {
			return err
		}
		last := m.Lines[len(m.Lines)-1]
		t.next, t.last, t.since = last.Seq+max(1, last.Lost), nil, 0
	}
}
