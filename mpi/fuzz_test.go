package mpi

import (
	"errors"
	"math/rand/v2"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/godwit-run/godwit/mpi/abi"
	"github.com/godwit-run/godwit/mpi/channel"
	"github.com/godwit-run/godwit/mpi/layout"
)

// sink is a Network that drops all frames.
type sink struct{}

func (sink) Send(Rank, []byte, []byte, Way) {}

// bytesOf returns a frame's bytes.
func bytesOf(f *channel.Frame) []byte {
	b := make([]byte, channel.HeaderBytes, channel.HeaderBytes+len(f.Payload))
	f.Header(b)
	return append(b, f.Payload...)
}

func (sink) Room(Rank, bool) bool      { return true }
func (sink) Poll(func(bool) Look) bool { return false }
func (sink) Wake()                     {}

// busyWorld returns a world whose rank 0 has requests, messages and a frozen
// call, and its state.
func busyWorld(t testing.TB) (w *World, p *Proc, state []byte) {
	cfg := smallConfig(4)
	w = NewWorld(cfg, sink{})
	g := newGuest(0, 4, callsByName())
	g.mem = make(arena, 1<<16)
	var err error
	p, err = w.AddRank(0, 1, g.mem)
	require.NoError(t, err)
	g.p = p
	p.clockStart = p.clockStart.Add(-5e9)
	g.call("MPI_Init", 0, 0)
	g.call("MPI_Comm_set_errhandler", abi.CommWorld, abi.ErrorsReturn)
	g.call("MPI_Comm_dup", abi.CommSelf, 60)
	g.call("MPI_Type_vector", 3, 2, 5, tInt, 40)
	g.call("MPI_Type_commit", 40)
	g.call("MPI_Irecv", 16384, 2, g.int(40), 1, 6, abi.CommWorld, 44)
	g.call("MPI_Comm_group", abi.CommWorld, 40)
	g.call("MPI_Op_create", 5, 1, 40)
	g.call("MPI_Info_create", 40)
	g.call("MPI_Comm_create_keyval", abi.CopyDup, 0, 40, 7)
	g.call("MPI_Comm_set_attr", abi.CommWorld, g.int(40), 9)
	g.call("MPI_Cart_create", abi.CommSelf, 0, 0, 0, 0, 40)
	g.call("MPI_Win_create", 20480, 64, 4, abi.InfoNull, abi.CommSelf, 40)
	g.call("MPI_Win_fence", 0, g.int(40))
	g.call("MPI_Iallreduce", 24576, 28672, 10, tInt, abi.OpSum, abi.CommWorld, 48)
	g.call("MPI_Recv_init", 4096, 10, tInt, 2, 3, abi.CommWorld, 52)
	g.call("MPI_Irecv", 4096, 100, tInt, 1, 5, abi.CommWorld, 64)
	g.call("MPI_Irecv", 8192, 1000, tInt, abi.AnySource, abi.AnyTag, abi.CommSelf, 68)
	g.call("MPI_Isend", 4096, 100, tInt, 2, 5, abi.CommWorld, 72)
	g.call("MPI_Isend", 8192, 1000, tInt, 3, 5, abi.CommWorld, 76)
	g.call("MPI_Isend", 8192, 10, tInt, 0, 5, abi.CommWorld, 80)
	for i := range 200 {
		g.call("MPI_Isend", 4096, 100, tInt, 3, 5, abi.CommWorld, 1024+4*i)
	}
	g.call("MPI_Wait", 72, 0)
	for i, f := range []channel.Frame{
		{Packet: channel.Packet{Kind: channel.Eager, Context: 0, Tag: 9, Length: 3, Payload: []byte{1, 2, 3}}},
		{Packet: channel.Packet{Kind: channel.RTS, Seq: 1, Tag: 5, Size: 400, Req: 3}},
		{Packet: channel.Packet{Kind: channel.Data, Seq: 2, Req: 0, Length: 100, Payload: make([]byte, 100)}},
	} {
		f.Src, f.Epoch = 1, uint64(i+1)
		w.Receive(bytesOf(&f))
	}
	busyFile(t, g)
	p.Freeze()
	p.mu.Lock()
	p.freeze = false
	p.running = running{call: g.calls["MPI_Recv"], args: []uint64{4096, 1, tInt, 2, 1, abi.CommWorld, 0}}
	r, err := p.startRecv(p.world, 0, 2, 1, layout.Span{Off: 4096, Len: 4}, true)
	require.NoError(t, err)
	p.suspend([]uint32{r.index})
	p.running = running{}
	p.mu.Unlock()
	state, err = w.Capture(0)
	require.NoError(t, err)
	return w, p, state
}

