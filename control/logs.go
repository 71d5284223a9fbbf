package control

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"slices"
	"time"

	"connectrpc.com/connect/v2"
	"golang.org/x/sync/errgroup"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/api/v1/apiv1connect"
	"github.com/godwit-run/godwit/fsm"
	"github.com/godwit-run/godwit/internal/apierr"
	"github.com/godwit-run/godwit/internal/transport"
)

const (
	// logRetry is how long to wait before a host is asked for output again.
	logRetry = 50 * time.Millisecond
	// placeRetry is how long at the most to wait for an app to have hosts: its placement wakes who waits for it.
	placeRetry = time.Second
	// maxLogFailures is how many times in a row a host may fail to answer: 10 s, when it refuses at once.
	maxLogFailures = 200
)

// namedRanks are the places from which ranks are read, where the request names some, and the ranks that it wants; none: all.
func namedRanks(app *apiv1.App, req *apiv1.LogsRequest) (from map[int32]uint64, wanted map[int32]bool, err error) {
	for _, named := range []struct {
		field string
		n     int
	}{{"ranks", len(req.Ranks)}, {"from", len(req.From)}} {
		if named.n > int(app.Size) {
			return nil, nil, invalid(named.field, fmt.Sprintf("%d are named, and app %s has %d ranks", named.n, app.Id, app.Size), "name each rank once")
		}
	}
	from, wanted = map[int32]uint64{}, map[int32]bool{}
	for _, p := range req.From {
		from[p.Rank] = p.Seq
	}
	for _, r := range req.Ranks {
		wanted[r] = true
	}
	for _, named := range []iter.Seq[int32]{maps.Keys(from), maps.Keys(wanted)} {
		for r := range named {
			if r < 0 || r >= app.Size {
				return nil, nil, invalid("ranks", fmt.Sprintf("app %s has ranks 0 to %d, not %d", app.Id, app.Size-1, r), "name ranks that it has")
			}
		}
	}
	return from, wanted, nil
}

// Logs implements the Control service: each rank's lines in order, from whichever host has the rank. The log of a rank
// moves with it, so its present host has all of it.
func (c *Control) Logs(ctx context.Context, req *apiv1.LogsRequest, stream apiv1connect.ControlLogsServerStream) error {
	_, app, err := c.find(ctx, req.App)
	if err != nil {
		return err
	}
	from, wanted, err := namedRanks(app, req)
	if err != nil {
		return err
	}
	if err := stream.SendHeaders(); err != nil {
		return err
	}
	out := make(chan *apiv1.LogsResponse)
	g, gctx := errgroup.WithContext(ctx)
	readers, rctx := errgroup.WithContext(gctx)
	for rank := range app.Size {
		if len(wanted) > 0 && !wanted[rank] {
			continue
		}
		t := &rankTail{c: c, app: fsm.AppID(app.Id), rank: rank, next: from[rank], last: req.Tail, since: req.SinceMs, follow: req.Follow, out: out}
		if _, known := from[rank]; known {
			t.last = nil
		}
		readers.Go(func() error { return t.run(rctx) })
	}
	g.Go(func() error { defer close(out); return readers.Wait() })
	g.Go(func() error {
		for part := range out {
			if err := stream.Send(part); err != nil {
				return err
			}
		}
		return nil
	})
	return g.Wait()
}

// rankTail follows one rank's output from host to host.
type rankTail struct {
	c      *Control
	app    fsm.AppID
	rank   int32
	next   uint64
	last   *uint64 // of the lines that are there only so many; nil: all from next on
	since  int64
	follow bool
	out    chan<- *apiv1.LogsResponse
}

// run sends the rank's lines until they are complete; without follow, those there are now. Where a rank has run and its output is
// nowhere, it says so.
func (t *rankTail) run(ctx context.Context) error {
	sub := t.c.state.Feed().Subscribe(fsm.OfApp(t.app))
	defer sub.Close()
	for failures := 0; ; {
		at := t.where(t.c.state.View())
		pause := placeRetry
		if at.fresh && t.follow {
			if err := t.begin(ctx, t.next); err != nil { // all of its lines are yet to come
				return err
			}
		}
		switch {
		case at.addr != "":
			before := t.next
			err := t.read(ctx, at.addr, t.follow && !at.over)
			if t.next > before {
				failures = 0 // a stream may break more often than that while the lines come
			}
			switch {
			case ctx.Err() != nil:
				return ctx.Err()
			case errors.Is(err, errNoOutput) && at.over:
				return t.lost(ctx, at.ran, fmt.Sprintf("host %s does not keep it any more (--keep-logs of godwit worker)", at.host))
			case (err == nil || errors.Is(err, errNoOutput)) && (at.over || !t.follow):
				return nil
			case errors.Is(err, errNoOutput): // its start wakes us
				failures = 0
			case err == nil:
				failures, pause = 0, logRetry
			default:
				failures++
				pause = logRetry
			}
			if failures > maxLogFailures {
				return apierr.New(connect.CodeUnavailable, apierr.ReasonNotFound, "",
					fmt.Sprintf("the host that has the output of rank %d does not answer (%v)", t.rank, err), "try again")
			}
		case at.over || !t.follow:
			return t.lost(ctx, at.ran, fmt.Sprintf("host %s is gone, and what it had", at.host))
		}
		if err := await(ctx, sub.C(), pause); err != nil {
			return err
		}
	}
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

// read sends what one host has of the rank; with follow, until it has all it will have.
func (t *rankTail) read(ctx context.Context, addr string, follow bool) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	client := apiv1connect.NewDataClient(transport.NewClient(t.c.http, addr))
	stream, err := client.ReadLogs(ctx, &apiv1.ReadLogsRequest{
		App: string(t.app), Follow: follow, From: []*apiv1.LogPosition{{Rank: t.rank, Seq: t.next}}, Tail: t.last, SinceMs: t.since,
	})
	if err != nil {
		return err
	}
	for {
		m, err := stream.Receive()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case connect.CodeOf(err) == connect.CodeNotFound:
			return errNoOutput
		case err != nil:
			return err
		}
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
		t.next, t.last = last.Seq+max(1, last.Lost), nil
	}
}
