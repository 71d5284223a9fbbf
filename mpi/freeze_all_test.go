package mpi

import (
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/godwit-run/godwit/mpi/abi"
)

// frozenRow is a call of rank 0 that waits for others. The rank is frozen when it blocks there, goes on in another World,
// is frozen again, and goes on in a third; only then do the others let it end.
type frozenRow struct {
	name string
	call string          // where rank 0 blocks; the name, unless that is given
	all  func(x *ice)    // what all three ranks do
	only [2]func(x *ice) // or what ranks 0 and 1 do
	held string          // the call of rank 1 that is detached meanwhile, so that nothing of it answers
}

// ice is a rank in a row.
type ice struct {
	*guest
	t *testing.T
	*thaw
}

// thaw is what the ranks of a row and the test tell each other.
type thaw struct {
	readyCh   chan struct{} // rank 0 is about to block
	proceedCh chan struct{} // it may
	releaseCh chan struct{} // the others may let it end
	heldCh    chan struct{} // rank 1 is about to make the call where it is held
}

// block is called by rank 0 right before the call to freeze.
func (x *ice) block() {
	close(x.readyCh)
	<-x.proceedCh
}

// release waits until rank 0 may go on.
func (x *ice) release() { <-x.releaseCh }

// meet blocks on rank 0, and waits on the others.
func (x *ice) meet() {
	if x.rank == 0 {
		x.block()
		return
	}
	x.release()
}

// hold is called by rank 1 right before the call where it is held.
func (x *ice) hold() { close(x.heldCh) }

// untilTold holds rank 1 until rank 0 has told it to go on.
func (x *ice) untilTold() {
	x.hold()
	x.call("MPI_Recv", 0, 0, tInt, 0, tellTag, abi.CommWorld, 0)
}

func (x *ice) tell() { x.call("MPI_Send", 0, 0, tInt, 1, tellTag, abi.CommWorld) }

const tellTag = 99

// blocked waits until a rank is parked in a call.
func (c *cluster) blocked(g *guest, call string, endedCh <-chan struct{}) {
	for !ended(endedCh) {
		p := g.current(c)
		if p != nil && p.in.parked.Load() && strings.HasPrefix(c.worlds[c.location(g.rank)].Inspect(p.Rank()), call+"(") {
			return
		}
		runtime.Gosched()
	}
}

// freezeRow runs one row.
func freezeRow(t *testing.T, r frozenRow) {
	x := &thaw{make(chan struct{}), make(chan struct{}), make(chan struct{}), make(chan struct{})}
	runCluster(t, smallConfig(3), 3, func(g *guest) {
		switch i := (&ice{g, t, x}); {
		case r.all != nil:
			r.all(i)
		case g.rank < 2:
			r.only[g.rank](i)
		}
	}, func(c *cluster, guests []*guest, endedCh <-chan struct{}) {
		<-x.readyCh
		var held *Proc
		if r.held != "" {
			<-x.heldCh
			held = c.detach(guests[1], r.held, endedCh)
		}
		close(x.proceedCh)
		for i := range 2 {
			c.blocked(guests[0], pick(r.call == "", r.name, r.call), endedCh)
			require.True(t, c.move(guests[0], 2-2*i, true, i == 1), "%s has ended", r.name)
		}
		if held != nil {
			require.NoError(t, c.worlds[1].Resume(1))
			held.Unfreeze()
			guests[1].thawCh <- thawed{held, guests[1].mem}
		}
		close(x.releaseCh)
	})
}

// detach freezes and captures a rank where it blocks, and leaves it there.
func (c *cluster) detach(g *guest, call string, endedCh <-chan struct{}) *Proc {
	c.blocked(g, call, endedCh)
	p := g.current(c)
	p.Freeze()
	<-g.ctl.frozenCh
	_, err := c.worlds[c.location(g.rank)].Capture(p.Rank())
	require.NoError(c.t, err)
	return p
}

// Every call that can wait is frozen while it waits, and goes on elsewhere.
func TestFreezeAll(t *testing.T) {
	s := seed(t)
	rows := frozenPoints()
	for _, more := range [][]frozenRow{
		frozenWaits(), frozenBuffers(), frozenComms(), frozenInters(), frozenTopologies(), frozenWindows(), frozenTargets(),
		frozenCollectives(s), frozenNeighbors(s),
	} {
		rows = append(rows, more...)
	}
	for _, r := range rows {
		t.Run(r.name, func(t *testing.T) { freezeRow(t, r) })
	}
}

