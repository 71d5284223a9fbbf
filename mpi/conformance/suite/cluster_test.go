package suite_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/godwit-run/godwit/internal/files"
	"github.com/godwit-run/godwit/mpi"
	"github.com/godwit-run/godwit/worker/wasm"
)

// cluster runs one app whose ranks are spread over several Worlds, each a host of its own, joined by queues. With every > 0
// a rank freezes some rank about every so many calls of its own; a frozen rank goes on in place, or moves to another World.
type cluster struct {
	t      *testing.T
	module *wasm.Module
	args   []string
	seed   uint64
	every  int
	worlds []*mpi.World
	mounts []wasm.Mount // all see one directory, where they begin
	links  map[[2]int]*link
	linked sync.WaitGroup
	prints atomic.Int64 // times that a rank has printed

	mu     sync.Mutex // guards all below
	random *rand.Rand
	ranks  []*rank
	epoch  uint64
	moves  int
	stays  int
}

// rank is one rank: where it is now, and what it has printed.
type rank struct {
	c      *cluster
	id     mpi.Rank
	world  int
	proc   *mpi.Proc
	guest  *wasm.Guest
	stdout bytes.Buffer
	exit   wasm.Exit
}

// link carries frames from one World to another, in order.
type link struct {
	mu     sync.Mutex
	cond   *sync.Cond
	queue  [][]byte
	closed bool
}

// port is a World's Network.
type port struct {
	c    *cluster
	from int
}

// Send implements mpi.Network. It is called under the World's lock: where a rank is has a lock of its own.
func (n port) Room(mpi.Rank, bool) bool { return true }

func (port) Poll(func(bool) mpi.Look) bool { return false }
func (port) Wake()                         {}

func (n port) Send(dst mpi.Rank, head, payload []byte, _ mpi.Way) {
	n.c.mu.Lock()
	l := n.c.links[[2]int{n.from, n.c.ranks[dst].world}]
	n.c.mu.Unlock()
	if l == nil {
		return // a route to ourselves: the rank is on its way
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.queue = append(l.queue, slices.Concat(head, payload))
	l.cond.Signal()
}

func (l *link) carry(to *mpi.World) {
	for {
		l.mu.Lock()
		for len(l.queue) == 0 && !l.closed {
			l.cond.Wait()
		}
		if l.closed {
			l.mu.Unlock()
			return
		}
		frame := l.queue[0]
		l.queue = l.queue[1:]
		l.mu.Unlock()
		to.Receive(frame)
	}
}

// newCluster places size ranks on hosts, round robin.
func newCluster(t *testing.T, module *wasm.Module, size, hosts, every int, seed uint64, args ...string) *cluster {
	c := &cluster{
		t: t, module: module, args: append([]string{"conformance"}, args...), seed: seed, every: every,
		links: map[[2]int]*link{}, random: rand.New(rand.NewPCG(seed, 1)), epoch: 1,
	}
	tree, err := files.OpenLocal(t.TempDir(), false)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, tree.Close()) })
	c.mounts = []wasm.Mount{{Path: "/work", Tree: tree}}
	for h := range hosts {
		cfg := mpi.DefaultConfig(size)
		cfg.Host = fmt.Sprint("h", h)
		c.worlds = append(c.worlds, mpi.NewWorld(cfg, port{c, h}))
	}
	for from := range hosts {
		for to := range hosts {
			if from != to {
				l := &link{}
				l.cond = sync.NewCond(&l.mu)
				c.links[[2]int{from, to}] = l
				c.linked.Go(func() { l.carry(c.worlds[to]) })
			}
		}
	}
	for id := range size {
		r := &rank{c: c, id: mpi.Rank(id), world: id % hosts}
		var err error
		r.guest, err = module.New(context.Background(), r.config())
		require.NoError(t, err)
		c.ranks = append(c.ranks, r)
	}
	for _, r := range c.ranks {
		var err error
		r.proc, err = c.worlds[r.world].AddRank(r.id, 1, r.guest.Memory())
		require.NoError(t, err)
	}
	return c
}

func (r *rank) config() wasm.GuestConfig {
	return wasm.GuestConfig{Args: r.c.args, Stdout: printer{r}, Stderr: printer{r}, Mounts: r.c.mounts, Dir: "/work"}
}

// printer is where a rank prints.
type printer struct{ r *rank }

func (p printer) Write(b []byte) (int, error) {
	p.r.c.prints.Add(1)
	return p.r.stdout.Write(b)
}

// limit is how long an app may print nothing: one that is silent for longer is stuck. Rank 0 prints a line for each test.
const limit = 4 * time.Minute

