package mpi

import (
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/godwit-run/godwit/internal/fifo"
	"github.com/godwit-run/godwit/mpi/channel"
	"github.com/godwit-run/godwit/mpi/layout"
)

// World is the local part of one app's world: zero or more of its ranks. It has
// no goroutines; work is done by the guests' calls and by Receive. All methods
// may be called from any goroutine.
type World struct {
	cfg   Config
	net   Network
	start time.Time
	cores int    // that its guests run on
	yield func() // yieldProcessor, but for tests

	procs    []atomic.Pointer[Proc] // by rank, nil if not local; changed under mu
	crowd    atomic.Int32           // how many are local
	sleepers atomic.Int32           // of them, those that sleep, or are about to, and wait for what may come from elsewhere
	everyone *group                 // of MPI_COMM_WORLD
	limits   channel.Limits
	types    []*layout.Type // the named ones, by handle
	segments segments
	meetings meetings
	changes  atomic.Uint32 // of which ranks are here

	// mu is held by who changes which ranks are here, or reachable; it is taken before any rank's lock.
	mu     sync.Mutex
	missed map[Rank]map[Rank]bool // senders whose frames came for a rank that was not here, or was about to leave
	ended  []bool                 // by rank: it has ended, and is in no World any more
}

// NewWorld returns a World without ranks. The config must be valid.
func NewWorld(cfg Config, net Network) *World {
	if err := cfg.Validate(); err != nil {
		panic(err)
	}
	return &World{
		cfg:    cfg,
		net:    net,
		yield:  yieldProcessor,
		start:  time.Now(),
		cores:  min(runtime.NumCPU(), runtime.GOMAXPROCS(0)),
		procs:  make([]atomic.Pointer[Proc], cfg.Size),
		missed: map[Rank]map[Rank]bool{},
		ended:  make([]bool, cfg.Size),

		meetings: meetings{by: map[uint64]*meeting{}},
		segments: segments{byID: map[uint64]*sharedSegment{}},
		everyone: &group{ranks: ranksTo(cfg.Size)},
		types:    layout.Named(),
		limits:   channel.Limits{Window: cfg.WindowBytes, Chunk: cfg.ChunkBytes, Credit: cfg.CreditBytes},
	}
}

// named is a predefined datatype, or nil.
func (w *World) named(handle uint32) *layout.Type {
	if uint64(handle) >= uint64(len(w.types)) {
		return nil
	}
	return w.types[handle]
}

// spins reports whether a rank that waits may keep its processor: all ranks are here, and each has one of its own. What brings frames of others would
// have to wait for it.
func (w *World) spins() bool {
	return int(w.crowd.Load()) == w.cfg.Size && w.roomy()
}

// roomy reports whether each rank that is here has a processor of its own.
func (w *World) roomy() bool { return w.cores > 1 && int(w.crowd.Load()) <= w.cores }

// ranksTo are the ranks 0 to n-1.
func ranksTo(n int) []Rank {
	all := make([]Rank, n)
	for i := range all {
		all[i] = Rank(i)
	}
	return all
}

// now is the time since the World was made: what ranks' clocks are measured by.
func (w *World) now() time.Duration { return time.Since(w.start) }

func (w *World) checkNew(r Rank) error {
	if r < 0 || int(r) >= w.cfg.Size {
		return fmt.Errorf("rank %d of %d: %w", r, w.cfg.Size, ErrNoRank)
	}
	if w.proc(r) != nil {
		return fmt.Errorf("rank %d: %w", r, ErrRankExists)
	}
	return nil
}

// AddRank adds a fresh rank, attached. epoch is the placement's. It fails with
// ErrRankExists or ErrNoRank.
func (w *World) AddRank(r Rank, epoch uint64, mem Memory) (*Proc, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.checkNew(r); err != nil {
		return nil, err
	}
	p := w.newProc(r, epoch, mem)
	copy(p.over, w.ended)
	p.left = slices.Contains(w.ended, true)
	w.put(p)
	w.attachLocal(p)
	p.lock()
	defer p.release()
	for peer := range w.missed[r] {
		p.pair(peer).attachRemote()
	}
	delete(w.missed, r)
	return p, nil
}

// RestoreRank adds a rank from Capture's bytes, attached: Decode and Join.
func (w *World) RestoreRank(r Rank, epoch uint64, mem Memory, state []byte) (*Proc, error) {
	p, err := w.Decode(r, mem, state)
	if err != nil {
		return nil, err
	}
	return p, w.Join(p, epoch)
}