// numbers stores n ints that tell a rank, and looks at them.
func (x *ice) numbers(at, rank, n int) {
	for i := range n {
		x.setInts(at+4*i, value(rank, i))
	}
}

func (x *ice) expect(at, rank, n int) {
	require.Equal(x.t, contribution(rank, n), x.ints(at, n))
}

const (
	long  = 1000 // ints of a message that goes by rendezvous
	short = 10
)

// sender lets rank 0 send, and rank 1 receive after the release.
func sender(name string, n int) frozenRow {
	return frozenRow{name: name, only: [2]func(x *ice){
		func(x *ice) {
			x.numbers(sbuf, 0, n)
			x.block()
			x.call(name, sbuf, n, tInt, 1, 5, abi.CommWorld)
			clear(x.mem[sbuf : sbuf+4*n]) // the buffer is free again
			x.call("MPI_Send", sbuf, 0, tInt, 1, 5, abi.CommWorld)
		},
		func(x *ice) {
			x.release()
			x.call("MPI_Recv", rbuf, n, tInt, 0, 5, abi.CommWorld, 0)
			x.call("MPI_Recv", rbuf, 0, tInt, 0, 5, abi.CommWorld, 0)
			x.expect(rbuf, 0, n)
		},
	}}
}

// receiver lets rank 1 send after the release; wait is what rank 0 does.
func receiver(name, call string, n int, wait func(x *ice)) frozenRow {
	return frozenRow{name: name, call: call, only: [2]func(x *ice){
		func(x *ice) {
			wait(x)
			x.expect(rbuf, 1, n)
		},
		func(x *ice) {
			x.numbers(sbuf, 1, n)
			x.release()
			x.call("MPI_Send", sbuf, n, tInt, 0, 5, abi.CommWorld)
		},
	}}
}

func frozenPoints() []frozenRow {
	recv := func(n int) func(x *ice) {
		return func(x *ice) {
			x.block()
			x.call("MPI_Recv", rbuf, n, tInt, abi.AnySource, 5, abi.CommWorld, 16)
			require.Equal(x.t, []int{1, 5}, x.ints(16, 2))
		}
	}
	return []frozenRow{
		sender("MPI_Send", long), sender("MPI_Ssend", short), sender("MPI_Ssend", long), sender("MPI_Rsend", long),
		receiver("MPI_Recv", "", short, recv(short)), receiver("MPI_Recv", "", long, recv(long)),
		receiver("MPI_Probe", "", long, func(x *ice) {
			x.block()
			x.call("MPI_Probe", 1, abi.AnyTag, abi.CommWorld, 16)
			require.Equal(x.t, []int{1, 5}, x.ints(16, 2))
			x.call("MPI_Recv", rbuf, long, tInt, 1, 5, abi.CommWorld, 0)
		}),
		receiver("MPI_Mprobe", "", long, func(x *ice) {
			x.block()
			x.call("MPI_Mprobe", abi.AnySource, 5, abi.CommWorld, 64, 16)
			require.Equal(x.t, []int{1, 5}, x.ints(16, 2))
			x.call("MPI_Mrecv", rbuf, long, tInt, 64, 0)
		}),
		{name: "MPI_Mrecv", held: "MPI_Ssend", only: [2]func(x *ice){
			func(x *ice) {
				x.call("MPI_Mprobe", 1, 5, abi.CommWorld, 64, 0)
				x.block()
				x.call("MPI_Mrecv", rbuf, long, tInt, 64, 16)
				require.Equal(x.t, []int{1, 5, abi.MessageNull}, []int{x.int(16), x.int(20), x.int(64)})
				x.expect(rbuf, 1, long)
			},
			func(x *ice) {
				x.numbers(sbuf, 1, long)
				x.hold()
				x.call("MPI_Ssend", sbuf, long, tInt, 0, 5, abi.CommWorld)
			},
		}},
		sendReceiver("MPI_Sendrecv", sbuf, long, tInt, 2, 5, rbuf, long, tInt, 1, 5, abi.CommWorld, 0),
		sendReceiver("MPI_Sendrecv_replace", rbuf, long, tInt, 2, 5, 1, 5, abi.CommWorld, 0),
	}
}

// sendReceiver lets rank 0 send to rank 2 and receive from rank 1, which waits for the release.
func sendReceiver(name string, a ...int) frozenRow {
	return frozenRow{name: name, all: func(x *ice) {
		x.numbers(sbuf, x.rank, long)
		switch x.rank {
		case 0:
			x.numbers(rbuf, 0, long)
			x.block()
			x.call(name, a...)
			x.expect(rbuf, 1, long)
		case 1:
			x.release()
			x.call("MPI_Send", sbuf, long, tInt, 0, 5, abi.CommWorld)
		default:
			x.call("MPI_Recv", rbuf, long, tInt, 0, 5, abi.CommWorld, 0)
			x.expect(rbuf, 0, long)
		}
	}}
}

