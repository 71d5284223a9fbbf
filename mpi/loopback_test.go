package mpi

import (
	"errors"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
)

// cluster joins Worlds by links that lose what is in flight when they break.
type cluster struct {
	t      *testing.T
	worlds []*World
	size   int

	mu    sync.Mutex
	where []int // world of each rank
	links map[[2]int]*link
	epoch uint64

	sent atomic.Int64 // frames
	wg   sync.WaitGroup
}

// link carries frames from one world to another, each way's in order but for the urgent ones. It has room for few others.
type link struct {
	mu      sync.Mutex
	cond    *sync.Cond
	queues  [2][][]byte // of BulkWay the second
	refused bool
	closed  bool
}

// linkFrames is from how many frames on a link has no room.
const linkFrames = 8

// port is a World's Network.
type port struct {
	c    *cluster
	from int
}

func (n port) link(dst Rank) *link {
	n.c.mu.Lock()
	defer n.c.mu.Unlock()
	return n.c.links[[2]int{n.from, n.c.where[dst]}]
}

func (port) Poll(func(bool) Look) bool { return false }
func (port) Wake()                     {}

func (n port) Room(dst Rank, bulk bool) bool {
	l := n.link(dst)
	if l == nil {
		return true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	full := len(l.queues[truth(bulk)]) >= linkFrames
	l.refused = l.refused || full
	return !full
}

func (n port) Send(dst Rank, head, payload []byte, way Way) {
	n.c.sent.Add(1)
	frame := slices.Concat(head, payload)
	l := n.link(dst)
	if l == nil {
		return // a route to ourselves: the rank is on its way
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	q := &l.queues[truth(way == BulkWay)]
	*q = slices.Insert(*q, pick(way == UrgentWay, 0, len(*q)), frame)
	l.cond.Signal()
}

// newCluster places ranks round robin on n worlds.
func newCluster(t *testing.T, cfg Config, n int) *cluster {
	c := &cluster{t: t, size: cfg.Size, links: map[[2]int]*link{}, epoch: 1}
	for i := range n {
		c.worlds = append(c.worlds, NewWorld(cfg, port{c, i}))
	}
	for r := range cfg.Size {
		c.where = append(c.where, r%n)
	}
	for i := range n {
		for j := range n {
			if i != j {
				c.connect(i, j)
			}
		}
	}
	return c
}

func (c *cluster) connect(from, to int) {
	l := &link{}
	l.cond = sync.NewCond(&l.mu)
	c.links[[2]int{from, to}] = l
	c.wg.Go(func() {
		for {
			l.mu.Lock()
			for len(l.queues[0])+len(l.queues[1]) == 0 && !l.closed {
				l.cond.Wait()
			}
			if l.closed {
				l.mu.Unlock()
				return
			}
			q := &l.queues[rand.IntN(2)]
			if len(*q) == 0 {
				q = pick(q == &l.queues[0], &l.queues[1], &l.queues[0])
			}
			f := (*q)[0]
			*q = (*q)[1:]
			again := l.refused && max(len(l.queues[0]), len(l.queues[1])) <= linkFrames/2
			l.refused = l.refused && !again
			l.mu.Unlock()
			if again {
				c.worlds[from].Room()
			}
			c.worlds[to].Receive(f)
		}
	})
}

func (c *cluster) close() {
	for _, l := range c.links {
		l.mu.Lock()
		l.closed = true
		l.cond.Signal()
		l.mu.Unlock()
	}
	c.wg.Wait()
}

// drop loses frames in flight from one world to another: all, or those of one of the ways.
func (c *cluster) drop(from, to int) {
	l := c.links[[2]int{from, to}]
	l.mu.Lock()
	defer l.mu.Unlock()
	switch rand.IntN(3) {
	case 0:
		l.queues[0] = nil
	case 1:
		l.queues[1] = nil
	default:
		l.queues = [2][][]byte{}
	}
}

func (c *cluster) location(r int) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.where[r]
}

// breakLink breaks the connection of two worlds and connects them again.
func (c *cluster) breakLink(a, b int) {
	c.drop(a, b)
	c.drop(b, a)
	for r := range c.size {
		switch c.location(r) {
		case a:
			c.worlds[b].Reconnect(Rank(r))
		case b:
			c.worlds[a].Reconnect(Rank(r))
		}
	}
}

// move freezes a guest and goes on with it in another world, or aborts. It
// reports false if the guest had ended.
func (c *cluster) move(g *guest, to int, commit, removeLate bool) bool {
	p := g.current(c)
	if p == nil {
		return false
	}
	p.Freeze()
	select {
	case <-g.ctl.frozenCh:
	case <-g.ctl.endedCh:
		p.Unfreeze()
		return false
	}
	from := c.location(g.rank)
	state, err := c.worlds[from].Capture(p.Rank())
	require.NoError(c.t, err)
	mem := append(arena(nil), p.mem.Bytes()...)
	if !commit || from == to {
		require.NoError(c.t, c.worlds[from].Resume(p.Rank()))
		p.Unfreeze()
		g.thawCh <- thawed{p, p.mem.(arena)}
		return true
	}
	c.mu.Lock()
	c.where[g.rank] = to
	c.epoch++
	epoch := c.epoch
	c.mu.Unlock()
	if !removeLate {
		c.worlds[from].Remove(p.Rank())
	}
	q, err := c.worlds[to].RestoreRank(p.Rank(), epoch, mem, state)
	require.NoError(c.t, err)
	require.Equal(c.t, state[:2], q.encodeLocked()[:2])
	for i, w := range c.worlds {
		if i != to {
			w.Reconnect(p.Rank())
		}
	}
	g.thawCh <- thawed{q, mem}
	if removeLate { // the source learns of the commit when the rank runs elsewhere already
		for range 500 {
			runtime.Gosched()
		}
		c.worlds[from].Remove(p.Rank())
	}
	return true
}

// over removes a rank that has drained, and tells all worlds: its own first, the others in any order with what else happens.
func (c *cluster) over(r Rank) {
	home := c.worlds[c.location(int(r))]
	home.PeerEnded(r)
	home.Remove(r)
	for _, w := range c.worlds {
		w.PeerEnded(r)
	}
}

func (p *Proc) encodeLocked() []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.encode()
}