// run runs all ranks to their ends.
func (c *cluster) run() {
	c.t.Helper()
	done := make(chan struct{})
	var running sync.WaitGroup
	for _, r := range c.ranks {
		running.Go(r.live)
	}
	go func() { running.Wait(); close(done) }()
	for prints, ended := int64(-1), false; !ended; {
		select {
		case <-done:
			ended = true
		case <-time.After(limit):
			now := c.prints.Load()
			if now == prints {
				panic(fmt.Sprintf("stuck, with seed %d: %s", c.seed, c.inspect()))
			}
			prints = now
		}
	}
	for _, r := range c.ranks {
		c.worlds[r.world].Remove(r.id)
		require.NoError(c.t, r.guest.Close(context.Background()))
	}
	for _, l := range c.links {
		l.mu.Lock()
		l.closed = true
		l.cond.Signal()
		l.mu.Unlock()
	}
	c.linked.Wait()
	for _, r := range c.ranks {
		if errors.Is(r.exit.Err, errPeer) {
			continue // the rank that failed says why
		}
		require.Zero(c.t, r.exit.Code, "rank %d: %s\n%s", r.id, r.exit.Reason, r.stdout.String())
	}
}

func (c *cluster) inspect() string {
	text := ""
	for i, w := range c.worlds {
		for _, r := range c.ranks {
			if what := w.Inspect(r.id); what != "not here" {
				text += fmt.Sprintf("\nhost %d rank %d: %s", i, r.id, what)
			}
		}
	}
	return text
}

// live runs a rank through all its freezes to its end. A failure ends the whole app.
func (r *rank) live() {
	c := r.c
	for {
		r.guest.Bind(&host{r.proc, c})
		r.exit = r.guest.Run(context.Background())
		if !r.exit.Frozen {
			break
		}
		if err := r.thaw(); err != nil {
			r.exit = wasm.Exit{Code: 255, Reason: err.Error(), Err: err}
			break
		}
	}
	if r.exit.Code != 0 {
		c.mu.Lock()
		procs := make([]*mpi.Proc, len(c.ranks))
		for i, o := range c.ranks {
			procs[i] = o.proc
		}
		c.mu.Unlock()
		for _, p := range procs {
			p.Cancel(errPeer)
		}
		return
	}
	for errors.Is(r.proc.Drain(), mpi.ErrFrozen) { // others' failure cancels it
		if err := r.thaw(); err != nil {
			panic(err)
		}
	}
}

var errPeer = errors.New("another rank has failed")

// thaw brings a frozen rank back: in place, as after an abort, or in another World, or in the same one from an image.
func (r *rank) thaw() error {
	c := r.c
	from := c.worlds[r.world]
	tied := from.Tied(r.id)
	state, err := from.Capture(r.id)
	if (tied != nil) != errors.Is(err, mpi.ErrTied) {
		return fmt.Errorf("asked whether it can leave it says %w, and when it is to %w", tied, err)
	}
	c.mu.Lock()
	to, abort := c.random.IntN(len(c.worlds)), c.random.IntN(4) == 0 || errors.Is(err, mpi.ErrTied)
	if abort {
		c.stays++
	} else {
		c.moves++
	}
	c.mu.Unlock()
	if err != nil && !errors.Is(err, mpi.ErrTied) {
		return err
	}
	if abort {
		if err := from.Resume(r.id); err != nil {
			return err
		}
		r.proc.Unfreeze()
		return nil
	}
	var image bytes.Buffer
	if err := r.guest.Capture(&image); err != nil {
		return err
	}
	c.mu.Lock()
	c.epoch++
	epoch := c.epoch
	r.world = to
	c.mu.Unlock()
	from.Remove(r.id)
	if err := r.guest.Close(context.Background()); err != nil {
		return err
	}
	if r.guest, err = c.module.Restore(context.Background(), r.config(), &image); err != nil {
		return err
	}
	proc, err := c.worlds[to].RestoreRank(r.id, epoch, r.guest.Memory(), state)
	if err != nil {
		return err
	}
	c.mu.Lock()
	r.proc = proc
	c.mu.Unlock()
	for i, w := range c.worlds {
		if i != to {
			w.Reconnect(r.id)
		}
	}
	return nil
}

// host is what a guest's calls reach: the rank's Proc, and a source of freezes.
type host struct {
	proc *mpi.Proc
	c    *cluster
}

func (h *host) Bind(g mpi.Guest) { h.proc.Bind(g) }

func (h *host) Invoke(call *mpi.Call, args []uint64) (uint64, error) {
	if c := h.c; c.every > 0 {
		c.mu.Lock()
		var victim *mpi.Proc
		if c.random.IntN(c.every) == 0 {
			victim = c.ranks[c.random.IntN(len(c.ranks))].proc
		}
		c.mu.Unlock()
		if victim != nil {
			victim.Freeze()
		}
	}
	return h.proc.Invoke(call, args)
}