// Decode makes a rank of Capture's bytes, which is in no World before Join: what could fail has been done then. mem must already
// hold the memory as it was after Capture. It fails with ErrState or ErrNoRank.
func (w *World) Decode(r Rank, mem Memory, state []byte) (*Proc, error) {
	if r < 0 || int(r) >= w.cfg.Size {
		return nil, fmt.Errorf("rank %d of %d: %w", r, w.cfg.Size, ErrNoRank)
	}
	p := w.newProc(r, 0, mem)
	if err := p.decode(state); err != nil {
		return nil, fmt.Errorf("restore rank %d: %w", r, err)
	}
	p.decoded = time.Now()
	return p, nil
}

// Join adds a decoded rank, attached. epoch is the placement's. What local peers had not got is exchanged at once, and those
// ranks elsewhere are told that it has had to do with. It fails with ErrRankExists and then has changed nothing.
func (w *World) Join(p *Proc, epoch uint64) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.checkNew(p.rank); err != nil {
		return err
	}
	p.epoch = epoch
	p.clockStart = p.clockStart.Add(time.Since(p.decoded)) // it stood still
	for peer := range w.missed[p.rank] {
		p.pair(peer)
	}
	delete(w.missed, p.rank)
	w.put(p)
	w.attach(p)
	return nil
}

// Tied is ErrTied, with the reason, for a rank that cannot leave its host now; nil: it can. It may be otherwise when the rank has stopped.
func (w *World) Tied(r Rank) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	p := w.proc(r)
	if p == nil {
		return nil
	}
	p.lock()
	defer p.release()
	return p.tiedHere()
}

// tiedHere is Tied for a rank that is locked.
func (p *Proc) tiedHere() error {
	if !p.tied() {
		return nil
	}
	return fmt.Errorf("rank %d: %w: it holds a window of MPI_Win_allocate_shared", p.rank, ErrTied)
}

// Capture detaches a rank whose guest has returned from Invoke with ErrFrozen
// (or is not running) and returns its MPI state, or ErrTied. Read the guest's memory after
// Capture, not before: until then messages may arrive in it. Frames to the rank
// are dropped from now on and local sends to it stay with their senders.
func (w *World) Capture(r Rank) ([]byte, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	p := w.proc(r)
	if p == nil {
		return nil, fmt.Errorf("capture rank %d: %w", r, ErrNoRank)
	}
	p.lock()
	tied := p.tiedHere()
	p.release()
	if tied != nil {
		return nil, fmt.Errorf("capture %w", tied)
	}
	w.detach(p)
	p.lock()
	defer p.release()
	for _, c := range p.pairs {
		if c != nil {
			c.stopCopies()
		}
	}
	return p.encode(), nil
}

// Resume undoes Capture's detaching: the migration was aborted. The rank stays
// asked to freeze until Unfreeze.
func (w *World) Resume(r Rank) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	p := w.proc(r)
	if p == nil {
		return fmt.Errorf("resume rank %d: %w", r, ErrNoRank)
	}
	if !p.attached.Load() {
		w.attach(p)
	}
	return nil
}

// Remove forgets a rank that has moved away or ended. A guest blocked in a call
// must have been cancelled before. Frames to the rank go to the Network from now on, and nobody uses its memory any more.
func (w *World) Remove(r Rank) {
	w.mu.Lock()
	defer w.mu.Unlock()
	p := w.proc(r)
	if p == nil {
		return
	}
	w.detach(p)
	w.procs[r].Store(nil)
	w.crowd.Add(-1)
	w.changes.Add(1)
	for _, peer := range p.letGo() {
		w.note(r, peer)
	}
	// Where it runs now it may have told us already, and we dropped that as long as it was here.
	w.reconnect(r)
}

// PeerEnded tells that a rank elsewhere (or here) has ended, and drained if its end was a good one: nothing comes from it
// any more, and nothing goes to it. Of a rank that is here it is called before Remove.
func (w *World) PeerEnded(peer Rank) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if peer < 0 || int(peer) >= w.cfg.Size || w.ended[peer] {
		return
	}
	w.ended[peer] = true
	delete(w.missed, peer)
	w.each(func(p *Proc) {
		if p.rank == peer {
			return
		}
		p.over[peer] = true
		if c := p.pairs[peer]; c != nil {
			c.peerRemoved()
		}
		p.left = true
		p.changed()
	})
}

