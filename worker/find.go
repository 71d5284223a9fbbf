package worker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/api/v1/apiv1connect"
	"github.com/godwit-run/godwit/internal/client"
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

// findLeader asks the servers who leads, all at once, and believes the one in the latest term, of the worker's own cluster before one
// that was recovered from it (choose; mayGo says that there is no time left to wait for the own one). It waits for a majority of the own
// cluster's servers, at the most othersWait longer than for the first that knows a leader: a deposed one may be the first to answer. A
// worker that has joined none waits for all.
func (w *Worker) findLeader(ctx context.Context, mayGo bool) (lead, error) {
	addrs := w.servers()
	if len(addrs) == 0 {
		return lead{}, errors.New("worker: no server is known: give --join")
	}
	addrs = addrs[:min(len(addrs), maxAsked)]
	ctx, cancel := context.WithTimeout(ctx, discoverWait)
	defer cancel()
	w.mu.Lock()
	t := tally{cluster: w.member.cluster}
	w.mu.Unlock()
	type answer struct {
		reply
		err error
	}
	answers := make(chan answer, len(addrs))
	for _, addr := range addrs {
		go func() { // ends with ctx
			r, err := w.discover(ctx, addr, t.cluster)
			answers <- answer{r, err}
		}()
	}
	var failed error
	hurry := time.AfterFunc(discoverWait, cancel)
	defer hurry.Stop()
	hurries := false
	servers := len(addrs)
	for range addrs {
		a := <-answers
		if a.err != nil {
			failed = a.err
			if stranger := new(client.StrangerError); errors.As(a.err, &stranger) {
				servers-- // it is none of any cluster
			} else {
				t.silent++ // or about to start
			}
		} else {
			t.add(a.reply)
		}
		if t.sure(servers) {
			break
		}
		alone := t.mayHurry(mayGo)
		switch {
		case alone && !hurries:
			hurry.Reset(othersWait)
		case !alone && hurries:
			hurry.Stop()
		}
		hurries = alone
	}
	if len(t.replies) == 0 {
		return lead{}, fmt.Errorf("worker: no server answers (%d tried): %w", len(addrs), failed)
	}
	// A server that is in no cluster yet is none of an older one.
	if t.own.newest.cluster != "" && t.other.have() > 0 && len(t.branches()) == 1 && (t.cluster != "" || len(t.elders()) == 1) {
		w.twoClusters.Do(func() {
			w.log.Warn("two clusters answer, one of them recovered from the other's data: this worker stays with the older one while most of its servers "+
				"answer and one leads, else it goes to the recovered one; see godwit servers for which is to be stopped",
				"older", t.own.newest.cluster, "older_at", t.own.at, "recovered", t.other.newest.cluster, "recovered_at", t.other.at)
		})
	}
	return t.choose(mayGo)
}

// discover asks one server who leads. own is the cluster that the worker has joined, or "".
func (w *Worker) discover(ctx context.Context, addr, own string) (reply, error) {
	res, err := apiv1connect.NewClusterClient(transport.NewClient(w.toServers, addr)).Discover(ctx, &apiv1.DiscoverRequest{})
	if err != nil {
		return reply{}, client.AsStranger(ctx, w.toServers, addr, err)
	}
	foreign := own != "" && res.ClusterId != "" && res.ClusterId != own
	if foreign && !slices.Contains(res.FormerClusterIds, own) {
		return reply{}, fmt.Errorf("data directory %s belongs to cluster %s, but server %s is of cluster %s: use another --data-dir or --join",
			w.cfg.DataDir, own, addr, res.ClusterId)
	}
	return reply{
		lead:   lead{addr: res.LeaderAddr, term: res.Term, cluster: res.ClusterId},
		server: cmp.Or(res.ServerId, addr), at: addr, former: res.FormerClusterIds, applied: res.AppliedIndex, members: res.Members,
	}, nil
}

// watchNewer calls jump when a leader is found that is to be gone to rather than this one: of a later term, or of the other one of two
// clusters. It returns when ctx ends.
func (w *Worker) watchNewer(ctx context.Context, now lead, mayGo func() bool, jump func()) {
	t := time.NewTicker(lookAgain)
	defer t.Stop()
	for {
		select {
		case <-t.C:
		case <-ctx.Done():
			return
		}
		if l, err := w.findLeader(ctx, mayGo()); err == nil && (l.elsewhere(now) || l.term > now.term) {
			jump()
			return
		}
	}
}