func frozenWaits() []frozenRow {
	irecv := func(x *ice) { x.call("MPI_Irecv", rbuf, long, tInt, 1, 5, abi.CommWorld, 64) }
	// list has three requests: the first is null, the second waits for rank 1, the third for nobody.
	list := func(x *ice) {
		x.setInts(60, abi.RequestNull)
		irecv(x)
		x.call("MPI_Irecv", 0, 0, tInt, 1, 77, abi.CommWorld, 68)
		x.block()
	}
	cancel := func(x *ice) {
		require.Equal(x.t, abi.RequestNull, x.int(64))
		x.call("MPI_Cancel", 68)
		x.call("MPI_Wait", 68, 0)
	}
	return []frozenRow{
		receiver("MPI_Wait", "", long, func(x *ice) {
			irecv(x)
			x.block()
			x.call("MPI_Wait", 64, 16)
			require.Equal(x.t, []int{1, 5}, x.ints(16, 2))
		}),
		receiver("MPI_Wait/persistent", "MPI_Wait", long, func(x *ice) {
			x.call("MPI_Recv_init", rbuf, long, tInt, 1, 5, abi.CommWorld, 64)
			x.call("MPI_Start", 64)
			x.block()
			x.call("MPI_Wait", 64, 0)
			x.call("MPI_Request_free", 64)
		}),
		receiver("MPI_Waitany", "", long, func(x *ice) {
			list(x)
			x.call("MPI_Waitany", 3, 60, 8, 0)
			require.Equal(x.t, 1, x.int(8))
			cancel(x)
		}),
		receiver("MPI_Waitsome", "", long, func(x *ice) {
			list(x)
			x.call("MPI_Waitsome", 3, 60, 8, 12, 0)
			require.Equal(x.t, []int{1, 1}, x.ints(8, 2))
			cancel(x)
		}),
		receiver("MPI_Waitall", "", long, func(x *ice) {
			x.setInts(60, abi.RequestNull)
			irecv(x)
			x.numbers(sbuf, 0, short)
			x.call("MPI_Isend", sbuf, short, tInt, 0, 4, abi.CommSelf, 68)
			x.call("MPI_Irecv", sbuf+4096, short, tInt, 0, 4, abi.CommSelf, 72)
			x.block()
			x.call("MPI_Waitall", 4, 60, 0)
			x.expect(sbuf+4096, 0, short)
		}),
		receiver("MPI_Wait/sendrecv", "MPI_Wait", long, func(x *ice) {
			x.call("MPI_Isendrecv", sbuf, 0, tInt, abi.ProcNull, 0, rbuf, long, tInt, 1, 5, abi.CommWorld, 64)
			x.block()
			x.call("MPI_Wait", 64, 16)
			require.Equal(x.t, []int{1, 5}, x.ints(16, 2))
		}),
		{name: "MPI_Wait/partitioned", call: "MPI_Wait", only: [2]func(x *ice){
			func(x *ice) {
				x.call("MPI_Precv_init", rbuf, 4, long/4, tInt, 1, 5, abi.CommWorld, abi.InfoNull, 64)
				x.call("MPI_Start", 64)
				x.block()
				x.call("MPI_Wait", 64, 0)
				x.expect(rbuf, 1, long)
				x.call("MPI_Request_free", 64)
			},
			func(x *ice) {
				x.numbers(sbuf, 1, long)
				x.call("MPI_Psend_init", sbuf, 4, long/4, tInt, 0, 5, abi.CommWorld, abi.InfoNull, 64)
				x.call("MPI_Start", 64)
				for i := range 3 {
					x.call("MPI_Pready", i, x.int(64))
				}
				x.release()
				x.call("MPI_Pready", 3, x.int(64))
				x.call("MPI_Wait", 64, 0)
				x.call("MPI_Request_free", 64)
			},
		}},
	}
}

