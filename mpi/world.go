package mpi

import (
	"fmt"
	"slices"
	"sync"
	"time"
)

// World is the local part of one app's world: zero or more of its ranks. It has
// no goroutines; work is done by the guests' calls and by Receive. All methods
// may be called from any goroutine.
type World struct {
	cfg   Config
	net   Network
	start time.Time

	// mu guards everything below, all Procs and their channels. It is held for
	// at most about one chunk's copy at a time.
	mu      sync.Mutex
	procs   []*Proc                // by rank, nil if not local
	backlog []*channel             // channels that can send more, in turn
	missed  map[Rank]map[Rank]bool // senders whose frames came for a rank before it was here
	ended   []bool                 // by rank: it has ended, and is in no World any more

	segments map[uint64]*sharedSegment // of windows that are being made, by their id
	everyone *group                    // of MPI_COMM_WORLD
}

// NewWorld returns a World without ranks. The config must be valid.
func NewWorld(cfg Config, net Network) *World {
	if err := cfg.Validate(); err != nil {
		panic(err)
	}
	return &World{
		cfg:    cfg,
		net:    net,
		start:  time.Now(),
		procs:  make([]*Proc, cfg.Size),
		missed: map[Rank]map[Rank]bool{},
		ended:  make([]bool, cfg.Size),

		segments: map[uint64]*sharedSegment{},
		everyone: &group{ranks: ranksTo(cfg.Size)},
	}
}

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
	if w.procs[r] != nil {
		return fmt.Errorf("rank %d: %w", r, ErrRankExists)
	}
	return nil
}

