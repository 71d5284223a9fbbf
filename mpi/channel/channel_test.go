package channel

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

var limits = Limits{Window: 4000, Chunk: 500, Credit: 2000}

// end is a rank's side of a pair of channels over a network that loses frames, whenever the route is a new one.
type end struct {
	Channel
	pool  Pool
	full  bool
	out   []Frame // on its way
	taken [Lanes][]uint64
	sent  [Lanes]int
	acked [Lanes]int
	owing int // cost of eager packets that were taken and not consumed yet
}

func newEnd() *end {
	e := &end{}
	e.Channel = Make(e, &limits, &e.pool)
	return e
}

func (e *end) Room(Lane) bool { return !e.full }

func (e *end) Transmit(f Frame) {
	f.Payload = append([]byte(nil), f.Payload...) // it is the channel's again
	e.out = append(e.out, f)
}

func (e *end) Payload(k Packet) []byte { return content(k.Seq, int(k.Length)) }

// content is the payload of the number-th packet.
func content(seq uint64, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(seq) + byte(i)
	}
	return b
}

// receive takes a frame as a rank does.
func (e *end) receive(t *testing.T, f *Frame) {
	t.Helper()
	if !e.Heard(f) {
		return
	}
	for k, ok := e.Acked(); ok; k, ok = e.Acked() {
		require.EqualValues(t, e.acked[k.Lane()], k.Seq, "acked once, and in order")
		require.Nil(t, k.Payload)
		e.acked[k.Lane()]++
	}
	if e.Admit(f) {
		require.Equal(t, content(f.Seq, int(f.Length)), append([]byte{}, f.Payload...))
		e.taken[f.Lane()] = append(e.taken[f.Lane()], f.Seq)
		if f.Kind == Eager {
			e.owing += f.Cost()
		}
	}
	if e.Due() {
		e.Control(Ack)
	}
}

// Whatever is lost with a route, each packet is taken once and in order, and both sides keep no more than their limits.
func TestLossyRoutes(t *testing.T) {
	for seed := range uint64(40) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(seed, 9))
			a, b := newEnd(), newEnd()
			step := func(x, y *end) {
				switch rnd.IntN(12) {
				case 0, 1, 2: // a packet, if there is room
					n := rnd.IntN(limits.Chunk)
					k := Packet{Kind: []Kind{Data, Eager}[rnd.IntN(2)], Length: uint32(n)}
					if l := k.Lane(); x.Full(l) || x.Unsent(l) > 0 || k.Kind == Eager && !x.Spend(k.Cost()) {
						return
					}
					k.Payload = content(uint64(x.sent[k.Lane()]), n)
					x.Send(k, true)
					x.sent[k.Lane()]++
				case 3, 4, 5, 6: // a frame arrives, the first of a lane
					bulk := rnd.IntN(2) == 0
					if i := slices.IndexFunc(x.out, func(f Frame) bool { return bulk == (f.Lane() == Bulk) }); i >= 0 {
						f := x.out[i]
						x.out = slices.Delete(x.out, i, i+1)
						y.receive(t, &f)
					}
				case 7:
					if l := Lane(rnd.IntN(int(Lanes))); x.Unsent(l) > 0 {
						x.SendAgain(l)
					}
				case 8: // receives have taken what is here
					x.Consume(x.owing)
					if x.owing = 0; x.Due() {
						x.Control(Ack)
					}
				case 9:
					x.Control(Sync)
				case 10: // older news come late
					x.Acknowledge(Numbers{uint64(rnd.IntN(x.acked[Talk] + 1)), uint64(rnd.IntN(x.acked[Bulk] + 1))}, uint64(rnd.IntN(100)))
					_, more := x.Acked()
					require.False(t, more)
				case 11: // a new route: what was on the old one is lost
					if rnd.IntN(4) == 0 {
						lost, only := Lane(rnd.IntN(int(Lanes))), rnd.IntN(2) == 0 // that of a lane
						for _, z := range []*end{x, y} {
							z.out = slices.DeleteFunc(z.out, func(f Frame) bool { return !only || f.Lane() == lost })
						}
						x.Control(Attach)
						y.Control(Attach)
					}
				}
				require.LessOrEqual(t, x.Inflight(Talk), limits.Window)
				require.LessOrEqual(t, x.Inflight(Bulk), limits.Window)
				require.Equal(t, x.sent[Talk]+x.sent[Bulk]-x.acked[Talk]-x.acked[Bulk], x.Unacked())
			}
			for range 2000 {
				step(a, b)
				step(b, a)
			}
			a.out, b.out = nil, nil
			a.Control(Attach)
			b.Control(Attach)
			for len(a.out)+len(b.out)+a.Unacked()+b.Unacked() > 0 {
				for _, x := range [][2]*end{{a, b}, {b, a}} {
					out := x[0].out
					x[0].out = nil
					for i := range out {
						x[1].receive(t, &out[i])
					}
					for l := range Lanes {
						for x[0].Unsent(l) > 0 {
							x[0].SendAgain(l)
						}
					}
					if len(x[0].out) == 0 && x[0].Unacked() > 0 {
						x[0].Control(Sync)
					}
				}
			}
			for _, x := range [][2]*end{{a, b}, {b, a}} {
				for l := range Lanes {
					require.Positive(t, x[0].sent[l])
					require.Len(t, x[1].taken[l], x[0].sent[l])
					for i, seq := range x[1].taken[l] {
						require.EqualValues(t, i, seq)
					}
					require.Zero(t, x[0].Inflight(l))
				}
			}
		})
	}
}

