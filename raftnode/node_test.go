package raftnode

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/raft"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

func TestClusterElectsProposesAndSurvivesItsLeader(t *testing.T) {
	peers := cluster(t, 3, nil)
	leader := leaderOf(t, peers...)
	propose(t, leader, "a")
	for _, p := range others(peers, leader) {
		_, err := p.Propose(t.Context(), command("x"))
		require.ErrorIs(t, err, ErrNotLeader)
		_, err = p.Barrier(t.Context())
		require.ErrorIs(t, err, ErrNotLeader)
		until(t, "not replicated", func() bool { return p.machine.has("a") })
		require.Len(t, p.Servers(), 3)
	}
	require.ErrorIs(t, leader.Bootstrap(nil), ErrHasState)

	leader.crash(t)
	rest := others(peers, leader)
	next := leaderOf(t, rest...)
	propose(t, next, "b")
	addr, id := next.Leader()
	require.Equal(t, []string{next.Addr(), next.ID()}, []string{addr, id})

	// The one that crashed comes back from its disk, with its id, and catches up.
	back := open(t, leader.cfg.DataDir, leader.Addr(), nil)
	require.Equal(t, leader.ID(), back.ID())
	has, err := back.HasState()
	require.NoError(t, err)
	require.True(t, has)
	back.start(t)
	until(t, "not caught up", func() bool { return back.machine.has("b") })
	require.False(t, back.machine.has("x"))
	for _, p := range append(rest, back) {
		p.stop(t)
	}
}

func TestProposalsShareEntries(t *testing.T) {
	p := single(t, nil)
	hold := make(chan struct{})
	p.machine.setHold(hold)
	var wg sync.WaitGroup
	for _, key := range keys("k", 500) {
		wg.Go(func() {
			res, err := p.Propose(t.Context(), command(key))
			if err != nil || res.Id != key {
				t.Errorf("%s: %v %v", key, res, err)
			}
		})
	}
	// The first entries wait in Apply; all the others gather behind them.
	until(t, "not queued", func() bool { s := p.Stats(); return uint64(s.Queued)+s.Commands == 500 })
	p.machine.setHold(nil)
	close(hold)
	wg.Wait()
	applied, entries := p.machine.count()
	require.Equal(t, 500, applied)
	require.LessOrEqual(t, entries, 20, "500 proposals in so many entries")
	require.EqualValues(t, 500, p.Stats().Commands)
	p.stop(t)
}

func TestEntriesAreBounded(t *testing.T) {
	p := single(t, nil)
	_, err := p.Propose(t.Context(), command(strings.Repeat("x", MaxEntryBytes)))
	require.ErrorIs(t, err, ErrTooLarge)
	hold := make(chan struct{})
	p.machine.setHold(hold)
	var wg sync.WaitGroup
	for _, key := range keys(strings.Repeat("y", 100<<10), 22) {
		wg.Go(func() {
			_, err := p.Propose(t.Context(), command(key))
			if err != nil {
				t.Error(err)
			}
		})
	}
	until(t, "not queued", func() bool { s := p.Stats(); return uint64(s.Queued)+s.Commands >= 21 })
	p.machine.setHold(nil)
	close(hold)
	wg.Wait()
	_, entries := p.machine.count()
	require.GreaterOrEqual(t, entries, 5, "at most five of 100 KiB fit an entry")
	p.stop(t)
}

// TestCommandsOfAnEntryAreBounded: however small they are.
func TestCommandsOfAnEntryAreBounded(t *testing.T) {
	n := &Node{queue: make(chan *proposal, 2*MaxEntryCommands)}
	for range cap(n.queue) {
		n.queue <- &proposal{size: 1}
	}
	batch, next := n.gather(<-n.queue)
	require.Len(t, batch, MaxEntryCommands)
	require.NotNil(t, next)
	batch, next = n.gather(next)
	require.Len(t, batch, MaxEntryCommands)
	require.Nil(t, next)
}

