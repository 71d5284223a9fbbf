package raftnode

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

func TestRunLeaderRunsOncePerTerm(t *testing.T) {
	peers := cluster(t, 3, nil)
	ctx, cancel := context.WithCancel(t.Context())
	var mu sync.Mutex
	terms := map[uint64]string{}
	running := map[string]int{}
	total := 0
	var loops sync.WaitGroup
	for _, p := range peers {
		loops.Go(func() {
			err := p.RunLeader(ctx, func(ctx context.Context, term uint64) error {
				mu.Lock()
				if other, twice := terms[term]; twice {
					t.Errorf("term %d led by %s and %s", term, other, p.ID())
				}
				terms[term] = p.ID()
				running[p.ID()]++
				if running[p.ID()] > 1 {
					t.Errorf("two terms at once on %s", p.ID())
				}
				total++
				mu.Unlock()
				<-ctx.Done()
				mu.Lock()
				running[p.ID()]--
				mu.Unlock()
				return ctx.Err()
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	count := func() int {
		mu.Lock()
		defer mu.Unlock()
		return total
	}
	for i := range 4 {
		until(t, "no leader work", func() bool { return count() > i })
		until(t, "not transferred", func() bool { return leaderOf(t, peers...).TransferLeadership(t.Context(), "") == nil })
	}
	require.ErrorIs(t, others(peers, leaderOf(t, peers...))[0].TransferLeadership(t.Context(), ""), ErrNotLeader)
	cancel()
	loops.Wait()
	for _, p := range peers {
		p.stop(t)
	}
}

// TestLeaderWorkBeginsBehindABarrier: the work of a term begins when the state machine holds all that earlier terms committed, however
// slow it is.
func TestLeaderWorkBeginsBehindABarrier(t *testing.T) {
	dir := t.TempDir()
	p := open(t, dir, "127.0.0.1:0", nil)
	require.NoError(t, p.Bootstrap([]Server{{ID: p.ID(), Addr: p.Addr(), Voter: true}}))
	p.start(t)
	leaderOf(t, p)
	const entries = 20
	for i := range entries {
		_, err := p.Propose(t.Context(), &apiv1.Command{Key: strconv.Itoa(i)})
		require.NoError(t, err)
	}
	p.stop(t)
	p = open(t, dir, p.Addr(), nil)
	hold := make(chan struct{})
	p.machine.setHold(hold)
	p.start(t)
	began := make(chan int, 1)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- p.RunLeader(ctx, func(ctx context.Context, _ uint64) error {
			keys, _ := p.machine.count()
			began <- keys
			<-ctx.Done()
			return ctx.Err()
		})
	}()
	until(t, "it leads", func() bool { return strings.Contains(p.log.String(), "this server leads") })
	select {
	case <-began:
		require.FailNow(t, "it began before the state machine had anything")
	case <-time.After(200 * time.Millisecond): // enough for what does not wait
	}
	close(hold)
	require.Equal(t, entries, <-began)
	cancel()
	require.NoError(t, <-ended)
	p.stop(t)
}

func TestRunLeaderEndsWithItsFunctionOrItsNode(t *testing.T) {
	p := single(t, nil)
	broken := errors.New("broken")
	require.ErrorIs(t, p.RunLeader(t.Context(), func(context.Context, uint64) error { return broken }), broken)

	entered := make(chan struct{})
	ended := make(chan error, 1)
	go func() {
		ended <- p.RunLeader(context.Background(), func(context.Context, uint64) error { close(entered); return nil })
	}()
	<-entered // returning nil early is not done again in the same term: a second call would close twice.
	propose(t, p, "a")
	require.Panics(t, func() { _ = p.RunLeader(t.Context(), nil) })
	p.stop(t)
	require.NoError(t, <-ended)
}

func TestLeaderWorkEndsWhenTheMajorityIsGone(t *testing.T) {
	peers := cluster(t, 3, nil)
	leader := leaderOf(t, peers...)
	entered, ended := make(chan struct{}), make(chan struct{})
	done := make(chan error, 1)
	go func() {
		done <- leader.RunLeader(context.Background(), func(ctx context.Context, _ uint64) error {
			close(entered)
			<-ctx.Done()
			close(ended)
			return nil
		})
	}()
	<-entered
	for _, p := range others(peers, leader) {
		p.crash(t)
	}
	select {
	case <-ended:
	case <-time.After(patience):
		require.Fail(t, "leader work went on without a majority")
	}
	_, err := leader.Propose(t.Context(), command("x"))
	require.ErrorIs(t, err, ErrNotLeader)
	leader.stop(t)
	require.NoError(t, <-done)
}

// TestNextTermWaitsForTheLast: what was done as the leader of one term has returned before anything is done as that of the next.
func TestNextTermWaitsForTheLast(t *testing.T) {
	peers := cluster(t, 3, nil)
	p := leaderOf(t, peers...)
	ctx, cancel := context.WithCancel(t.Context())
	var mu sync.Mutex
	inside, most, begun := 0, 0, 0
	release := make(chan struct{})
	ended := make(chan error, 1)
	go func() {
		ended <- p.RunLeader(ctx, func(ctx context.Context, _ uint64) error {
			mu.Lock()
			inside, begun = inside+1, begun+1
			most = max(most, inside)
			mu.Unlock()
			<-ctx.Done()
			<-release
			mu.Lock()
			inside--
			mu.Unlock()
			return nil
		})
	}()
	terms := func() int {
		mu.Lock()
		defer mu.Unlock()
		return begun
	}
	until(t, "no leader work", func() bool { return terms() == 1 })
	until(t, "it leads", func() bool { return p.TransferLeadership(t.Context(), "") == nil && !p.IsLeader() })
	until(t, "it does not lead again", func() bool {
		l := leaderOf(t, peers...)
		return l == p || l.TransferLeadership(t.Context(), p.ID()) == nil && p.IsLeader()
	})
	for _, key := range keys("again", 20) { // what would begin too early has time to
		_, _ = p.Propose(t.Context(), command(key))
	}
	require.Equal(t, 1, terms())
	close(release)
	until(t, "no work in the next term", func() bool { return terms() > 1 || !p.IsLeader() })
	cancel()
	require.NoError(t, <-ended)
	require.Equal(t, 1, most)
	for _, p := range peers {
		p.stop(t)
	}
}

// TestTermDecides: the term is over when this server leads in a later one, though whatever woke it up finds a leader.
func TestTermDecides(t *testing.T) {
	p := single(t, nil)
	r := p.raft.Load()
	term, ok := p.leadership(r)
	require.True(t, ok)
	wake := make(chan struct{})
	close(wake)
	ended := make(chan error, 1)
	go func() {
		ended <- p.runTerm(t.Context(), r, term-1, wake, func(context.Context, uint64) error { return errors.New("work of a term that is over") })
	}()
	select {
	case err := <-ended:
		require.NoError(t, err)
	case <-time.After(patience):
		require.Fail(t, "it takes the later term for its own")
	}
	p.stop(t)
}
