package raftnode

import (
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/raft"
	"github.com/stretchr/testify/require"
)

// sickStore is a store whose writes hang or fail on demand.
type sickStore struct {
	store
	mu   sync.Mutex
	hang chan struct{}
	err  error
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

func TestHangingStoreEndsRun(t *testing.T) {
	called := make(chan time.Duration, 1)
	p, sick := sickLeader(t, func(c *Config) {
		c.StoreHangTimeout = 200 * time.Millisecond
		c.OnStoreHang = func(d time.Duration) { called <- d }
	})
	hang := make(chan struct{})
	sick.set(hang, nil)
	waiting := make(chan error, 1)
	go func() {
		_, err := p.Propose(t.Context(), command("a"))
		waiting <- err
	}()
	require.ErrorIs(t, p.wait(t), ErrStoreHang)
	require.Equal(t, 200*time.Millisecond, <-called)
	_, err := p.stream.Dial("127.0.0.1:1", time.Second)
	require.Error(t, err, "it speaks to nobody any more")

	// What Run had to leave behind is cleared away here; a real process exits.
	close(hang)
	require.NoError(t, <-waiting)
	require.NoError(t, p.raft.Load().Shutdown().Error())
	require.NoError(t, p.dir.close())
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

func TestOldestWrite(t *testing.T) {
	w := newWatchedStore(nil, func(error) {})
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