// busyFile gives a rank a file, and accesses to it under way.
func busyFile(t testing.TB, g *guest) {
	p := g.p
	g.heap = 50000 // within the small arena
	p.Bind(filed{g.program, newDisk()})
	copy(g.mem[100:], "f\x00")
	require.Zero(t, g.call("MPI_File_open", abi.CommSelf, 100, abi.ModeCreate|abi.ModeRdwr, abi.InfoNull, 88))
	fh := g.int(88)
	g.call("MPI_Type_vector", 3, 2, 5, tInt, 84)
	g.call("MPI_Type_commit", 84)
	copy(g.mem[104:], "external32\x00")
	require.Zero(t, g.call("MPI_File_set_view", fh, 8, tInt, g.int(84), 104, abi.InfoNull))
	f, err := p.file(uint32(fh))
	require.NoError(t, err)
	f.split = &split{begin: "MPI_File_write_all_begin"}
	h := &layout.Buffer{Bytes: make([]byte, 24)}
	x := &twoPhase{
		intents: []intent{{n: 24, lo: 8, hi: 60, orderly: 1, run: 8}}, nodes: 1, window: leastWindow, same: true, hi: 60, domain: leastWindow,
		host: &layout.Buffer{Bytes: make([]byte, 60)}, parts: &layout.Buffer{Bytes: make([]byte, 24)},
	}
	for _, o := range []*fileOp{
		{stage: stageMoved, write: true, collective: true, plan: x},
		{stage: stageFetched, pointer: pointerShared, answer: &layout.Buffer{Bytes: make([]byte, 8)}},
		{stage: stageLock, why: "none"},
	} {
		r, err := p.newRequest(reqFile, true)
		require.NoError(t, err)
		o.file, o.buf = f, layout.Span{Host: h, Len: 24}
		o.conv = &conversion{user: layout.Span{Off: 4096, Len: 24}, addr: 4096, typ: layout.Predefined()[tInt], count: 6}
		r.comm, r.io, r.result = f.comm(), o, emptyStatus()
		p.filing = append(p.filing, r)
		f.split.request = r.index
	}
}

// RestoreRank on damaged bytes fails or works, and what it makes never panics.
func FuzzRestore(f *testing.F) {
	_, _, state := busyWorld(f)
	f.Add(state, uint64(0))
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		b := append([]byte(nil), state...)
		for range 1 + rnd.IntN(3) {
			b[rnd.IntN(len(b))] = byte(rnd.IntN(256))
		}
		f.Add(b, rnd.Uint64())
	}
	for _, n := range []int{0, 1, 5, len(state) / 2, len(state) - 1} {
		f.Add(state[:n], uint64(n))
	}
	f.Fuzz(func(t *testing.T, b []byte, s uint64) {
		w := NewWorld(smallConfig(4), sink{})
		p, err := w.RestoreRank(0, 3, make(arena, 1<<16), b)
		if err != nil {
			require.ErrorIs(t, err, ErrState)
			require.Nil(t, w.proc(0))
			return
		}
		p.Bind(filed{newProgram(), newDisk()})
		p.mu.Lock()
		_ = p.progress() // whatever it finds
		p.mu.Unlock()
		_, err = w.AddRank(3, 1, make(arena, 1<<16))
		require.NoError(t, err)
		p.Cancel(errPeer) // a call could wait for ever
		poke(w, rand.New(rand.NewPCG(s, 0)), 50)
		w.Inspect(0)
		_, err = w.Capture(0)
		require.NoError(t, err)
	})
}

// poke gives rank 0 random frames that pass for plausible.
func poke(w *World, rnd *rand.Rand, n int) {
	for range n {
		f := channel.Frame{Src: Rank(1 + rnd.IntN(3)), Epoch: uint64(rnd.IntN(4)), Acked: channel.Numbers{uint64(rnd.IntN(9)), uint64(rnd.IntN(9))}, Consumed: uint64(rnd.IntN(900))}
		f.Kind, f.Seq, f.Context, f.Tag = channel.Kind(1+rnd.IntN(int(channel.Done))), uint64(rnd.IntN(6)), uint64(rnd.IntN(12)), int32(rnd.IntN(9))
		f.Size, f.Req, f.PeerReq, f.Off = uint32(rnd.IntN(500)), uint32(rnd.IntN(9)), uint32(rnd.IntN(9)), uint32(rnd.IntN(50))
		f.Length = uint32(rnd.IntN(50))
		f.Payload = make([]byte, f.Length)
		if p := w.proc(0); p != nil && rnd.IntN(2) == 0 {
			f.Seq = p.pair(f.Src).Received()[f.Lane()]
		}
		w.Receive(bytesOf(&f))
	}
}

