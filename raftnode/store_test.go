package raftnode

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/raft"
	"github.com/stretchr/testify/require"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

// sickStore is a store whose writes hang or fail on demand.
type sickStore struct {
	store
	mu    sync.Mutex
	hang  chan struct{}
	err   error
	terms error // of writes of the term
}

func (s *sickStore) set(hang chan struct{}, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hang, s.err = hang, err
}

func (s *sickStore) StoreLogs(logs []*raft.Log) error {
	s.mu.Lock()
	hang, err := s.hang, s.err
	s.mu.Unlock()
	if hang != nil {
		<-hang
	}
	if err != nil {
		return err
	}
	return s.store.StoreLogs(logs)
}

func (s *sickStore) SetUint64(key []byte, value uint64) error {
	s.mu.Lock()
	err := s.terms
	s.mu.Unlock()
	if err != nil && string(key) == currentTerm {
		return err
	}
	return s.store.SetUint64(key, value)
}

func (s *sickStore) failTerms(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.terms = err
}

// sickLeader is a cluster of one whose log store can be made sick.
func sickLeader(t *testing.T, change func(*Config)) (*peer, *sickStore) {
	p := open(t, t.TempDir(), "127.0.0.1:0", change)
	sick := &sickStore{store: p.store.store}
	p.store.store = sick
	require.NoError(t, p.Bootstrap([]Server{{ID: p.ID(), Addr: p.Addr(), Voter: true}}))
	p.start(t)
	leaderOf(t, p)
	return p, sick
}

// TestHangingStoreOfTheOnlyServer waits: nobody could take over.
func TestHangingStoreOfTheOnlyServer(t *testing.T) {
	p, sick := sickLeader(t, func(c *Config) { c.StoreHangTimeout = 80 * time.Millisecond })
	hang := make(chan struct{})
	sick.set(hang, nil)
	waiting := make(chan error, 1)
	go func() {
		_, err := p.Propose(t.Context(), command("a"))
		waiting <- err
	}()
	until(t, "no warning", logged(p, "takes long"))
	require.True(t, p.IsLeader())
	sick.set(nil, nil)
	close(hang)
	require.NoError(t, <-waiting)
	p.stop(t)
}

// TestHangingStoreOfTheLeader makes room for another leader, whose log the old one takes over once its disk works again.
func TestHangingStoreOfTheLeader(t *testing.T) {
	var peers []*peer
	var servers []Server
	sick := map[*peer]*sickStore{}
	for range 3 {
		p := open(t, t.TempDir(), "127.0.0.1:0", func(c *Config) { c.StoreHangTimeout = 400 * time.Millisecond })
		sick[p] = &sickStore{store: p.store.store}
		p.store.store = sick[p]
		peers, servers = append(peers, p), append(servers, Server{ID: p.ID(), Addr: p.Addr(), Voter: true})
	}
	for _, p := range peers {
		require.NoError(t, p.Bootstrap(servers))
		p.start(t)
	}
	old := leaderOf(t, peers...)
	terms := make(chan bool, 8)
	ctx, cancel := context.WithCancel(t.Context())
	led := make(chan error, 1)
	go func() {
		led <- old.RunLeader(ctx, func(ctx context.Context, _ uint64) error { terms <- true; <-ctx.Done(); terms <- false; return nil })
	}()
	require.True(t, <-terms)
	hang := make(chan struct{})
	sick[old].set(hang, nil)
	_, err := old.Propose(t.Context(), command("late"))
	require.ErrorIs(t, err, ErrUnknownOutcome)
	require.False(t, <-terms, "leader work ends though Raft's main loop is blocked")
	require.False(t, old.IsLeader())
	addr, _ := old.Leader()
	require.Empty(t, addr)
	_, err = old.Barrier(t.Context())
	require.ErrorIs(t, err, ErrNotLeader)
	commit(t, "meanwhile", others(peers, old)...)
	sick[old].set(nil, nil)
	close(hang)
	until(t, "not back", func() bool { return old.machine.has("meanwhile") })
	require.False(t, old.machine.has("late"), "the new leader's log counts")
	until(t, "does not know the leader", func() bool { a, _ := old.Leader(); return a != "" })
	cancel()
	require.NoError(t, <-led)
	for _, p := range peers {
		p.stop(t)
	}
}

