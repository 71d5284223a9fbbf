package mpi

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/godwit-run/godwit/mpi/abi"
	"github.com/godwit-run/godwit/mpi/channel"
)

// landAll brings all that is under way to a World, payloads straight to their places where that is possible, in pieces of at most so many bytes; between a piece and
// the next it calls between. What has no place any more in the midst is lost. It returns how many payloads have landed, and how many were lost.
func (n *byHand) landAll(w *World, piece int, between func()) (landed, lost int) {
	for len(n.frames) > 0 {
		f := n.frames[0]
		n.frames = n.frames[1:]
		head, payload := f[:channel.HeaderBytes], f[channel.HeaderBytes:]
		at := 0
		for at < len(payload) {
			got, how := w.Land(head, len(payload), at, at%2 == 1, func(place []byte) int {
				return copy(place, payload[at:min(at+piece, len(payload))])
			})
			if how == LandNone {
				break
			}
			if at += got; at < len(payload) {
				between()
			}
		}
		switch {
		case at == 0:
			w.Receive(f)
		case at == len(payload):
			landed++
		default:
			lost++
		}
	}
	return landed, lost
}

// TestLand: a long message comes straight to its place, or, where that has gaps, by way of the frame; and with the last piece it is there.
func TestLand(t *testing.T) {
	const n, buf = 1 << 20, 1 << 19
	for _, gaps := range []bool{false, true} {
		a := newApart(t, n+1<<20)
		s, r := a.ranks[0], a.ranks[1]
		for i := range n {
			s.mem[buf+i] = byte(i * 7 >> 3)
		}
		count, typ := n, tByte
		if gaps {
			r.call("MPI_Type_vector", n/8, 4, 8, tByte, 68)
			r.call("MPI_Type_commit", 68)
			count, typ = 1, r.int(68)
		}
		r.call("MPI_Irecv", buf, count, typ, 0, 1, abi.CommWorld, 64)
		s.call("MPI_Isend", buf, pick(gaps, n/2, n), tByte, 1, 1, abi.CommWorld, 64)
		total := 0
		a.nets[0].landAll(a.worlds[1], 10_001, func() {}) // its envelope
		a.nets[1].deliver(a.worlds[0])
		if !gaps {
			for _, change := range []func(f *channel.Frame){func(f *channel.Frame) { f.Seq++ }, func(f *channel.Frame) { f.Seq-- }, func(f *channel.Frame) { f.Epoch-- }, func(f *channel.Frame) { f.Off++ }} {
				var f channel.Frame
				require.True(t, f.Decode(a.nets[0].frames[0]))
				require.EqualValues(t, channel.Data, f.Kind)
				change(&f)
				var head [channel.HeaderBytes]byte
				f.Header(head[:])
				_, how := a.worlds[1].Land(head[:], int(f.Length), 0, false, func([]byte) int { panic("it is not the next") })
				require.Equal(t, LandNone, how)
			}
			_, err := a.worlds[1].Capture(1) // nothing comes into the memory of a rank whose state was taken
			require.NoError(t, err)
			_, how := a.worlds[1].Land(a.nets[0].frames[0][:channel.HeaderBytes], len(a.nets[0].frames[0])-channel.HeaderBytes, 0, false, func([]byte) int { panic("it stands still") })
			require.Equal(t, LandNone, how)
			frames := a.nets[0].frames
			require.NoError(t, a.worlds[1].Resume(1))
			a.nets[0].frames = frames
		}
		for range 12 {
			landed, lost := a.nets[0].landAll(a.worlds[1], 10_001, func() { require.False(t, r.p.request(uint32(r.int(64))-baseRequest).done) })
			require.Zero(t, lost)
			total += landed
			a.nets[1].deliver(a.worlds[0])
		}
		r.call("MPI_Wait", 64, 0)
		s.call("MPI_Wait", 64, 0)
		if gaps {
			require.Zero(t, total)
			for i := range n / 2 {
				require.Equal(t, s.mem[buf+i], r.mem[buf+i/4*8+i%4], "byte %d", i)
			}
			continue
		}
		require.Equal(t, (n-1)/DefaultConfig(2).ChunkBytes+1, total)
		require.Equal(t, s.mem[buf:buf+n], r.mem[buf:buf+n])
	}
}

