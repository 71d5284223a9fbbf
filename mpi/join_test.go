package mpi

import (
	"runtime"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/godwit-run/godwit/mpi/abi"
	"github.com/godwit-run/godwit/mpi/channel"
)

// apart are two ranks in Worlds of their own, between which a test carries frames by hand.
type apart struct {
	t      *testing.T
	nets   [2]byHand
	worlds [2]*World
	ranks  [2]*guest
}

func newApart(t *testing.T, memory int) *apart {
	t.Helper()
	a := &apart{t: t}
	for r := range a.ranks {
		a.worlds[r] = NewWorld(DefaultConfig(2), &a.nets[r])
		a.ranks[r] = begun(t, a.worlds[r], r, memory)
	}
	return a
}

// carry brings all frames to their rank, some times.
func (a *apart) carry(times int) {
	for range times {
		for r := range a.nets {
			a.nets[r].deliver(a.worlds[1-r])
		}
	}
}

// move brings a rank into the other's World, or into an empty one beside it.
func (a *apart) move(r int, to *World, epoch uint64) {
	a.t.Helper()
	state, err := a.worlds[r].Capture(Rank(r))
	require.NoError(a.t, err)
	a.worlds[r].Remove(Rank(r))
	p, err := to.Decode(Rank(r), a.ranks[r].mem, state)
	require.NoError(a.t, err)
	require.NoError(a.t, to.Join(p, epoch))
	a.ranks[r].p = p
}

// TestJoinUnderWay: a long message that is under way when its two ranks come into one World goes on from memory to memory, whoever has moved and
// however far it was; the inbox holds none of it. When they part again it goes on by frames.
func TestJoinUnderWay(t *testing.T) {
	const n, buf = 3 << 20, 1 << 19
	for _, sender := range []int{0, 1} {
		for _, part := range []bool{false, true} { // they part again before the receiver has looked
			for _, trips := range []int{0, 1, 2, 3, 4} {
				a := newApart(t, n+1<<20)
				s, r := a.ranks[sender], a.ranks[1-sender]
				for i := range n {
					s.mem[buf+i] = byte(i * 7 >> 3)
				}
				r.call("MPI_Irecv", buf, n, tByte, sender, 1, abi.CommWorld, 64)
				s.call("MPI_Isend", buf, n, tByte, 1-sender, 1, abi.CommWorld, 64)
				a.carry(trips)
				home := a.worlds[1-sender]
				r.p.in.busy.Store(part) // as in a call: nobody serves it
				a.move(sender, home, 2)
				r.p.in.busy.Store(false)
				require.Nil(t, r.p.in.bytes, "nothing of it")
				require.Empty(t, r.p.in.over)
				if part {
					a.nets[sender] = byHand{}
					away := NewWorld(DefaultConfig(2), &a.nets[sender])
					a.worlds[sender] = home
					a.move(sender, away, 3)
					a.worlds[sender] = away
					away.Reconnect(Rank(1 - sender))
					home.Reconnect(Rank(sender))
					a.carry(12)
				}
				r.call("MPI_Wait", 64, 0)
				s.call("MPI_Wait", 64, 0)
				require.Equal(t, s.mem[buf:buf+n], r.mem[buf:buf+n], "sender %d, %d trips, part %v", sender, trips, part)
				require.Zero(t, s.p.offers)
			}
		}
	}
}

// TestServedInCallbacks: one-sided operations go on while the target's program computes in a function that the library has called, also when that has
// made a call itself, and while the library computes without the lock.
func TestServedInCallbacks(t *testing.T) {
	w := NewWorld(DefaultConfig(2), noNetwork{})
	var g [2]*guest
	for r := range g {
		g[r] = begun(t, w, r, arenaBytes)
	}
	both(func(r int) {
		g[r].call("MPI_Win_create", 16384, 4096, 4, abi.InfoNull, abi.CommWorld, 76)
		g[r].call("MPI_Win_lock_all", 0, g[r].int(76))
		g[r].call("MPI_Barrier", abi.CommWorld)
	})
	put := func() {
		g[0].call("MPI_Put", 8192, 1, tInt, 1, 0, 1, tInt, g[0].int(76))
		g[0].call("MPI_Win_flush", 1, g[0].int(76))
	}
	calls := 0
	g[1].functions[777] = func(...uint32) uint32 {
		calls++
		put() // by the other rank, in the midst of it
		g[1].call("MPI_Comm_rank", abi.CommWorld, 96)
		put()
		return 0
	}
	g[1].call("MPI_Op_create", 777, 1, 80)
	g[1].call("MPI_Reduce_local", 4096, 4200, 1, tInt, g[1].int(80))
	require.Equal(t, 1, calls)
	g[1].p.enter()
	g[1].p.depart() // as for a large local reduction
	put()
	g[1].p.comeBack()
	g[1].p.leave()
}

// both runs f for two ranks at once.
func both(f func(r int)) {
	done := make(chan struct{})
	go func() { defer close(done); f(1) }()
	f(0)
	<-done
}

// TestInboxOrder: what is taken at once is in the order in which it was put, whether it was in the ring or behind it, long or short.
func TestInboxOrder(t *testing.T) {
	p, err := NewWorld(DefaultConfig(2), noNetwork{}).AddRank(0, 1, make(arena, arenaBytes))
	require.NoError(t, err)
	next, taken := int32(0), int32(0)
	put := func(n, length int) {
		for range n {
			p.in.put(1, &channel.Packet{Kind: channel.Eager, Tag: next, Length: uint32(length), Payload: make([]byte, length)}, nil)
			next++
		}
	}
	for range 3 {
		put(10, 8)
		put(10, inboxBytes/4) // the last ones spill
		put(inboxCells, 0)
		p.lock()
		put(5, 8)
		p.mu.Unlock()
		p.lock()
		for _, m := range p.unexpected {
			require.Equal(t, taken, m.tag)
			taken++
		}
		p.unexpected = nil
		require.False(t, p.in.some())
		p.mu.Unlock()
		require.Equal(t, next, taken)
	}
}

