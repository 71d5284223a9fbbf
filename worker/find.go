package worker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/api/v1/apiv1connect"
	"github.com/godwit-run/godwit/internal/transport"
)

const (
	// discoverWait bounds one look for the leader. All servers are asked at once, so that it does not matter how many hang.
	discoverWait = time.Second
	// othersWait is how much longer than for the first server that knows a leader it is waited for others.
	othersWait = 250 * time.Millisecond
	// maxAsked bounds the servers asked at once.
	maxAsked = 16
	// lookAgain is how often a worker that waits for a leader's welcome looks whether there is a newer one.
	lookAgain = 500 * time.Millisecond
)

// lead is who leads, as a server says.
type lead struct {
	addr string
	term uint64
}

// findLeader asks the servers who leads, all at once, and believes the one in the latest term. It waits for a majority of the
// addresses it knows, at the most othersWait longer than for the first: a deposed leader may be the first to answer.
func (w *Worker) findLeader(ctx context.Context) (lead, error) {
	addrs := w.servers()
	if len(addrs) == 0 {
		return lead{}, errors.New("worker: no server is known: give --join")
	}
	addrs = addrs[:min(len(addrs), maxAsked)]
	ctx, cancel := context.WithTimeout(ctx, discoverWait)
	defer cancel()
	type answer struct {
		lead
		err error
	}
	answers := make(chan answer, len(addrs))
	for _, addr := range addrs {
		go func() { // ends with ctx
			l, err := w.discover(ctx, addr)
			answers <- answer{l, err}
		}()
	}
	var best lead
	var failed error
	have := 0
	for range addrs {
		a := <-answers
		if a.err != nil {
			failed = a.err
			continue
		}
		have++
		if a.addr != "" && a.term >= best.term {
			best = a.lead
		}
		if best.addr == "" {
			continue
		}
		if have > len(addrs)/2 {
			break
		}
		defer time.AfterFunc(othersWait, cancel).Stop()
	}
	switch {
	case best.addr != "":
		return best, nil
	case have == 0:
		return lead{}, fmt.Errorf("worker: no server answers (%d tried): %w", len(addrs), failed)
	default:
		return lead{}, errors.New("worker: the servers have no leader")
	}
}

// discover asks one server who leads.
func (w *Worker) discover(ctx context.Context, addr string) (lead, error) {
	client := apiv1connect.NewClusterClient(transport.NewClient(w.http, addr))
	res, err := client.Discover(ctx, &apiv1.DiscoverRequest{})
	if err != nil {
		return lead{}, err
	}
	w.mu.Lock()
	id := w.member.cluster
	w.mu.Unlock()
	if id != "" && res.ClusterId != "" && res.ClusterId != id && !slices.Contains(res.FormerClusterIds, id) {
		return lead{}, fmt.Errorf("data directory %s belongs to cluster %s, but server %s is of cluster %s: use another --data-dir or --join",
			w.cfg.DataDir, id, addr, res.ClusterId)
	}
	return lead{res.LeaderAddr, res.Term}, nil
}

// watchNewer calls jump when a leader of a later term than this one is found. It returns when ctx ends.
func (w *Worker) watchNewer(ctx context.Context, term uint64, jump func()) {
	t := time.NewTicker(lookAgain)
	defer t.Stop()
	for {
		select {
		case <-t.C:
		case <-ctx.Done():
			return
		}
		if l, err := w.findLeader(ctx); err == nil && l.term > term {
			jump()
			return
		}
	}
}