// TestBatchFillsAnEntryExactly proposes, behind a held entry, commands that together just fill one: what frames them must be
// counted too, also for the last.
func TestBatchFillsAnEntryExactly(t *testing.T) {
	p := single(t, func(c *Config) {
		c.Encode = func(e *apiv1.Entry) ([]byte, error) {
			for _, cmd := range e.Commands {
				if cmd.Key == "bad" {
					return nil, errors.New("bad command")
				}
			}
			b, err := proto.Marshal(e)
			if len(b)+5 > MaxEntryBytes { // five bytes of envelope
				return nil, ErrTooLarge
			}
			return b, err
		}
	})
	hold := make(chan struct{})
	p.machine.setHold(hold)
	var wg sync.WaitGroup
	ask := func(key, wrong string) {
		wg.Go(func() {
			_, err := p.Propose(t.Context(), command(key))
			if wrong == "" && err != nil || wrong != "" && (err == nil || !strings.Contains(err.Error(), wrong)) {
				t.Errorf("%.10s: %v", key, err)
			}
		})
	}
	for i := range entriesInFlight {
		ask(keys("first", entriesInFlight)[i], "")
		until(t, "not in flight", func() bool { return p.Stats().Entries == uint64(i+1) })
	}
	half := MaxEntryBytes / 2
	for d := range 40 { // around the bound, one byte at a time
		ask(strings.Repeat("x", half), "")
		ask(strings.Repeat("y", half-d), "")
	}
	ask("bad", "bad command")
	until(t, "not queued", func() bool { return p.Stats().Queued >= 80 })
	p.machine.setHold(nil)
	close(hold)
	wg.Wait()
	p.stop(t)
}

func TestOutcomesOfProposals(t *testing.T) {
	p := single(t, func(c *Config) { c.QueueLength = 2 })
	hold := make(chan struct{})
	p.machine.setHold(hold)
	ctx, cancel := context.WithCancel(t.Context())
	errs := make(chan error, 2)
	for i, key := range keys("under-way", 2) {
		go func() {
			_, err := p.Propose(ctx, command(key))
			errs <- err
		}()
		until(t, "not proposed", func() bool { return p.Stats().Commands == uint64(i+1) })
	}
	// Both entries are in flight: what comes now is queued, and beyond the queue refused.
	queuedCtx, withdraw := context.WithCancel(t.Context())
	queuedErrs := make(chan error, 2)
	for _, key := range keys("queued", 2) {
		go func() {
			_, err := p.Propose(queuedCtx, command(key))
			queuedErrs <- err
		}()
	}
	until(t, "not queued", func() bool { return p.Stats().Queued == 2 })
	_, err := p.Propose(t.Context(), command("one too many"))
	require.ErrorIs(t, err, ErrOverloaded)

	withdraw()
	for range 2 {
		err := <-queuedErrs
		require.ErrorIs(t, err, context.Canceled)
		require.NotErrorIs(t, err, ErrUnknownOutcome, "it was still queued")
	}
	cancel()
	for range 2 {
		require.ErrorIs(t, <-errs, ErrUnknownOutcome)
	}
	p.machine.setHold(nil)
	close(hold)
	until(t, "queue not emptied of the withdrawn", func() bool { return p.Stats().Queued == 0 })
	propose(t, p, "last")
	require.True(t, p.machine.has("under-way-0"), "an unknown outcome may well be an applied one")
	require.False(t, p.machine.has("queued-0"))
	p.stop(t)
	_, err = p.Propose(t.Context(), command("after"))
	require.ErrorIs(t, err, ErrNotLeader)
}

func TestStoppingAnswersEveryProposal(t *testing.T) {
	peers := cluster(t, 3, nil)
	leader := leaderOf(t, peers...)
	for _, p := range others(peers, leader) {
		p.crash(t)
	}
	errs := make(chan error, 50)
	for _, key := range keys("k", 50) {
		go func() {
			_, err := leader.Propose(t.Context(), command(key))
			errs <- err
		}()
	}
	leader.stop(t)
	for range 50 {
		err := <-errs
		require.True(t, errors.Is(err, ErrUnknownOutcome) || errors.Is(err, ErrNotLeader), "%v", err)
	}
}

