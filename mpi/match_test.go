package mpi

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/godwit-run/godwit/mpi/abi"
)

// model is naive matching: messages and receives in order, first fit.
type model struct {
	posted  []modelRecv
	waiting []modelMessage
	matched map[int]int // receive -> message
}

type modelRecv struct{ id, tag, ctx int }

type modelMessage struct{ id, tag, ctx int }

func (r modelRecv) fits(m modelMessage) bool {
	return r.ctx == m.ctx && (r.tag == abi.AnyTag || r.tag == m.tag)
}

func (m *model) send(msg modelMessage) {
	for i, r := range m.posted {
		if r.fits(msg) {
			m.matched[r.id] = msg.id
			m.posted = append(m.posted[:i:i], m.posted[i+1:]...)
			return
		}
	}
	m.waiting = append(m.waiting, msg)
}

func (m *model) recv(r modelRecv) {
	for i, msg := range m.waiting {
		if r.fits(msg) {
			m.matched[r.id] = msg.id
			m.waiting = append(m.waiting[:i:i], m.waiting[i+1:]...)
			return
		}
	}
	m.posted = append(m.posted, r)
}

// Matching is what the naive model says (MPI 5.0 section 3.5), for eager and
// rendezvous messages, wildcards and two communicators.
func TestMatching(t *testing.T) {
	calls := callsByName()
	rapid.Check(t, func(rt *rapid.T) {
		w := NewWorld(smallConfig(1), noNetwork{})
		g := newGuest(0, 1, calls)
		g.mem = make(arena, 1<<19)
		p, err := w.AddRank(0, 1, g.mem)
		require.NoError(rt, err)
		g.p = p
		g.call("MPI_Init", 0, 0)
		m := &model{matched: map[int]int{}}
		const each = 2048 // bytes of a receive's and a message's buffer
		n := rapid.IntRange(1, 60).Draw(rt, "operations")
		for id := range n {
			ctx := rapid.IntRange(0, 1).Draw(rt, "comm")
			if rapid.Bool().Draw(rt, "send") {
				tag := rapid.IntRange(0, 2).Draw(rt, "tag")
				count := rapid.SampledFrom([]int{1, 10, 300}).Draw(rt, "count")
				at := 1<<18 + id*each
				g.setInts(at, id+1)
				g.call("MPI_Isend", at, count, tInt, 0, tag, abi.CommWorld+ctx, 64)
				m.send(modelMessage{id: id, tag: tag, ctx: ctx})
				continue
			}
			tag := rapid.SampledFrom([]int{abi.AnyTag, 0, 1, 2}).Draw(rt, "recv tag")
			src := rapid.SampledFrom([]int{abi.AnySource, 0}).Draw(rt, "source")
			g.call("MPI_Irecv", 4096+id*each, each/4, tInt, src, tag, abi.CommWorld+ctx, 64)
			m.recv(modelRecv{id: id, tag: tag, ctx: ctx})
		}
		for id := range n {
			want := 0
			if msg, ok := m.matched[id]; ok {
				want = msg + 1
			}
			require.Equal(rt, want, g.int(4096+id*each), "receive %d", id)
		}
		require.Len(rt, p.posted, len(m.posted))
		require.Len(rt, p.unexpected, len(m.waiting))
	})
}
