package control

import (
	"context"
	"errors"
	"fmt"
	"io"
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

// Logs implements the Control service: each rank's lines in order, from whichever host has the rank. The log of a rank
// moves with it, so its present host has all of it.
func (c *Control) Logs(ctx context.Context, req *apiv1.LogsRequest, stream apiv1connect.ControlLogsServerStream) error {
	_, app, err := c.find(ctx, req.App)
	if err != nil {
		return err
	}
	from := map[int32]uint64{}
	for _, p := range req.From {
		from[p.Rank] = p.Seq
	}
	for _, r := range req.Ranks {
		if r < 0 || r >= app.Size {
			return invalid("ranks", "no such rank", "the app's ranks are 0 to its size - 1")
		}
	}
	if err := stream.SendHeaders(); err != nil {
		return err
	}
	out := make(chan []*apiv1.LogLine)
	g, gctx := errgroup.WithContext(ctx)
	readers, rctx := errgroup.WithContext(gctx)
	for rank := range app.Size {
		if len(req.Ranks) > 0 && !slices.Contains(req.Ranks, rank) {
			continue
		}
		t := &rankTail{c: c, app: fsm.AppID(app.Id), rank: rank, next: from[rank], follow: req.Follow, out: out}
		readers.Go(func() error { return t.run(rctx) })
	}
	g.Go(func() error { defer close(out); return readers.Wait() })
	g.Go(func() error {
		for lines := range out {
			if err := stream.Send(&apiv1.LogsResponse{Lines: lines}); err != nil {
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
	follow bool
	out    chan<- []*apiv1.LogLine
}

// run sends the rank's lines until they are complete; without follow, those there are now.
func (t *rankTail) run(ctx context.Context) error {
	sub := t.c.state.Feed().Subscribe(fsm.OfApp(t.app))
	defer sub.Close()
	for failures := 0; ; {
		addr, over, ok := t.where(t.c.state.View())
		if ok {
			err := t.read(ctx, addr, t.follow && !over)
			none := errors.Is(err, errNoOutput)
			switch {
			case ctx.Err() != nil:
				return ctx.Err()
			case (err == nil || none) && (over || !t.follow):
				return nil
			case err == nil:
				failures = 0
			case none: // its start wakes us
				failures, ok = 0, false
			default:
				failures++
			}
			if failures > maxLogFailures {
				return apierr.New(connect.CodeUnavailable, apierr.ReasonNotFound, "",
					fmt.Sprintf("the host that has the output of rank %d does not answer (%v)", t.rank, err), "try again")
			}
		} else if over || !t.follow {
			return nil
		}
		pause := logRetry
		if !ok {
			pause = placeRetry
		}
		if err := await(ctx, sub.C(), pause); err != nil {
			return err
		}
	}
}

// where is the address of the host that has the rank's output, if there is one, and whether the rank has ended.
func (t *rankTail) where(v *fsm.View) (addr string, over, ok bool) {
	app, ok := v.App(t.app)
	if !ok {
		return "", true, false
	}
	over = fsm.PhaseOf(app).Terminal()
	if len(app.Placement) == 0 {
		return "", over, false
	}
	over = over || app.HasEnded(t.rank)
	host, ok := v.Host(fsm.HostID(app.Placement[t.rank]))
	if !ok || fsm.HostStateOf(host).Gone() {
		return "", over, false
	}
	return host.Addr, over, true
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
		App: string(t.app), Follow: follow, From: []*apiv1.LogPosition{{Rank: t.rank, Seq: t.next}},
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
		case len(m.Lines) == 0:
			continue
		}
		select {
		case t.out <- m.Lines:
			last := m.Lines[len(m.Lines)-1]
			t.next = last.Seq + max(1, last.Lost)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