// Reconnect tells that the route to peer is new: frames may have been lost.
// Every attached local rank that has had to do with peer tells it what it has got, and sends again what
// peer has not acked. Whoever connects two Worlds calls it on both, for all
// ranks on the other side.
func (w *World) Reconnect(peer Rank) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if peer >= 0 && int(peer) < w.cfg.Size && w.proc(peer) == nil {
		w.reconnect(peer)
	}
}

func (w *World) reconnect(peer Rank) {
	if w.ended[peer] {
		return
	}
	w.each(func(p *Proc) {
		if c := p.pairs[peer]; c != nil && p.attached.Load() {
			c.attachRemote()
		}
	})
}

// proc returns a local rank or nil.
func (w *World) proc(r Rank) *Proc {
	if r < 0 || int(r) >= len(w.procs) {
		return nil
	}
	return w.procs[r].Load()
}

// each calls f for all local ranks, with each one's lock.
func (w *World) each(f func(p *Proc)) {
	for r := range w.procs {
		if p := w.procs[r].Load(); p != nil {
			p.lock()
			f(p)
			p.release()
		}
	}
}

// letGo gives up the rank's memory, and what others have put before it. It returns those whose first frames were dropped, since the rank stood still: they are not in
// its state. Whoever brings one from now on finds that the rank is removed.
func (p *Proc) letGo() (missed []Rank) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.removed = true
	for peer, c := range p.pairs {
		if c == nil {
			continue
		}
		c.copies = fifo.Queue[*request]{}
		if !c.used() {
			missed = append(missed, Rank(peer))
		}
	}
	return missed
}

// put makes a rank a local one, to which messages go at once. Holds mu.
func (w *World) put(p *Proc) {
	p.attached.Store(true)
	w.crowd.Add(1)
	w.procs[p.rank].Store(p)
	w.changes.Add(1)
}

// detach makes a rank unreachable. When it returns, all that was on its way from it within the World has arrived, and nobody
// puts anything into its inbox or uses its memory any more. Holds mu.
func (w *World) detach(p *Proc) {
	p.lock()
	p.attached.Store(false)
	p.partAll()
	p.release()
	w.each(func(q *Proc) {
		if c := q.pairs[p.rank]; c != nil && q != p {
			c.stopCopies()
		}
	})
}

// attach makes a rank reachable: unacked frames are exchanged with local peers,
// and those ranks elsewhere hear of it that it has had to do with. Who has sent it something and is none of them hears that its route is new. Holds mu.
func (w *World) attach(p *Proc) {
	p.attached.Store(true)
	w.attachLocal(p)
	p.lock()
	defer p.release()
	copy(p.over, w.ended)
	for r := range w.procs {
		p.left = p.left || p.gone(Rank(r))
		c := p.pairs[r]
		switch {
		case c == nil:
		case w.ended[r] && Rank(r) != p.rank:
			c.peerRemoved() // while the rank was not here
		case w.procs[r].Load() == nil:
			c.attachRemote()
		}
	}
	p.changed()
}

// attachLocal brings a rank and all others of the World to direct delivery. Holds mu.
func (w *World) attachLocal(p *Proc) {
	for r := range w.procs {
		q := w.procs[r].Load()
		if q == nil || q == p || !q.attached.Load() {
			continue
		}
		first, second := p, q
		if q.rank < p.rank {
			first, second = q, p
		}
		// What there is to be done then is done with one lock only: it may take long.
		first.lock()
		second.lock()
		if p.pairs[q.rank] != nil || q.pairs[p.rank] != nil {
			exchange(p.pair(q.rank), q.pair(p.rank))
		}
		second.mu.Unlock()
		first.release()
		second.lock()
		second.release()
	}
	p.lock()
	defer p.release()
	p.scheduleAll()
}

// Room tells that the Network has room again for frames that it has refused. It waits for no rank in a long call: that one goes on with them itself.
func (w *World) Room() {
	for r := range w.procs {
		p := w.procs[r].Load()
		if p == nil || !p.crowded.CompareAndSwap(true, false) {
			continue
		}
		p.reopened.Store(true)
		p.in.urgent.Store(true) // behind that: who clears it finds it
		p.tryServe()
	}
}