func TestClassify(t *testing.T) {
	for _, tc := range []struct {
		in, out error
	}{
		{raft.ErrNotLeader, ErrNotLeader},
		{raft.ErrLeadershipTransferInProgress, ErrNotLeader},
		{raft.ErrAbortedByRestore, ErrNotLeader},
		{raft.ErrEnqueueTimeout, ErrOverloaded},
		{raft.ErrLeadershipLost, ErrUnknownOutcome},
		{raft.ErrRaftShutdown, ErrUnknownOutcome},
		{errors.New("write raft.db: no space left on device"), ErrUnknownOutcome},
	} {
		require.ErrorIs(t, classify(tc.in), tc.out)
		require.ErrorIs(t, classify(tc.in), tc.in)
	}
	require.NoError(t, classify(nil))
}

func TestBarriersAreShared(t *testing.T) {
	p := single(t, nil)
	propose(t, p, "a")
	before := p.Stats().LastIndex
	hold := make(chan struct{})
	p.machine.setHold(hold)
	go func() { _, _ = p.Propose(context.Background(), command("slow")) }()
	until(t, "not in Apply", func() bool { return p.Stats().LastIndex > before })
	var wg sync.WaitGroup
	for range 200 {
		wg.Go(func() {
			index, err := p.Barrier(t.Context())
			if err != nil || index <= before || !p.machine.has("slow") {
				t.Errorf("read at %d before the write of index %d: %v", index, before+1, err)
			}
		})
	}
	p.machine.setHold(nil)
	close(hold)
	wg.Wait()
	require.Less(t, p.Stats().LastIndex-before, uint64(60), "200 reads took so many entries")

	gone, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := p.Barrier(gone)
	if err != nil {
		require.ErrorIs(t, err, context.Canceled)
	}
	p.stop(t)
}

func TestSnapshotBringsABehindFollowerUp(t *testing.T) {
	peers := cluster(t, 3, func(c *Config) {
		c.SnapshotThreshold, c.TrailingLogs, c.SnapshotInterval = 20, 1, 20*time.Millisecond
	})
	leader := leaderOf(t, peers...)
	behind := others(peers, leader)[0]
	behind.crash(t)
	goOnToSnapshot(t, others(peers, behind))
	back := open(t, behind.cfg.DataDir, behind.Addr(), nil)
	back.start(t)
	until(t, "not caught up", func() bool { return back.machine.has("k-99") })
	_, entries := back.machine.count()
	require.Less(t, entries, 60, "the rest came as a snapshot")
	for _, p := range others(peers, behind) {
		p.stop(t)
	}
	back.stop(t)

	// A restart begins from the snapshot as well.
	again := open(t, behind.cfg.DataDir, behind.Addr(), nil)
	again.start(t)
	n, _ := again.machine.count()
	require.Positive(t, n)
	again.stop(t)
}

// goOnToSnapshot commits until there are snapshots, and no log before them.
func goOnToSnapshot(t *testing.T, peers []*peer) {
	t.Helper()
	for _, key := range keys("k", 100) {
		commit(t, key, peers...)
	}
	for _, p := range peers {
		until(t, "no snapshot", func() bool {
			first, err := p.dir.bolt.FirstIndex()
			return err == nil && first > 50
		})
	}
}

// TestNewerSnapshot: a snapshot of a newer build is no damage, whether it is in the directory or comes from the leader.
func TestNewerSnapshot(t *testing.T) {
	peers := cluster(t, 3, func(c *Config) {
		c.SnapshotThreshold, c.TrailingLogs, c.SnapshotInterval = 20, 1, 20*time.Millisecond
	})
	leader := leaderOf(t, peers...)
	behind := others(peers, leader)[0]
	behind.crash(t)
	rest := others(peers, behind)
	goOnToSnapshot(t, rest)
	follower := others(rest, leaderOf(t, rest...))[0]
	older := func(p *peer) {
		again := open(t, p.cfg.DataDir, p.Addr(), nil)
		again.machine.newer = true
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go func() { again.ended <- again.Run(ctx) }()
		err := again.wait(t)
		require.ErrorIs(t, err, ErrFatal)
		require.ErrorIs(t, err, ErrNewer)
		require.ErrorContains(t, err, "nothing is damaged")
		require.NotContains(t, err.Error(), "move this server's data directory away")
	}
	older(behind)
	for _, p := range rest {
		p.stop(t)
	}
	older(follower)
	_, err := OpenSurvivor(follower.cfg, func() Machine { return &journal{newer: true} }, slog.Default())
	require.ErrorIs(t, err, ErrNewer)
}