func TestWatchdog(t *testing.T) {
	var w watchdog
	looks := func(n int, id uint64, busy, others bool) (out []verdict) {
		for range n {
			if v := w.look(id, busy, others); v != nothing {
				out = append(out, v)
			}
		}
		return out
	}
	for id := range uint64(100) {
		require.Empty(t, looks(hangTicks, id, true, true), "each write ends")
	}
	require.Equal(t, []verdict{warnSlow}, looks(100, 200, true, false), "alone")
	require.Empty(t, looks(10, 0, false, false))
	require.Equal(t, []verdict{giveUp}, looks(100, 201, true, true))
	require.Equal(t, []verdict{comeBack}, looks(1, 202, true, false), "another write is under way")
	require.Equal(t, []verdict{warnSlow}, looks(2*hangTicks-1, 202, true, true), "more patient the second time")
	require.Equal(t, []verdict{giveUp}, looks(2*hangTicks, 202, true, true))
	require.Equal(t, []verdict{comeBack}, looks(patienceTicks+1, 0, false, true))
	require.Equal(t, []verdict{giveUp}, looks(hangTicks+1, 203, true, true), "as before")
	for range 50 {
		looks(hangTicks<<maxPatience+1, 204, true, true)
		looks(1, 0, false, true)
	}
	require.Equal(t, maxPatience, w.patience)
}

// TestStallIsFoundOutInTime begins a write that hangs at every moment between two looks, on a clock of its own.
func TestStallIsFoundOutInTime(t *testing.T) {
	const timeout = 2 * time.Second
	tick := lookEvery(timeout)
	for began := time.Duration(0); began < tick; began += tick / 100 {
		var w watchdog
		limit := timeout
		for patience := range maxPatience + 1 { // the first time within the timeout, then within twice and four times that.
			now := tick
			for w.look(uint64(patience+1), true, true) != giveUp {
				now += tick
			}
			require.LessOrEqual(t, now-began, limit)
			require.Greater(t, now-began, limit*(hangTicks-1)/(hangTicks+1), "and not at once")
			require.Equal(t, comeBack, w.look(0, false, true))
			limit *= 2
		}
	}
}

// TestSayerNeverWaits has a log that never takes its first line.
func TestSayerNeverWaits(t *testing.T) {
	s := newSayer(slog.New(slog.DiscardHandler))
	hang := make(chan struct{})
	for range 100 {
		s.say(func(*slog.Logger) { <-hang })
	}
	s.close()
	close(hang)
}

func TestFailingStoreEndsRun(t *testing.T) {
	p, sick := sickLeader(t, nil)
	full := errors.New("no space left on device")
	sick.set(nil, full)
	_, err := p.Propose(t.Context(), command("a"))
	require.ErrorIs(t, err, ErrUnknownOutcome)
	err = p.wait(t)
	require.ErrorIs(t, err, ErrStore)
	require.ErrorIs(t, err, full)
}

// TestUnwrittenTermEndsRun: a server that cannot write a term ends with a sentence about its disk, as the one who stands for election in it
// and as one who is asked for a vote in it, and the term is nobody's.
func TestUnwrittenTermEndsRun(t *testing.T) {
	for _, of := range []string{"candidate", "voter"} {
		t.Run(of, func(t *testing.T) {
			var peers []*peer
			var servers []Server
			sick := map[*peer]*sickStore{}
			for range 3 {
				p := open(t, t.TempDir(), "127.0.0.1:0", nil)
				sick[p] = &sickStore{store: p.store.store}
				p.store.store = sick[p]
				peers, servers = append(peers, p), append(servers, Server{ID: p.ID(), Addr: p.Addr(), Voter: true})
			}
			for _, p := range peers {
				require.NoError(t, p.Bootstrap(servers))
				p.start(t)
			}
			old := leaderOf(t, peers...)
			ill := others(peers, old)[0]
			commit(t, "before", peers...)
			sick[ill].failTerms(&os.PathError{Op: "write", Path: ill.store.path, Err: syscall.EIO})
			was := ill.raft.Load().CurrentTerm()
			until(t, "no election", func() bool { // it may take more than one on a crowded machine
				l := leaderOf(t, others(peers, ill)...)
				to := ill
				if of == "voter" {
					to = others(others(peers, ill), l)[0]
				}
				_ = l.TransferLeadership(t.Context(), to.ID())
				return len(ill.ended) > 0
			})
			err := ill.wait(t)
			require.ErrorIs(t, err, ErrStore)
			require.ErrorIs(t, err, syscall.EIO)
			require.NotErrorIs(t, err, ErrCloseTimeout)
			require.Equal(t, "log store failed: set: write "+ill.store.path+": input/output error: "+obstacle(syscall.EIO), err.Error())
			require.Equal(t, was, ill.raft.Load().CurrentTerm())
			commit(t, "after", others(peers, ill)...)
			for _, p := range others(peers, ill) {
				p.stop(t)
			}
		})
	}
}

