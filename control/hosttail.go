package control

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"time"

	"connectrpc.com/connect/v2"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/api/v1/apiv1connect"
	"github.com/godwit-run/godwit/internal/transport"
)

// question is what a host is asked about all ranks of a stream.
type question struct {
	host, addr string
	more       bool    // the ranks may have more to say: until all of it is there
	last       *uint64 // of the lines that are there only so many; nil: all from the next on
	since      int64   // only lines from that time on; 0: all
}

// hostTail reads the output of ranks from their host, in one stream.
type hostTail struct {
	*appTail
	question

	ranks map[int32]*rankTail // of which more may come in the stream
	heard time.Time           // when the host was asked, or had the turn to say more
	signs time.Time           // since when it has said nothing but that it is at work; zero: it has said more
}

var (
	// errNoOutput is returned when a host has nothing of a rank: it has not started there yet.
	errNoOutput = errors.New("the host has no output of this rank")
	// errSilent is returned when a host has taken too long for a message.
	errSilent = errors.New("the host does not answer")
	// errUnsaid is returned when a host ends its answer and has not said that it gave all that a rank wrote, nor why not.
	errUnsaid = errors.New("it breaks off")
	// errElsewhere is returned when a rank's output is on another host.
	errElsewhere = errors.New("its output is on another host")
)

// run asks the host once, and gives all ranks back.
func (h *hostTail) run(ctx context.Context) error {
	err := h.read(ctx)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	since := h.heard
	switch {
	case err == nil || errors.Is(err, errNoOutput):
		h.answers(h.host)
	case h.more: // it had nothing to say until now
		since = h.fallsSilent(h.host, time.Now())
	default:
		since = h.fallsSilent(h.host, since)
	}
	return h.giveBack(ctx, slices.Collect(maps.Values(h.ranks)), func(r *rankTail) error {
		if err == nil && r.at.over { // of what is over all has to come
			return r.fault(ctx, errUnsaid)
		}
		return r.settle(ctx, err, since)
	})
}

// giveBack takes ranks out of the stream once it is settled what becomes of each.
func (h *hostTail) giveBack(ctx context.Context, ranks []*rankTail, settle func(*rankTail) error) error {
	if len(ranks) == 0 {
		return nil
	}
	for _, r := range ranks {
		delete(h.ranks, r.rank)
		if err := settle(r); err != nil {
			return err
		}
	}
	select {
	case h.back <- ranks:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// patience is how long the host may take for a message now; 0: for ever, since the ranks may have nothing to say. That it is over
// decides nothing but what the caller is told, and when it has waited for long enough.
func (h *hostTail) patience(now time.Time) time.Duration {
	silent := h.silentSince(h.host)
	switch {
	case h.more:
		return 0
	case h.follow && silent.IsZero():
		return logSilence
	case h.follow:
		return logWait
	case silent.IsZero():
		return min(logSilence, h.wait)
	}
	return max(h.wait-now.Sub(silent), logRetry)
}

// read sends what the host has of the ranks; with more, until it has all it will have. Ranks of which no more comes it gives back.
func (h *hostTail) read(ctx context.Context) (err error) {
	outer := ctx
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	patience := cmp.Or(h.patience(time.Now()), math.MaxInt64)
	silent := time.AfterFunc(patience, func() { cancel(errSilent) })
	defer silent.Stop()
	defer func() {
		if err != nil && errors.Is(context.Cause(ctx), errSilent) {
			err = errSilent
		}
	}()
	h.heard, h.signs = time.Now(), time.Time{}
	req := &apiv1.ReadLogsRequest{App: string(h.app), Follow: h.more, Tail: h.last, SinceMs: h.since}
	for _, rank := range slices.Sorted(maps.Keys(h.ranks)) {
		req.From = append(req.From, &apiv1.LogPosition{Rank: rank, Seq: h.ranks[rank].next})
	}
	stream, err := apiv1connect.NewDataClient(transport.NewClient(h.c.http, h.addr)).ReadLogs(ctx, req)
	if err != nil {
		return err
	}
	for len(h.ranks) > 0 { // whatever the host would say more
		silent.Reset(patience)
		h.heard = time.Now()
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
		h.answers(h.host) // also without lines: their turn to be read is yet to come
		if err := h.take(outer, m); err != nil {
			return err
		}
	}
	return nil
}

// take sends on what a message says of the stream's ranks.
func (h *hostTail) take(ctx context.Context, m *apiv1.ReadLogsResponse) error {
	if len(m.Begin)+len(m.Lines)+len(m.Faults)+len(m.Complete) == 0 {
		if h.signs.IsZero() {
			h.signs = time.Now()
		}
		if time.Since(h.signs) < logSilence {
			return nil
		}
		return h.sayBusy(ctx, h.host)
	}
	h.signs = time.Time{}
	for _, p := range m.Begin {
		if r := h.ranks[p.Rank]; r != nil {
			if err := r.begin(ctx, p.Seq); err != nil {
				return err
			}
		}
	}
	strange := func(l *apiv1.LogLine) bool { return h.ranks[l.Rank] == nil }
	lines := m.Lines
	if slices.ContainsFunc(lines, strange) {
		lines = slices.DeleteFunc(slices.Clone(lines), strange)
	}
	if len(lines) > 0 {
		if err := h.send(ctx, &apiv1.LogsResponse{Lines: lines}); err != nil {
			return err
		}
	}
	for _, l := range lines {
		h.ranks[l.Rank].took(l)
	}
	for _, f := range m.Faults {
		if r := h.ranks[f.Rank]; r != nil {
			if err := h.giveBack(ctx, []*rankTail{r}, func(r *rankTail) error { return r.fault(ctx, faultError(f)) }); err != nil {
				return err
			}
		}
	}
	var complete []*rankTail
	for _, rank := range m.Complete {
		if r := h.ranks[rank]; r != nil && !slices.Contains(complete, r) {
			complete = append(complete, r)
		}
	}
	return h.giveBack(ctx, complete, func(r *rankTail) error { return r.settle(ctx, nil, time.Time{}) })
}

// faultError is what a host says of one rank's output as an error.
func faultError(f *apiv1.OutputFault) error {
	switch f.Kind {
	case apiv1.OutputFault_KIND_GONE:
		return errNoOutput
	case apiv1.OutputFault_KIND_MOVED:
		return errElsewhere
	default:
		return fmt.Errorf("%.1000s", f.Reason)
	}
}
