package raftnode

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/raft"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/proto"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/internal/listen"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv("GODWIT_TEST_LOCK"); dir != "" {
		holdLock(dir)
		return
	}
	goleak.VerifyTestMain(m)
}

const patience = 30 * time.Second

// journal is a Machine that remembers the keys it applied, in order.
type journal struct {
	mu      sync.Mutex
	keys    []string
	entries int
	hold    chan struct{} // if set, Apply waits for it to be closed.
	fail    string        // the key whose entry fails.
	newer   bool          // snapshots are of a newer build.
}

func (j *journal) Apply(index, _ uint64, data []byte) ([]*apiv1.Result, error) {
	var e apiv1.Entry
	if err := proto.Unmarshal(data, &e); err != nil {
		return nil, err
	}
	j.mu.Lock()
	hold := j.hold
	j.mu.Unlock()
	if hold != nil {
		<-hold
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.entries++
	var out []*apiv1.Result
	for _, c := range e.Commands {
		if j.fail != "" && c.Key == j.fail {
			return nil, errors.New("told to fail")
		}
		j.keys = append(j.keys, c.Key)
		out = append(out, &apiv1.Result{Index: index, Id: c.Key})
	}
	return out, nil
}

func (j *journal) Snapshot() (io.WriterTo, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	b, err := json.Marshal(j.keys)
	return bytes.NewReader(b), err
}

func (j *journal) Restore(r io.Reader) error {
	var keys []string
	if err := json.NewDecoder(r).Decode(&keys); err != nil {
		return err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.newer {
		return fmt.Errorf("version 9: %w", ErrNewer)
	}
	j.keys = keys
	return nil
}

func (j *journal) has(key string) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, k := range j.keys {
		if k == key {
			return true
		}
	}
	return false
}

func (j *journal) count() (keys, entries int) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return len(j.keys), j.entries
}

func (j *journal) setHold(c chan struct{}) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.hold = c
}

// peer is one server of a test: listener, node and machine.
type peer struct {
	*Node
	machine *journal
	cancel  context.CancelFunc
	ended   chan error
	stopNet func()
	log     *lines
}

type lines struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

func testConfig(dir, addr string) Config {
	c := DefaultConfig()
	c.DataDir, c.Addr = dir, addr
	c.HeartbeatTimeout, c.ElectionTimeout, c.LeaderLease = 250*time.Millisecond, 250*time.Millisecond, 250*time.Millisecond
	c.CommitTimeout = 10 * time.Millisecond
	c.RPCTimeout = 2 * time.Second
	c.StoreHangTimeout = 10 * time.Second
	return c
}

// open makes a peer at addr ("127.0.0.1:0" for a new one) that does not run yet.
func open(t *testing.T, dir, addr string, change func(*Config)) *peer {
	t.Helper()
	l, err := listen.New(addr)
	require.NoError(t, err)
	p := &peer{machine: &journal{}, log: &lines{}, ended: make(chan error, 1)}
	log := slog.New(slog.NewTextHandler(p.log, nil))
	cfg := testConfig(dir, l.Addr().String())
	if change != nil {
		change(&cfg)
	}
	p.Node, err = Open(cfg, NewFSM(p.machine), l.Protocol(Protocol), log)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	netEnded := make(chan struct{})
	go func() { defer close(netEnded); _ = l.Run(ctx) }()
	p.stopNet = func() { cancel(); <-netEnded }
	return p
}

func (p *peer) start(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	p.cancel = cancel
	go func() { p.ended <- p.Run(ctx) }()
	select {
	case <-p.Ready():
	case err := <-p.ended:
		require.NoError(t, err)
	}
	t.Cleanup(func() {
		cancel()
		if t.Failed() {
			t.Logf("log of %s:\n%s", p.Addr(), p.log)
		}
	})
}

// wait returns what Run returned.
func (p *peer) wait(t *testing.T) error {
	t.Helper()
	select {
	case err := <-p.ended:
		p.stopNet()
		return err
	case <-time.After(patience):
		require.FailNow(t, "Run did not end")
		return nil
	}
}

func (p *peer) stop(t *testing.T) {
	t.Helper()
	p.cancel()
	require.NoError(t, p.wait(t))
}

// crash cuts the peer off from the others before it stops, so that it can hand nothing over.
func (p *peer) crash(t *testing.T) {
	t.Helper()
	require.NoError(t, p.stream.Close())
	p.cancel()
	_ = p.wait(t)
}

// single returns a running cluster of one.
func single(t *testing.T, change func(*Config)) *peer {
	t.Helper()
	p := open(t, t.TempDir(), "127.0.0.1:0", change)
	require.NoError(t, p.Bootstrap([]Server{{ID: p.ID(), Addr: p.Addr(), Voter: true}}))
	p.start(t)
	leaderOf(t, p)
	return p
}

// cluster returns n running servers that bootstrapped together.
func cluster(t *testing.T, n int, change func(*Config)) []*peer {
	t.Helper()
	var peers []*peer
	var servers []Server
	for range n {
		p := open(t, t.TempDir(), "127.0.0.1:0", change)
		peers = append(peers, p)
		servers = append(servers, Server{ID: p.ID(), Addr: p.Addr(), Voter: true})
	}
	for _, p := range peers {
		require.NoError(t, p.Bootstrap(servers))
		p.start(t)
	}
	return peers
}

// until polls a condition that no channel announces.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	require.Eventually(t, ok, patience, 5*time.Millisecond, what)
}

// leaderOf waits for a leader that serves.
func leaderOf(t *testing.T, peers ...*peer) *peer {
	t.Helper()
	var leader *peer
	until(t, "no leader", func() bool {
		for _, p := range peers {
			if !p.IsLeader() {
				continue
			}
			if _, err := p.Barrier(t.Context()); err == nil {
				leader = p
				return true
			}
		}
		return false
	})
	return leader
}

func others(peers []*peer, not *peer) []*peer {
	var out []*peer
	for _, p := range peers {
		if p != not {
			out = append(out, p)
		}
	}
	return out
}

func command(key string) *apiv1.Command { return &apiv1.Command{Key: key} }

func propose(t *testing.T, p *peer, key string) {
	t.Helper()
	res, err := p.Propose(t.Context(), command(key))
	require.NoError(t, err)
	require.Equal(t, key, res.Id, "the proposal's own result")
}

// commit proposes to whoever of the peers leads until it is done: on a crowded machine leaders come and go. It may be applied twice.
func commit(t *testing.T, key string, peers ...*peer) {
	t.Helper()
	until(t, "not committed", func() bool {
		_, err := leaderOf(t, peers...).Propose(t.Context(), command(key))
		return err == nil
	})
}

func keys(prefix string, n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = fmt.Sprintf("%s-%d", prefix, i)
	}
	return out
}

func logged(p *peer, text string) func() bool {
	return func() bool { return strings.Contains(p.log.String(), text) }
}

// brokenSnapshots cannot be opened for want of descriptors.
type brokenSnapshots struct{ raft.SnapshotStore }

func (brokenSnapshots) Open(id string) (*raft.SnapshotMeta, io.ReadCloser, error) {
	return nil, nil, &os.PathError{Op: "open", Path: id, Err: syscall.EMFILE}
}
