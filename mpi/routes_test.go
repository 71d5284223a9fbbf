package mpi

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/godwit-run/godwit/mpi/abi"
)

// routes are Worlds between which a test carries frames as executors do: by tables of where ranks are that come late, and of which some are left out; with little
// room; with connections that are cut; and with moves of which the old place hears late, and the new one too.
type routes struct {
	t      *testing.T
	random *rand.Rand
	worlds []*World
	queues [][][][]byte // frames, by from and to
	room   int
	tables [][]int // the host of each rank, by epoch
	known  []int   // the newest that a host has
	guests []*guest
	where  []int // the host of each rank, or where it goes
	frozen []bool
	moves  []*crossing // by rank, of those under way
	sent   [routeRanks][routeRanks]int
	posted [routeRanks][routeRanks]int
}

const (
	routeHosts, routeRanks, routeMessages = 4, 6, 8 // messages of each pair
	routeSends, routeRecvs                = 1 << 16, 1 << 19
	routeSendHandles, routeRecvHandles    = 16384, 20480
)

// crossing is a rank's move that was decided and is not over everywhere.
type crossing struct {
	from, to, epoch int
	p               *Proc
	removed, joined bool
}

// routePort is the Network of one of them.
type routePort struct {
	*routes
	host int
}

func (n *routePort) to(dst Rank) int { return n.tables[n.known[n.host]][dst] }

func (n *routePort) Send(dst Rank, head, payload []byte, way Way) {
	if h := n.to(dst); h != n.host {
		q := &n.queues[n.host][h]
		*q = slices.Insert(*q, pick(way == UrgentWay, 0, len(*q)), slices.Concat(head, payload))
	}
}

func (n *routePort) Room(dst Rank, _ bool) bool {
	h := n.to(dst)
	return h == n.host || len(n.queues[n.host][h]) < n.room
}

func (*routePort) Poll(func(bool) Look) bool { return false }
func (*routePort) Wake()                     {}

func newRoutes(t *testing.T, seed uint64) *routes {
	m := &routes{
		t: t, random: rand.New(rand.NewPCG(seed, 0)), known: make([]int, routeHosts), frozen: make([]bool, routeRanks), moves: make([]*crossing, routeRanks), //nolint:gosec // a test's
	}
	m.room = 1 + m.random.IntN(4)
	for range routeRanks {
		m.where = append(m.where, m.random.IntN(routeHosts))
	}
	m.tables = [][]int{slices.Clone(m.where)}
	for h := range routeHosts {
		m.queues = append(m.queues, make([][][]byte, routeHosts))
		m.worlds = append(m.worlds, NewWorld(smallConfig(routeRanks), &routePort{m, h}))
	}
	for r, h := range m.where {
		m.guests = append(m.guests, begun(t, m.worlds[h], r, arenaBytes))
	}
	return m
}

// learn gives a host a table.
func (m *routes) learn(host, epoch int) {
	old := m.tables[m.known[host]]
	m.known[host] = epoch
	for r, h := range m.tables[epoch] {
		if h != host && old[r] != h {
			m.worlds[host].Reconnect(Rank(r))
		}
	}
}

// cut loses what is between two hosts, which connect anew.
func (m *routes) cut(a, b int) {
	m.queues[a][b], m.queues[b][a] = nil, nil
	for _, x := range [][2]int{{a, b}, {b, a}} {
		for r, h := range m.tables[m.known[x[0]]] {
			if h == x[1] {
				m.worlds[x[0]].Reconnect(Rank(r))
			}
		}
	}
}

func (m *routes) carry(from, to, n int) {
	for ; n > 0 && len(m.queues[from][to]) > 0; n-- {
		f := m.queues[from][to][0]
		m.queues[from][to] = m.queues[from][to][1:]
		if !m.worlds[to].TryReceive(f) {
			m.worlds[to].Receive(f)
		}
	}
	m.worlds[from].Room()
}

// runs reports whether a rank's program may make a call.
func (m *routes) runs(r int) bool { return !m.frozen[r] && (m.moves[r] == nil || m.moves[r].joined) }

func routeLength(s, d, i int) int { return []int{1, 1, 100, 200, 900}[(5*s+3*d+11*i)%5] }

func (m *routes) send(s, d int) {
	if s == d || !m.runs(s) || m.sent[s][d] == routeMessages {
		return
	}
	k, slot := m.sent[s][d], d*routeMessages+m.sent[s][d]
	for j := range routeLength(s, d, k) {
		m.guests[s].setInts(routeSends+4096*slot+4*j, 1000*s+k+77*j)
	}
	m.guests[s].call("MPI_Isend", routeSends+4096*slot, routeLength(s, d, k), tInt, d, 1, abi.CommWorld, routeSendHandles+4*slot)
	m.sent[s][d]++
}

func (m *routes) post(s, d int) {
	if !m.runs(d) || m.posted[s][d] == m.sent[s][d] {
		return
	}
	slot := s*routeMessages + m.posted[s][d]
	m.guests[d].call("MPI_Irecv", routeRecvs+4096*slot, 1000, tInt, s, 1, abi.CommWorld, routeRecvHandles+4*slot)
	m.posted[s][d]++
}