// current returns the guest's Proc, where the guest itself does not change it.
func (g *guest) current(c *cluster) *Proc {
	w := c.worlds[c.location(g.rank)]
	return w.proc(Rank(g.rank))
}

// runCluster runs f on all ranks, spread over worlds, while disturb acts until
// it returns; it is told by endedCh when all guests have ended.
func runCluster(t *testing.T, cfg Config, worlds int, f func(g *guest), disturb func(c *cluster, guests []*guest, endedCh <-chan struct{})) {
	c := newCluster(t, cfg, worlds)
	calls := callsByName()
	guests := make([]*guest, cfg.Size)
	errs := make([]error, cfg.Size)
	var wg sync.WaitGroup
	for r := range guests {
		g := newGuest(r, cfg.Size, calls)
		g.mem = make(arena, arenaBytes)
		guests[r] = g
		var err error
		g.p, err = c.worlds[c.where[r]].AddRank(Rank(r), 1, g.mem)
		require.NoError(t, err)
		wg.Go(func() {
			errs[r] = g.run(func(g *guest) {
				g.call("MPI_Init", 0, 0)
				f(g)
				g.call("MPI_Finalize")
				g.drain()
				c.over(Rank(r))
			})
			if errs[r] != nil && !errors.Is(errs[r], errPeer) {
				panic(errs[r])
			}
		})
	}
	endedCh := make(chan struct{})
	done := make(chan struct{})
	go func() { disturb(c, guests, endedCh); close(done) }()
	waitFor(t, &wg, func() string { return inspectAll(c.worlds...) })
	close(endedCh)
	<-done
	for r := range guests {
		require.NoError(t, errs[r])
		p := guests[r].p
		require.Empty(t, p.unexpected)
		require.Empty(t, p.posted)
		require.Len(t, p.freeList, len(p.requests), "requests leak")
	}
	c.close()
}

func calm(*cluster, []*guest, <-chan struct{}) {}

// breaker breaks random links.
func breaker(rnd *rand.Rand) func(*cluster, []*guest, <-chan struct{}) {
	return func(c *cluster, _ []*guest, endedCh <-chan struct{}) {
		for !ended(endedCh) {
			a := rnd.IntN(len(c.worlds))
			b := (a + 1 + rnd.IntN(len(c.worlds)-1)) % len(c.worlds)
			c.breakLink(a, b)
			pause(rnd)
		}
	}
}

// wanderer moves random ranks, and breaks links too.
func wanderer(rnd *rand.Rand, moves *int) func(*cluster, []*guest, <-chan struct{}) {
	return func(c *cluster, guests []*guest, endedCh <-chan struct{}) {
		for !ended(endedCh) {
			g := guests[rnd.IntN(len(guests))]
			if c.move(g, rnd.IntN(len(c.worlds)), rnd.IntN(4) > 0, rnd.IntN(2) == 0) {
				*moves++
			}
			if rnd.IntN(4) == 0 {
				a := rnd.IntN(len(c.worlds))
				c.breakLink(a, (a+1)%len(c.worlds))
			}
			pause(rnd)
		}
	}
}

func ended(ch <-chan struct{}) bool {
	select {
	case <-ch:
		return true
	default:
		return false
	}
}