// Receive takes any bytes.
func FuzzReceive(f *testing.F) {
	f.Add([]byte{}, uint64(1))
	for kind := range channel.Done + 1 {
		f.Add(bytesOf(&channel.Frame{Packet: channel.Packet{Kind: kind, Length: 3, Payload: []byte{1, 2, 3}}, Src: 1}), uint64(kind))
	}
	f.Fuzz(func(t *testing.T, b []byte, s uint64) {
		w, p, _ := busyWorld(t)
		require.NoError(t, w.Resume(0))
		w.Receive(b)
		poke(w, rand.New(rand.NewPCG(s, 1)), 50)
		require.Equal(t, Rank(0), p.Rank())
	})
}

// hostile is a program whose stack and heap are anywhere, and whose functions return anything.
type hostile struct{ rnd *rand.Rand }

func (h hostile) any() uint32 {
	return [...]uint32{0, 1, 16, 4096, 65520, 65535, 65536, 1 << 31, 1<<32 - 4096, 1<<32 - 1}[h.rnd.IntN(10)]
}

func (h hostile) Call(uint32, ...uint32) (uint32, error) {
	if h.rnd.IntN(8) == 0 {
		return 0, errNoFunction
	}
	return h.any(), nil
}

func (h hostile) Reserve(uint32) (uint32, func(), error) { return h.any(), func() {}, nil }
func (h hostile) Alloc(uint32, uint32) (uint32, error)   { return h.any(), nil }
func (h hostile) Free(uint32) error                      { return nil }

// Invoke takes any arguments, of any program.
func FuzzInvoke(f *testing.F) {
	calls := Calls()
	f.Add(uint64(1))
	for i := range uint64(200) {
		f.Add(i * 7919)
	}
	values := []uint64{
		0, 1, 2, 3, 4, 64, 1000, 4096, 65535, 65536, 1 << 30, 1<<31 - 1, 1 << 31, 1<<32 - 1, 1<<32 - 2, 1<<32 - 3, 1 << 63, 1<<63 - 1,
		tInt, tByte, tDouble, abi.CommWorld, abi.CommSelf, abi.OpSum, abi.OpBand, abi.RequestNull, baseRequest, baseRequest + 1, baseComm, baseType, baseGroup, baseOp, baseInfo, baseWin, baseErrhandler, baseKeyval, baseFile, 403, abi.ModeCreate | abi.ModeRdwr, abi.ErrorsReturn, 0xffffffff00000010,
	}
	f.Fuzz(func(t *testing.T, s uint64) {
		w := NewWorld(smallConfig(1), sink{})
		p, err := w.AddRank(0, 1, make(arena, 65536))
		require.NoError(t, err)
		rnd := rand.New(rand.NewPCG(s, 2))
		p.initialized = true
		if s%2 == 0 {
			p.Bind(filed{hostile{rnd}, newDisk()})
		}
		for _, c := range []*comm{p.world, p.self} {
			c.errhandler = predefinedHandlers[abi.ErrorsReturn]
		}
		for range 300 {
			c := calls[rnd.IntN(len(calls))]
			if c.Name == "MPI_Finalize" {
				continue
			}
			a := make([]uint64, len(c.Params))
			for i := range a {
				a[i] = values[rnd.IntN(len(values))]
			}
			err := p.invokeUnlessBlocked(c, a)
			var abort *AbortError
			if err != nil && !errors.As(err, &abort) && !errors.Is(err, errPeer) && !errors.Is(err, errNoFunction) {
				t.Fatal(err)
			}
			p.mu.Lock()
			p.cancelErr, p.suspended = nil, nil
			p.mu.Unlock()
		}
	})
}

// invokeUnlessBlocked makes a call, and cancels it if it blocks: with one rank it may wait for ever.
func (p *Proc) invokeUnlessBlocked(c *Call, a []uint64) error {
	done := make(chan error)
	go func() {
		_, err := p.Invoke(c, a)
		done <- err
	}()
	for {
		select {
		case err := <-done:
			return err
		default:
			if p.in.parked.Load() {
				p.Cancel(errPeer)
			}
			runtime.Gosched()
		}
	}
}