func (m *routes) freeze(r int) {
	if !m.frozen[r] && m.moves[r] == nil {
		_, err := m.worlds[m.where[r]].Capture(Rank(r))
		require.NoError(m.t, err)
		m.frozen[r] = true
	}
}

// decide commits or aborts the move of a rank that stands still.
func (m *routes) decide(r, to int) {
	if !m.frozen[r] {
		return
	}
	m.frozen[r] = false
	from := m.worlds[m.where[r]]
	if to == m.where[r] {
		require.NoError(m.t, from.Resume(Rank(r)))
		return
	}
	p, err := m.worlds[to].Decode(Rank(r), m.guests[r].mem, from.proc(Rank(r)).encodeLocked())
	require.NoError(m.t, err)
	table := slices.Clone(m.tables[len(m.tables)-1])
	table[r] = to
	m.tables = append(m.tables, table)
	m.moves[r] = &crossing{from: m.where[r], to: to, epoch: len(m.tables) - 1, p: p}
	m.where[r] = to
}

// goOn takes a move further, in any order, or to its end.
func (m *routes) goOn(r int, whole bool) {
	x := m.moves[r]
	if x == nil {
		return
	}
	if !x.removed && (whole || m.random.IntN(3) == 0) {
		if m.known[x.from] < x.epoch && m.random.IntN(2) == 0 {
			m.learn(x.from, x.epoch)
		}
		m.worlds[x.from].Remove(Rank(r))
		x.removed = true
	}
	if !x.joined && (whole || m.random.IntN(3) == 0) {
		if m.known[x.to] < x.epoch {
			m.learn(x.to, x.epoch)
		}
		require.NoError(m.t, m.worlds[x.to].Join(x.p, uint64(x.epoch+1)))
		m.guests[r].p = x.p
		x.joined = true
	}
	if x.removed && x.joined {
		m.moves[r] = nil
	}
}

// step does something.
func (m *routes) step(cuts bool) {
	host, rank := func() int { return m.random.IntN(routeHosts) }, func() int { return m.random.IntN(routeRanks) }
	switch k := m.random.IntN(100); {
	case k < 20:
		m.send(rank(), rank())
	case k < 24:
		m.post(rank(), rank())
	case k < 55:
		m.carry(host(), host(), 1+m.random.IntN(3))
	case k < 60 && cuts:
		if a, b := host(), host(); a != b {
			m.cut(a, b)
		}
	case k < 70:
		if h := host(); m.known[h] < len(m.tables)-1 {
			m.learn(h, m.known[h]+1+m.random.IntN(len(m.tables)-1-m.known[h]))
		}
	case k < 78:
		m.freeze(rank())
	case k < 87:
		m.decide(rank(), host())
	default:
		m.goOn(rank(), false)
	}
}

// rest lets all that has begun come to its end.
func (m *routes) rest() {
	for r := range m.guests {
		m.decide(r, m.where[r])
		m.goOn(r, true)
	}
	for _, h := range m.random.Perm(routeHosts) {
		if m.known[h] < len(m.tables)-1 {
			m.learn(h, len(m.tables)-1)
		}
	}
	for range 150 {
		for a := range routeHosts {
			for b := range routeHosts {
				m.carry(a, b, 2)
			}
		}
	}
}

// check requires that all that was sent is there, once, in order, and as it was.
func (m *routes) check() {
	for d, g := range m.guests {
		for s := range m.guests {
			for m.posted[s][d] < m.sent[s][d] {
				g.call("MPI_Iprobe", s, 1, abi.CommWorld, 96, 0)
				require.Equal(m.t, 1, g.int(96), "message %d of %d from %d to %d is not there", m.posted[s][d], m.sent[s][d], s, d)
				m.post(s, d)
			}
		}
	}
	m.rest()
	for d, g := range m.guests {
		for s := range m.guests {
			for i := range m.sent[s][d] {
				slot := s*routeMessages + i
				g.call("MPI_Test", routeRecvHandles+4*slot, 96, 0)
				require.Equal(m.t, 1, g.int(96), "message %d of %d from %d to %d has not come whole", i, m.sent[s][d], s, d)
				for j := range routeLength(s, d, i) {
					require.Equal(m.t, 1000*s+i+77*j, g.int(routeRecvs+4096*slot+4*j))
				}
			}
			g.call("MPI_Iprobe", s, 1, abi.CommWorld, 96, 0)
			require.Zero(m.t, g.int(96), "a message from %d to %d has come twice", s, d)
		}
	}
}

// TestRoutes: whatever the order in which ranks speak for the first time, move there and back, and hosts hear of it, and whatever is cut, nothing is lost, doubled or
// out of order. A cut heals what was lost otherwise, so most runs have none.
func TestRoutes(t *testing.T) {
	first := seed(t)
	moves, messages := 0, 0
	for i := range uint64(60) {
		m := newRoutes(t, first+i)
		for range 500 {
			m.step(i%3 == 0)
		}
		m.rest()
		m.check()
		moves += len(m.tables) - 1
		for s := range m.sent {
			for d := range m.sent[s] {
				messages += m.sent[s][d]
			}
		}
	}
	require.Positive(t, moves)
	require.Positive(t, messages)
	t.Logf("%d moves, %d messages", moves, messages)
}
