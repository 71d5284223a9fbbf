package control

import (
	"context"
	"fmt"
	"iter"
	"maps"
	"time"

	"golang.org/x/sync/errgroup"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/api/v1/apiv1connect"
	"github.com/godwit-run/godwit/fsm"
)

const (
	// logRetry is how long to wait before a host is asked for output again.
	logRetry = 50 * time.Millisecond
	// placeRetry is how long at the most to wait for an app to have hosts: its placement wakes who waits for it.
	placeRetry = time.Second
	// logSilence is how long a host may take for a message of output that is there, before it is told that it is waited for.
	logSilence = 2 * time.Second
	// logWait is how long it is waited for, without follow, if the request does not say, and maxLogWait the most that it may say.
	logWait, maxLogWait = 30 * time.Second, time.Hour
	// maxLogFailures is how many times in a row a host may answer that it cannot give a rank's output: 10 s, when it does so at once.
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
	t := newAppTail(c, fsm.AppID(app.Id), out)
	t.follow, t.wanted, t.wait = req.Follow, wanted, waitOf(req)
	var ranks []*rankTail
	for rank := range app.Size {
		if len(wanted) > 0 && !wanted[rank] {
			continue
		}
		r := &rankTail{appTail: t, rank: rank, next: from[rank], last: req.Tail, since: req.SinceMs}
		if _, known := from[rank]; known {
			r.last, r.since = nil, 0
		}
		ranks = append(ranks, r)
	}
	g.Go(func() error { defer close(out); return t.run(gctx, ranks) })
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

// waitOf is how long a request waits for a host that does not answer.
func waitOf(req *apiv1.LogsRequest) time.Duration {
	if req.WaitMs == 0 {
		return logWait
	}
	return time.Duration(min(req.WaitMs, uint64(maxLogWait.Milliseconds()))) * time.Millisecond //nolint:gosec // bounded
}