// TestLandWhileRanksMove: a rank that leaves, or stands still for a while, in the midst of a payload gets it whole by its next route.
func TestLandWhileRanksMove(t *testing.T) {
	const n, buf = 1 << 20, 1 << 19
	for _, back := range []bool{false, true} { // it goes on where it was
		for at := range 8 { // there are more pieces
			a := newApart(t, n+1<<20)
			s, r := a.ranks[0], a.ranks[1]
			for i := range n {
				s.mem[buf+i] = byte(i * 7 >> 3)
			}
			r.call("MPI_Irecv", buf, n, tByte, 0, 1, abi.CommWorld, 64)
			s.call("MPI_Isend", buf, n, tByte, 1, 1, abi.CommWorld, 64)
			pieces, gone := 0, false
			home := a.worlds[1]
			for range 30 {
				_, _ = a.nets[0].landAll(a.worlds[1], 100_000, func() {
					if pieces++; pieces != at+1 {
						return
					}
					gone = true
					if back {
						_, err := home.Capture(1)
						require.NoError(t, err)
						require.NoError(t, home.Resume(1))
						return
					}
					away := NewWorld(DefaultConfig(2), &a.nets[1])
					a.move(1, away, 2)
				})
				if gone && !back && a.worlds[1] == home {
					a.worlds[1] = r.p.w
					a.worlds[0].Reconnect(1)
				}
				a.nets[1].deliver(a.worlds[0])
			}
			require.True(t, gone)
			r.call("MPI_Wait", 64, 0)
			s.call("MPI_Wait", 64, 0)
			require.Equal(t, s.mem[buf:buf+n], r.mem[buf:buf+n], "back %v, at %d", back, at)
		}
	}
}

// TestLandRefuses: what is none of a payload's, or of no rank that waits for it, has no place.
func TestLandRefuses(t *testing.T) {
	a := newApart(t, 1<<20)
	never := func([]byte) int { panic("there is no place") }
	f := channel.Frame{Packet: channel.Packet{Kind: channel.Data, Length: 100}, Src: 0, Dst: 1, Epoch: 1}
	try := func(size, at int, change func(f *channel.Frame)) {
		t.Helper()
		g := f
		change(&g)
		var head [channel.HeaderBytes]byte
		g.Header(head[:])
		n, how := a.worlds[1].Land(head[:], size, at, false, never)
		require.Zero(t, n)
		require.Equal(t, LandNone, how)
	}
	for kind := channel.Eager; kind <= channel.Done; kind++ {
		try(100, 0, func(f *channel.Frame) { f.Kind = kind })
	}
	for _, r := range []Rank{-1, 0, 2, 1 << 30} {
		try(100, 0, func(f *channel.Frame) { f.Dst = r })
		try(100, 0, func(f *channel.Frame) { f.Src = r + 1 })
	}
	for _, x := range [][2]int{{99, 0}, {101, 0}, {100, 100}, {100, -1}, {-1, 0}} {
		try(x[0], x[1], func(*channel.Frame) {})
	}
	try(100, 0, func(f *channel.Frame) { f.Req = 1 << 31 })
	n, how := a.worlds[1].Land(make([]byte, 10), 100, 0, false, never)
	require.Zero(t, n)
	require.Equal(t, LandNone, how)

	var head [channel.HeaderBytes]byte
	f.Header(head[:])
	p := a.ranks[1].p
	p.mu.Lock()
	n, how = a.worlds[1].Land(head[:], 100, 0, false, never)
	p.mu.Unlock()
	require.Zero(t, n)
	require.Equal(t, LandLate, how)
}