// TestWhoLeavesServes: whatever holds a rank's lock finds, when it leaves, what somebody wanted to be served meanwhile.
func TestWhoLeavesServes(t *testing.T) {
	for name, hold := range map[string]func(w *World, p *Proc){
		"Unfreeze":    func(_ *World, p *Proc) { p.Unfreeze() },
		"Freeze":      func(_ *World, p *Proc) { p.Freeze(); p.Unfreeze() },
		"Initialized": func(_ *World, p *Proc) { p.Initialized() },
		"Finalized":   func(_ *World, p *Proc) { p.Finalized() },
		"Ended":       func(_ *World, p *Proc) { p.Ended() },
		"Bind":        func(_ *World, p *Proc) { p.Bind(p.program) },
		"Cancel":      func(_ *World, p *Proc) { p.Cancel(nil) },
		"Inspect":     func(w *World, _ *Proc) { w.Inspect(1) },
		"a frame": func(w *World, _ *Proc) {
			w.Receive(bytesOf(&channel.Frame{Packet: channel.Packet{Kind: channel.Ack}, Src: 2, Dst: 1, Epoch: 1}))
		},
		"a call": func(_ *World, p *Proc) { p.enter(); p.leave() },
	} {
		t.Run(name, func(t *testing.T) {
			w := NewWorld(DefaultConfig(3), noNetwork{})
			p, err := w.AddRank(1, 1, make(arena, arenaBytes))
			require.NoError(t, err)
			wants(p)
			hold(w, p)
			served(t, p)
		})
	}
	p, err := NewWorld(DefaultConfig(2), noNetwork{}).AddRank(1, 1, make(arena, arenaBytes))
	require.NoError(t, err)
	p.lock()
	wants(p)
	p.serve() // in vain
	p.release()
	served(t, p)
}

// wants puts something into a rank's inbox that is to be taken even while its program computes.
func wants(p *Proc) {
	p.in.put(1, &channel.Packet{Kind: channel.Eager, Context: contextWindow}, nil)
	p.in.urgent.Store(true)
}

// served checks that it was taken.
func served(t *testing.T, p *Proc) {
	t.Helper()
	require.False(t, p.in.some())
	require.False(t, p.in.urgent.Load())
	p.mu.Lock()
	defer p.mu.Unlock()
	require.Len(t, p.unexpected, 1)
}

// TestInboxFlood: the order stays, and each look ends, however much is put meanwhile.
func TestInboxFlood(t *testing.T) {
	p, err := NewWorld(DefaultConfig(2), noNetwork{}).AddRank(0, 1, make(arena, arenaBytes))
	require.NoError(t, err)
	const n = 100_000
	go func() {
		for tag := range int32(n) {
			p.in.put(1, &channel.Packet{Kind: channel.Eager, Tag: tag}, nil)
		}
	}()
	for taken := int32(0); taken < n; {
		p.lock()
		for _, m := range p.unexpected {
			require.Equal(t, taken, m.tag)
			taken++
		}
		p.unexpected = p.unexpected[:0]
		p.mu.Unlock()
		runtime.Gosched()
	}
}

// hooked is a guest's memory that calls a function before it is looked at for the first time.
type hooked struct {
	arena
	first *sync.Once
	hook  func()
}

func (h hooked) Bytes() []byte {
	h.first.Do(h.hook)
	return h.arena
}

// TestJoinBetween: the receiver of a long message comes into the World of its sender in the midst of the sender's making a frame of payload: the message's end
// reaches both.
func TestJoinBetween(t *testing.T) {
	const n, buf = 100_000, 1 << 18
	for _, pieces := range []int{1, 3} {
		a := newApart(t, 1<<20)
		home := a.worlds[0]
		home.cfg.ChunkBytes = n/pieces + 1
		s, r := a.ranks[0], a.ranks[1]
		for i := range n {
			s.mem[buf+i] = byte(i * 7 >> 3)
		}
		r.call("MPI_Irecv", buf, n, tByte, 0, 1, abi.CommWorld, 64)
		s.call("MPI_Isend", buf, n, tByte, 1, 1, abi.CommWorld, 64)
		a.nets[0].deliver(a.worlds[1]) // the envelope: the receiver asks for the data, and leaves
		state, err := a.worlds[1].Capture(1)
		require.NoError(t, err)
		a.worlds[1].Remove(1)
		p, err := home.Decode(1, r.mem, state)
		require.NoError(t, err)
		joined := make(chan error, 1)
		s.p.mem = hooked{s.mem, new(sync.Once), func() {
			go func() { joined <- home.Join(p, 2) }()
			for home.proc(1) == nil {
				runtime.Gosched()
			}
		}}
		a.nets[1].deliver(home)
		require.NoError(t, <-joined)
		r.p = p
		for _, g := range []*guest{r, s} {
			g.call("MPI_Test", 64, 68, 0)
			require.Equal(t, 1, g.int(68), "rank %d, %d pieces", g.rank, pieces)
		}
		require.Equal(t, s.mem[buf:buf+n], r.mem[buf:buf+n])
	}
}