// AddRank adds a fresh rank, attached. epoch is the placement's. It fails with
// ErrRankExists or ErrNoRank.
func (w *World) AddRank(r Rank, epoch uint64, mem Memory) (*Proc, error) {
	w.mu.Lock()
	defer w.unlock()
	if err := w.checkNew(r); err != nil {
		return nil, err
	}
	p := w.newProc(r, epoch, mem)
	p.left = slices.Contains(w.ended, true)
	w.procs[r] = p
	p.attached = true
	w.attachLocal(p)
	for peer := range w.missed[r] {
		w.attachRemote(p, peer)
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

// Join adds a decoded rank, attached. epoch is the placement's. What local peers had not got is exchanged at once, and all
// remote ranks are told. It fails with ErrRankExists and then has changed nothing.
func (w *World) Join(p *Proc, epoch uint64) error {
	w.mu.Lock()
	defer w.unlock()
	if err := w.checkNew(p.rank); err != nil {
		return err
	}
	p.epoch = epoch
	p.clockStart = p.clockStart.Add(time.Since(p.decoded)) // it stood still
	w.procs[p.rank] = p
	delete(w.missed, p.rank)
	w.attach(p)
	return nil
}

// Capture detaches a rank whose guest has returned from Invoke with ErrFrozen
// (or is not running) and returns its MPI state, or ErrTied. Read the guest's memory after
// Capture, not before: until then messages may arrive in it. Frames to the rank
// are dropped from now on and local sends to it stay with their senders.
func (w *World) Capture(r Rank) ([]byte, error) {
	w.mu.Lock()
	defer w.unlock()
	p := w.proc(r)
	if p == nil {
		return nil, fmt.Errorf("capture rank %d: %w", r, ErrNoRank)
	}
	if p.tied() {
		return nil, fmt.Errorf("capture rank %d: %w: it holds a window of MPI_Win_allocate_shared", r, ErrTied)
	}
	p.attached = false
	return p.encode(), nil
}

// Resume undoes Capture's detaching: the migration was aborted. The rank stays
// asked to freeze until Unfreeze.
func (w *World) Resume(r Rank) error {
	w.mu.Lock()
	defer w.unlock()
	p := w.proc(r)
	if p == nil {
		return fmt.Errorf("resume rank %d: %w", r, ErrNoRank)
	}
	if !p.attached {
		w.attach(p)
	}
	return nil
}

// Remove forgets a rank that has moved away or ended. A guest blocked in a call
// must have been cancelled before. Frames to the rank go to the Network from now on.
func (w *World) Remove(r Rank) {
	w.mu.Lock()
	defer w.unlock()
	if p := w.proc(r); p != nil {
		p.attached = false
		w.procs[r] = nil
		// Where it runs now it may have told us already, and we dropped that as long as it was here.
		w.reconnect(r)
	}
}

// PeerEnded tells that a rank elsewhere (or here) has ended, and drained if its end was a good one: nothing comes from it
// any more, and nothing goes to it. Of a rank that is here it is called before Remove.
func (w *World) PeerEnded(peer Rank) {
	w.mu.Lock()
	defer w.unlock()
	if peer < 0 || int(peer) >= w.cfg.Size {
		return
	}
	if w.ended[peer] {
		return
	}
	w.ended[peer] = true
	for _, p := range w.procs {
		if p == nil || p.rank == peer {
			continue
		}
		if c := p.channels[peer]; c != nil {
			c.peerRemoved()
		}
		p.left = true
		p.wake()
	}
}

// Reconnect tells that the route to peer is new: frames may have been lost.
// Every attached local rank tells peer what it has got, and sends again what
// peer has not acked. Whoever connects two Worlds calls it on both, for all
// ranks on the other side.
func (w *World) Reconnect(peer Rank) {
	w.mu.Lock()
	defer w.unlock()
	if peer >= 0 && int(peer) < w.cfg.Size && w.procs[peer] == nil {
		w.reconnect(peer)
	}
}

func (w *World) reconnect(peer Rank) {
	if w.ended[peer] {
		return
	}
	for _, p := range w.procs {
		if p != nil && p.attached {
			w.attachRemote(p, peer)
		}
	}
}

// proc returns a local rank or nil.
func (w *World) proc(r Rank) *Proc {
	if r < 0 || int(r) >= len(w.procs) {
		return nil
	}
	return w.procs[r]
}

// attach makes a rank reachable: unacked frames are exchanged with local peers,
// and all remote ranks hear of it.
func (w *World) attach(p *Proc) {
	p.attached = true
	w.attachLocal(p)
	for r := range w.procs {
		p.left = p.left || p.gone(Rank(r))
		switch {
		case w.ended[r]:
			if c := p.channels[r]; c != nil && Rank(r) != p.rank {
				c.peerRemoved() // while the rank was not here
			}
		case w.procs[r] == nil:
			w.attachRemote(p, Rank(r))
		}
	}
	p.wake()
}

func (w *World) attachLocal(p *Proc) {
	for _, q := range w.procs {
		if q == nil || q == p || !q.attached || (p.channels[q.rank] == nil && q.channels[p.rank] == nil) {
			continue
		}
		exchange(p.channel(q.rank), q.channel(p.rank))
	}
	for _, c := range p.channels {
		if c != nil {
			c.schedule()
		}
	}
}

func (w *World) attachRemote(p *Proc, peer Rank) {
	c := p.channel(peer)
	c.sendControl(frameAttach) // the peer's answer makes us send again what it lacks
	c.schedule()
}

// Receive takes a frame from the Network. It copies what it keeps. Frames that
// are damaged, stale or for a rank that is not attached here are dropped.
func (w *World) Receive(data []byte) {
	f, ok := decodeFrame(data)
	if !ok || f.src < 0 || int(f.src) >= w.cfg.Size || f.dst < 0 || int(f.dst) >= w.cfg.Size {
		return
	}
	w.mu.Lock()
	defer w.unlock()
	p := w.procs[f.dst]
	if p == nil {
		if w.missed[f.dst] == nil {
			w.missed[f.dst] = map[Rank]bool{}
		}
		w.missed[f.dst][f.src] = true
		return
	}
	if !p.attached || w.procs[f.src] != nil {
		return
	}
	c := p.channel(f.src)
	if f.epoch < c.peerEpoch {
		return
	}
	c.peerEpoch = f.epoch
	c.receive(f)
}

// settle lets channels with work send, one chunk at a time, and gives the lock
// away in between. Whoever has the lock may do the work of others.
func (w *World) settle() {
	for len(w.backlog) > 0 {
		c := w.backlog[0]
		w.backlog = w.backlog[1:]
		c.queued = false
		c.pump()
		if len(w.backlog) > 0 {
			w.mu.Unlock()
			w.mu.Lock()
		}
	}
}

// unlock settles and releases the lock: every entry point ends with it.
func (w *World) unlock() {
	w.settle()
	w.mu.Unlock()
}