// A buffered message that is too long to go eagerly stays until it is received.
func frozenBuffers() []frozenRow {
	row := func(name, attach string, comm []int, flush func(x *ice)) frozenRow {
		return frozenRow{name: name, only: [2]func(x *ice){
			func(x *ice) {
				x.call(attach, append(comm, 1<<17, 1<<16)...)
				x.numbers(sbuf, 0, long)
				x.call("MPI_Bsend", sbuf, long, tInt, 1, 5, abi.CommWorld)
				clear(x.mem[sbuf : sbuf+4*long])
				x.block()
				flush(x)
				if name != "MPI_Buffer_detach" && name != "MPI_Comm_detach_buffer" {
					x.call("MPI_Buffer_detach", 64, 68)
				}
				require.Equal(x.t, []int{1 << 17, 1 << 16}, x.ints(64, 2))
			},
			func(x *ice) {
				x.release()
				x.call("MPI_Recv", rbuf, long, tInt, 0, 5, abi.CommWorld, 0)
				x.expect(rbuf, 0, long)
			},
		}}
	}
	comm := []int{abi.CommWorld}
	begun := row("MPI_Wait/iflush", "MPI_Buffer_attach", nil, func(x *ice) {
		x.call("MPI_Buffer_iflush", 64)
		x.call("MPI_Wait", 64, 0)
	})
	begun.call = "MPI_Wait"
	return []frozenRow{
		begun,
		row("MPI_Buffer_detach", "MPI_Buffer_attach", nil, func(x *ice) { x.call("MPI_Buffer_detach", 64, 68) }),
		row("MPI_Buffer_flush", "MPI_Buffer_attach", nil, func(x *ice) { x.call("MPI_Buffer_flush") }),
		row("MPI_Comm_detach_buffer", "MPI_Comm_attach_buffer", comm, func(x *ice) { x.call("MPI_Comm_detach_buffer", abi.CommWorld, 64, 68) }),
		row("MPI_Comm_flush_buffer", "MPI_Comm_attach_buffer", comm, func(x *ice) { x.call("MPI_Comm_flush_buffer", abi.CommWorld) }),
	}
}

func frozenCollectives(seed uint64) []frozenRow {
	var rows []frozenRow
	for k, name := range drillNames {
		for form := range forms3 {
			call := pick(form == formBlocking, "MPI_"+name, "MPI_Wait")
			rows = append(rows, frozenRow{
				name: "MPI_" + []string{name, "I" + strings.ToLower(name), name + "_init"}[form], call: call,
				all: func(x *ice) { x.drill(seed+uint64(k), name, form) },
			})
		}
	}
	return rows
}

// drill makes a collective of long parts: rank 0 cannot end it alone.
func (x *ice) drill(seed uint64, name string, form int) {
	w := newDriller(x.t, x.guest, seed, nil)
	d := w.draw(name, 300)
	d.large = false        // the row looks for the call by its name
	if name == "Gatherv" { // another root would get nothing of rank 0
		d.comm, d.me, d.root = abi.CommWorld, x.rank, 0
	}
	if reduces(name) {
		w.reduce(d)
	}
	a := drills[name](d)
	if name == "Barrier" {
		a.fill, a.check = func() {}, func() {}
	}
	fill, met := a.fill, false
	a.fill = func() {
		fill()
		if !met {
			x.meet()
		}
		met = true
	}
	d.run(form, a)
}

func frozenNeighbors(seed uint64) []frozenRow {
	var rows []frozenRow
	for k, name := range []string{"Neighbor_allgather", "Neighbor_allgatherv", "Neighbor_alltoall", "Neighbor_alltoallv", "Neighbor_alltoallw"} {
		rows = append(rows, frozenRow{name: "MPI_" + name, all: func(x *ice) {
			w := newDriller(x.t, x.guest, seed+uint64(k), nil)
			x.setInts(drillA, 3)
			x.setInts(drillB, 1)
			x.call("MPI_Cart_create", abi.CommWorld, 1, drillA, drillB, 0, drillReq)
			comm := x.int(drillReq)
			d := w.draw(name, 200)
			d.comm, d.me, d.large = comm, x.rank, false
			a := d.neighbors(gridVicinity(x.rank, []int{3}, []bool{true}))
			x.meet()
			d.run(formBlocking, a)
		}})
	}
	return rows
}

// Calls that make communicators, windows and graphs have several phases, and so has what they are used for: ranks move in all
// of them.
func TestMakersMove(t *testing.T) {
	first := seed(t)
	moves := 0
	for i := range uint64(4) {
		runCluster(t, smallConfig(3), 3, func(g *guest) {
			open := make(chan struct{})
			close(open)
			for range 2 {
				for _, r := range slices.Concat(frozenComms(), frozenInters(), frozenTopologies(), frozenWindows(), frozenTargets()) {
					r.all(&ice{g, t, &thaw{make(chan struct{}), open, open, make(chan struct{})}})
				}
			}
		}, wanderer(rand.New(rand.NewPCG(first, i)), &moves))
	}
	t.Logf("%d moves", moves)
}