// TestUnwrittenFirstTerm: what cannot be written before there is an election is an error of who asked.
func TestUnwrittenFirstTerm(t *testing.T) {
	sickPeer := func() (*peer, []Server) {
		p := open(t, t.TempDir(), "127.0.0.1:0", nil)
		sick := &sickStore{store: p.store.store}
		p.store.store = sick
		sick.failTerms(syscall.EIO)
		return p, []Server{{ID: p.ID(), Addr: p.Addr(), Voter: true}}
	}
	p, us := sickPeer()
	require.ErrorContains(t, p.Bootstrap(us), syscall.EIO.Error(), "one that does not run")
	require.NoError(t, p.Close())
	p.stopNet()
	p, us = sickPeer()
	p.start(t)
	require.ErrorContains(t, p.Bootstrap(us), syscall.EIO.Error(), "one that runs")
	err := p.wait(t)
	require.ErrorIs(t, err, ErrStore)
	require.ErrorContains(t, err, p.store.path, "the file is named, also where the system does not name it")
}

func TestFailingMachineEndsRun(t *testing.T) {
	called := make(chan error, 1)
	p := single(t, func(c *Config) { c.OnFatal = func(err error) { called <- err } })
	propose(t, p, "good")
	p.machine.mu.Lock()
	p.machine.fail = "bad"
	p.machine.mu.Unlock()
	_, err := p.Propose(t.Context(), command("bad"))
	require.ErrorIs(t, err, ErrUnknownOutcome)
	require.ErrorIs(t, err, ErrFatal)
	_, err = p.Barrier(t.Context())
	require.Error(t, err, "no read of a state that lacks entries")
	require.ErrorIs(t, <-called, ErrFatal)
	require.ErrorIs(t, p.wait(t), ErrFatal)
	require.False(t, p.machine.has("bad"))
}

// TestNewerEntries: what a newer build wrote is no damage.
func TestNewerEntries(t *testing.T) {
	g := &guardFSM{FSM: NewFSM(newerMachine{}), where: "dir", onFatal: func(error) {}}
	err, ok := g.Apply(&raft.Log{Index: 7}).(error)
	require.True(t, ok)
	require.ErrorIs(t, err, ErrFatal)
	require.ErrorContains(t, err, "dir, entry 7")
	require.ErrorContains(t, err, "nothing is damaged")
	require.NotContains(t, err.Error(), "move this server's data directory away")
}

type newerMachine struct{ Machine }

func (newerMachine) Apply(uint64, uint64, []byte) ([]*apiv1.Result, error) {
	return nil, fmt.Errorf("apply: %w", ErrNewer)
}

func TestOldestWrite(t *testing.T) {
	w := newWatchedStore(&dataDir{}, func(error) {})
	_, busy := w.oldest()
	require.False(t, busy)
	require.NoError(t, w.write("outer", func() error {
		return w.write("inner", func() error {
			id, busy := w.oldest()
			require.True(t, busy)
			require.EqualValues(t, 1, id)
			return nil
		})
	}))
	_, busy = w.oldest()
	require.False(t, busy)
}

// TestBootstrapOnASickDisk: Raft passes on the text alone of what a first entry could not be written for; the file and the remedy are said all
// the same, and that it was the store, before Run and during it.
func TestBootstrapOnASickDisk(t *testing.T) {
	for _, running := range []bool{false, true} {
		p := open(t, t.TempDir(), "127.0.0.1:0", nil)
		sick := &sickStore{store: p.store.store}
		p.store.store = sick
		if running {
			p.start(t)
		}
		sick.set(nil, syscall.EIO)
		err := p.Bootstrap([]Server{{ID: p.ID(), Addr: p.Addr(), Voter: true}})
		require.ErrorIs(t, err, ErrStore)
		require.ErrorContains(t, err, filepath.Join(p.cfg.DataDir, "raft", "raft.db"))
		require.ErrorContains(t, err, "the disk fails: look at the kernel's log")
		if running {
			require.ErrorIs(t, p.wait(t), ErrStore)
		} else {
			p.stopNet()
			require.NoError(t, p.Close())
		}
	}
}