// What an older incarnation of the peer has sent says nothing.
func TestOldEpoch(t *testing.T) {
	a := newEnd()
	a.Send(Packet{Kind: RTS}, true)
	require.True(t, a.Heard(&Frame{Epoch: 3}))
	require.False(t, a.Heard(&Frame{Epoch: 2, Acked: Numbers{1}}))
	_, ok := a.Acked()
	require.False(t, ok)
	require.False(t, a.Awaits(&Frame{Epoch: 2}))
	require.True(t, a.Awaits(&Frame{Epoch: 3}))
	require.True(t, a.Heard(&Frame{Epoch: 3, Acked: Numbers{2}}), "beyond what was sent")
	_, ok = a.Acked()
	require.False(t, ok)
}

// Who is greeted sends again what is not acked; an answer to a greeting that was not made, or was answered, does not.
func TestWelcome(t *testing.T) {
	a := newEnd()
	a.Send(Packet{Kind: RTS}, true)
	welcome := &Frame{Packet: Packet{Kind: Welcome}}
	require.False(t, a.Admit(welcome))
	require.Zero(t, a.Unsent(Talk), "nobody was greeted")
	a.Control(Attach)
	require.False(t, a.Admit(welcome))
	require.Equal(t, 1, a.Unsent(Talk))
	a.SendAgain(Talk)
	require.False(t, a.Admit(welcome))
	require.Zero(t, a.Unsent(Talk), "it is answered")
	require.False(t, a.Admit(&Frame{Packet: Packet{Kind: Attach}}))
	require.Equal(t, 1, a.Unsent(Talk), "it is greeted itself")
	require.Equal(t, Welcome, a.out[len(a.out)-1].Kind)
}

// A peer that has come near has the news: nothing is owed to it, nor is its greeting awaited.
func TestNear(t *testing.T) {
	a := newEnd()
	for seq := range uint64(3) {
		f := &Frame{Packet: Packet{Kind: Eager, Seq: seq, Length: 460}}
		require.True(t, a.Admit(f))
		a.Consume(f.Cost())
	}
	require.True(t, a.Due())
	a.Control(Attach)
	a.Send(Packet{Kind: RTS}, false)
	require.False(t, a.Due(), "it was said with it")
	require.True(t, a.Admit(&Frame{Packet: Packet{Kind: Data, Length: 1000}}))
	a.Consume(600)
	require.True(t, a.Due())
	a.Near()
	require.False(t, a.Due())
	require.False(t, a.Admit(&Frame{Packet: Packet{Kind: Welcome}}))
	require.Zero(t, a.Unsent(Talk))
}

// A channel that was captured goes on where it was.
func TestState(t *testing.T) {
	a := newEnd()
	for i := range 5 {
		require.True(t, a.Spend(FrameCost+i))
		a.Send(Packet{Kind: Eager, Length: uint32(i), Payload: content(uint64(i), i)}, false)
	}
	for i := range uint64(2) {
		a.Send(Packet{Kind: Data, Length: 7, Payload: content(i, 7)}, false)
	}
	s := a.State()
	b := newEnd()
	require.NoError(t, b.Restore(s))
	require.Equal(t, s, b.State())
	for l := range Lanes {
		require.Equal(t, a.Inflight(l), b.Inflight(l))
	}
	for name, damage := range map[string]func(s *State){
		"credit":  func(s *State) { s.Credited = s.Charged + 1 },
		"number":  func(s *State) { s.Unacked[2].Seq++ },
		"kind":    func(s *State) { s.Unacked[2].Kind = Ack },
		"offer":   func(s *State) { s.Unacked[2].Kind = Offer },
		"length":  func(s *State) { s.Unacked[2].Length++ },
		"missing": func(s *State) { s.SendNext[Talk]-- },
		"lane":    func(s *State) { s.Unacked[4].Kind = Data },
		"window":  func(s *State) { s.Unacked[5].Length = uint32(limits.Window) + 1 },
	} {
		t.Run(name, func(t *testing.T) {
			s := a.State()
			damage(&s)
			require.Error(t, newEnd().Restore(s))
		})
	}
}

// quiet is a link that takes everything and keeps nothing.
type quiet struct{ header [HeaderBytes]byte }

func (*quiet) Room(Lane) bool          { return true }
func (q *quiet) Transmit(f Frame)      { f.Header(q.header[:]) }
func (*quiet) Payload(k Packet) []byte { return nil }

// A message makes no garbage.
func TestNoGarbage(t *testing.T) {
	var pool Pool
	link := &quiet{}
	c := Make(link, &limits, &pool)
	payload := content(1, 300)
	f := Frame{Packet: Packet{Kind: Eager, Length: 300}}
	require.Zero(t, testing.AllocsPerRun(10_000, func() {
		c.Send(Packet{Kind: Eager, Length: 300, Payload: payload}, true)
		c.Control(Sync)
		f.Seq, f.Acked = c.Received()[Talk], Numbers{c.Next()}
		c.Heard(&f)
		acked := 0
		for _, ok := c.Acked(); ok; _, ok = c.Acked() {
			acked++
		}
		c.Admit(&f)
		c.Consume(f.Cost())
		if c.Due() {
			c.Control(Ack)
		}
	}))
}
