package mpi

import (
	"slices"

	"github.com/godwit-run/godwit/mpi/abi"
	"github.com/godwit-run/godwit/mpi/coll"
	"github.com/godwit-run/godwit/mpi/layout"
)

// A collective is planned once, whether it is called blocking, nonblocking or persistent (MPI 5.0 chapter 6).

// plan is where a collective's schedule is built for.
type plan struct {
	p        *Proc
	c        *comm
	s        *coll.Schedule
	me, size int // in the local group
	reduces  coll.Reduction
}

// collectiveCalls are the collectives of chapter 6, in all their forms.
func collectiveCalls() []entry {
	return slices.Concat(
		forms("Barrier", planBarrier, barrierTask),
		forms("Bcast", planBcast),
		forms("Reduce", planReduce),
		forms("Allreduce", planAllreduce, allreduceTask),
		forms("Scan", planScan),
		forms("Exscan", planExscan),
		forms("Reduce_scatter_block", planReduceScatterBlock),
		forms("Reduce_scatter", planReduceScatter),
		forms("Gather", planGather),
		forms("Gatherv", planGatherv),
		forms("Scatter", planScatter),
		forms("Scatterv", planScatterv),
		forms("Allgather", planAllgather, allgatherTask),
		forms("Allgatherv", planAllgatherv),
		forms("Alltoall", planAlltoall, alltoallTask),
		forms("Alltoallv", planAlltoallv),
		forms("Alltoallw", planAlltoallw),
	)
}

// collectArgs are the arguments of a blocking collective: its own, and the communicator.
type collectArgs[T any] struct {
	own  T
	comm handle
}

type startCollectiveArgs[T any] struct {
	collectArgs[T]
	request address
}

type initCollectiveArgs[T any] struct {
	collectArgs[T]
	info    handle
	request address
}

// forms are the three calls of one collective. build plans it from its own arguments; asks, if there is one, is what the blocking call may ask of a meeting.
func forms[T any](name string, build func(g *plan, a T) error, asks ...func(p *Proc, c *comm, a T) (task, bool)) []entry {
	lower := "I" + string(name[0]|0x20) + name[1:]
	planned := func(p *Proc, c *comm, s *sketch, a T) error {
		s.plan = plan{p: p, c: c, s: &s.Schedule, me: c.me, size: c.size()}
		return build(&s.plan, a)
	}
	return []entry{
		{name: "MPI_" + name, impl: bind(func(p *Proc, a collectArgs[T]) error {
			c, err := p.comm(a.comm)
			if err != nil {
				return err
			}
			if len(asks) > 0 && p.mayMeet(c) {
				if t, ok := asks[0](p, c, a.own); ok {
					if met, err := p.meet(c, &t); met || err != nil {
						return err
					}
				}
			}
			return p.collect(c, func(s *sketch) error { return planned(p, c, s, a.own) })
		})},
		{name: "MPI_" + lower, impl: bind(func(p *Proc, a startCollectiveArgs[T]) error {
			c, err := p.comm(a.comm)
			if err != nil {
				return err
			}
			return p.startCollective(c, a.request, func(s *sketch) error { return planned(p, c, s, a.own) })
		})},
		{name: "MPI_" + name + "_init", impl: bind(func(p *Proc, a initCollectiveArgs[T]) error {
			c, err := p.comm(a.comm)
			if err != nil {
				return err
			}
			return p.initCollective(c, a.info, a.request, func(s *sketch) error { return planned(p, c, s, a.own) })
		})},
	}
}

// startCollective makes a nonblocking call.
func (p *Proc) startCollective(c *comm, out address, build func(s *sketch) error) error {
	if _, err := p.handles(out, 1); err != nil {
		return c.on(err)
	}
	reqs, err := p.begin(c, build, false)
	if err != nil {
		return c.on(err)
	}
	return p.putWord(out, baseRequest+reqs[0])
}

// initCollective makes a persistent call (MPI 5.0 section 6.13): the schedule is kept for every start.
func (p *Proc) initCollective(c *comm, info handle, out address, build func(s *sketch) error) error {
	if _, err := p.hints(info); err != nil {
		return c.on(err)
	}
	if _, err := p.handles(out, 1); err != nil {
		return c.on(err)
	}
	s := newSketch(c)
	if err := build(s); err != nil {
		return c.on(err)
	}
	r, err := p.scheduled(s, false)
	if err != nil {
		return err
	}
	r.persistent, r.done = true, true
	return p.putWord(out, baseRequest+r.index)
}

// root checks a root; on an intercommunicator it is a rank of the other group, MPI_ROOT or MPI_PROC_NULL.
func (g *plan) root(r int) (int, error) {
	if g.c.inter() && (r == abi.RootHere || r == abi.ProcNull) {
		return r, nil
	}
	if n := len(g.c.peers().ranks); r < 0 || r >= n {
		return 0, abi.Fail(abi.ErrRoot, "root %d is not in 0..%d", r, n-1)
	}
	return r, nil
}

// at returns the span of count elements, displ bytes from a pointer.
func (g *plan) at(ptr uint32, displ, count int64, t *layout.Type) (layout.Span, error) {
	at := int64(ptr) + displ
	if count == 0 || t.Size == 0 {
		return layout.Span{}, nil
	}
	if at < 0 || at >= 1<<32 {
		return layout.Span{}, abi.Fail(abi.ErrBuffer, "displacement %d from %#x is outside of the memory", displ, ptr)
	}
	return g.p.elements(uint32(at), count, t)
}

// equal returns n parts of equal length at a pointer. Their length is the same even where there are none.
func (g *plan) equal(n int, ptr uint32, count int64, typ uint32) (coll.Parts, error) {
	t, err := g.p.committed(typ)
	if err != nil {
		return nil, err
	}
	if count < 0 {
		return nil, abi.Fail(abi.ErrCount, "count is %d", count)
	}
	if t.Size > 0 && count > 1<<32/t.Size {
		return nil, abi.Fail(abi.ErrCount, "%d elements of %d bytes are more than a rank can hold", count, t.Size)
	}
	out := make(coll.Parts, n)
	for i := range out {
		if out[i], err = g.at(ptr, layout.Times(int64(i), layout.Times(count, t.Extent())), count, t); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// vector describes parts by arrays of counts and displacements.
type vector struct {
	ptr, counts, displs address
	typ                 uint32 // the type of all elements, or where types stand
	each                bool   // each part has a type of its own, and its displacement is in bytes instead of elements
}

// vector returns n parts.
func (g *plan) vector(n int, v vector) (coll.Parts, error) {
	counts, err := g.p.counts(v.counts, n)
	if err != nil {
		return nil, err
	}
	displs, err := g.p.ints(v.displs, n) // MPI_Aint has 32 bits, as int
	if err != nil {
		return nil, err
	}
	var types []uint32
	if v.each {
		if types, err = g.p.words(v.typ, n); err != nil {
			return nil, err
		}
	}
	out := make(coll.Parts, n)
	for i := range out {
		typ := v.typ
		if v.each {
			typ = types[i]
		}
		t, err := g.p.committed(typ)
		if err != nil {
			return nil, err
		}
		if counts[i] < 0 {
			return nil, abi.Fail(abi.ErrCount, "the count of rank %d is %d", i, counts[i])
		}
		displ := int64(displs[i])
		if !v.each {
			displ = layout.Times(displ, t.Extent())
		}
		if out[i], err = g.at(v.ptr, displ, counts[i], t); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// distinct checks that input and output are not the same memory (MPI 5.0 section 2.3).
func distinct(in, out layout.Span) error {
	if in.Len > 0 && out.Len > 0 && in.Host == nil && in.Off == out.Off {
		return abi.Fail(abi.ErrBuffer, "send and receive buffer are the same: use MPI_IN_PLACE")
	}
	return nil
}

// fits checks what a rank sends to itself.
func fits(in, out layout.Span) error {
	if in.Len > out.Len {
		return abi.Fail(abi.ErrTruncate, "the rank sends %d bytes to itself and receives %d", in.Len, out.Len)
	}
	return nil
}

func planBarrier(g *plan, _ noArgs) error {
	if g.c.inter() {
		g.interAllreduce(layout.Span{}, layout.Span{}, nil)
		return nil
	}
	g.s.Barrier(g.me, g.size)
	return nil
}

type bcastArgs struct {
	buffer   address
	count    count
	datatype handle
	root     int
}

func planBcast(g *plan, a bcastArgs) error {
	root, err := g.root(a.root)
	if err != nil {
		return err
	}
	if root == abi.ProcNull {
		return nil
	}
	buf, err := g.p.buffer(a.buffer, a.count, a.datatype)
	if err != nil {
		return err
	}
	if g.c.inter() {
		g.interBcast(root, buf)
		return nil
	}
	g.s.Bcast(g.me, g.size, root, buf)
	return nil
}

// What a rank gives to a collective, and what it gets: one buffer, or parts of one.
type (
	givenArgs struct {
		sendbuf   address
		sendcount count
		sendtype  handle
	}
	givenPartsArgs struct {
		sendbuf, sendcounts, displs address
		sendtype                    handle
	}
	gottenArgs struct {
		recvbuf   address
		recvcount count
		recvtype  handle
	}
	gottenPartsArgs struct {
		recvbuf, recvcounts, displs address
		recvtype                    handle
	}
)

func (a givenPartsArgs) vector() vector {
	return vector{ptr: a.sendbuf, counts: a.sendcounts, displs: a.displs, typ: a.sendtype}
}

func (a gottenPartsArgs) vector() vector {
	return vector{ptr: a.recvbuf, counts: a.recvcounts, displs: a.displs, typ: a.recvtype}
}

type gatherArgs struct {
	givenArgs
	gottenArgs
	root int
}

func planGather(g *plan, a gatherArgs) error {
	root, err := g.root(a.root)
	if err != nil {
		return err
	}
	var to coll.Parts
	if g.isRoot(root) {
		if to, err = g.equal(g.peers(), a.recvbuf, a.recvcount, a.recvtype); err != nil {
			return err
		}
	}
	return g.gather(a.givenArgs, root, to, true)
}

type gathervArgs struct {
	givenArgs
	gottenPartsArgs
	root int
}

func planGatherv(g *plan, a gathervArgs) error {
	root, err := g.root(a.root)
	if err != nil {
		return err
	}
	var to coll.Parts
	if g.isRoot(root) {
		if to, err = g.vector(g.peers(), a.vector()); err != nil {
			return err
		}
	}
	return g.gather(a.givenArgs, root, to, false)
}

// isRoot tells whether this rank is the root.
func (g *plan) isRoot(root int) bool {
	return root == abi.RootHere || (!g.c.inter() && root == g.me)
}

// peers is how many ranks a rooted collective has on the other side.
func (g *plan) peers() int { return len(g.c.peers().ranks) }

func (g *plan) gather(a givenArgs, root int, to coll.Parts, even bool) error {
	if root == abi.ProcNull {
		return nil
	}
	if root == abi.RootHere {
		g.s.GatherHere(-1, to)
		return nil
	}
	var in layout.Span
	var err error
	if !g.c.inter() && g.me == root && a.sendbuf == abi.InPlace {
		in = to[g.me]
	} else if in, err = g.input(a.sendbuf, a.sendcount, a.sendtype); err != nil {
		return err
	}
	if !g.c.inter() && g.me == root {
		if err := fits(in, to[g.me]); err != nil {
			return err
		}
		if a.sendbuf != abi.InPlace {
			if err := distinct(in, to[0]); err != nil {
				return err
			}
		}
	}
	if g.c.inter() {
		g.s.Round(g.s.SendTo(root, in))
	} else {
		g.s.Gather(g.me, g.size, root, in, to, even)
	}
	return nil
}

// input is a buffer that cannot be MPI_IN_PLACE.
func (g *plan) input(ptr address, n count, typ handle) (layout.Span, error) {
	if ptr == abi.InPlace && n > 0 {
		return layout.Span{}, abi.Fail(abi.ErrBuffer, "MPI_IN_PLACE is for the root only")
	}
	return g.p.buffer(ptr, n, typ)
}

func planScatter(g *plan, a gatherArgs) error {
	root, err := g.root(a.root)
	if err != nil {
		return err
	}
	var from coll.Parts
	if g.isRoot(root) {
		if from, err = g.equal(g.peers(), a.sendbuf, a.sendcount, a.sendtype); err != nil {
			return err
		}
	}
	return g.scatter(a.gottenArgs, root, from, true)
}

type scattervArgs struct {
	givenPartsArgs
	gottenArgs
	root int
}

func planScatterv(g *plan, a scattervArgs) error {
	root, err := g.root(a.root)
	if err != nil {
		return err
	}
	var from coll.Parts
	if g.isRoot(root) {
		if from, err = g.vector(g.peers(), a.vector()); err != nil {
			return err
		}
	}
	return g.scatter(a.gottenArgs, root, from, false)
}

func (g *plan) scatter(a gottenArgs, root int, from coll.Parts, even bool) error {
	if root == abi.ProcNull {
		return nil
	}
	if root == abi.RootHere {
		g.s.ScatterHere(-1, from)
		return nil
	}
	var out layout.Span
	var err error
	switch {
	case !g.c.inter() && g.me == root && a.recvbuf == abi.InPlace:
		out = from[g.me]
	default:
		if out, err = g.input(a.recvbuf, a.recvcount, a.recvtype); err != nil {
			return err
		}
	}
	if !g.c.inter() && g.me == root {
		if err := fits(from[g.me], out); err != nil {
			return err
		}
		if a.recvbuf != abi.InPlace {
			if err := distinct(out, from[0]); err != nil {
				return err
			}
		}
	}
	if g.c.inter() {
		g.s.Round(g.s.RecvFrom(root, out))
	} else {
		g.s.Scatter(g.me, g.size, root, out, from, even)
	}
	return nil
}

type allgatherArgs struct {
	givenArgs
	gottenArgs
}

func planAllgather(g *plan, a allgatherArgs) error {
	to, err := g.equal(g.peers(), a.recvbuf, a.recvcount, a.recvtype)
	if err != nil {
		return err
	}
	return g.allgather(a.givenArgs, to, true)
}

type allgathervArgs struct {
	givenArgs
	gottenPartsArgs
}

func planAllgatherv(g *plan, a allgathervArgs) error {
	to, err := g.vector(g.peers(), a.vector())
	if err != nil {
		return err
	}
	return g.allgather(a.givenArgs, to, false)
}

func (g *plan) allgather(a givenArgs, to coll.Parts, even bool) error {
	if g.c.inter() {
		in, err := g.input(a.sendbuf, a.sendcount, a.sendtype)
		if err != nil {
			return err
		}
		g.s.InterExchange(func(int) layout.Span { return in }, to.At, len(to))
		return nil
	}
	in := to[g.me]
	if a.sendbuf != abi.InPlace {
		var err error
		if in, err = g.p.buffer(a.sendbuf, a.sendcount, a.sendtype); err != nil {
			return err
		}
		if err := distinct(in, to[0]); err != nil {
			return err
		}
	}
	if err := fits(in, to[g.me]); err != nil {
		return err
	}
	g.s.Copy(to[g.me], in) // before the first round
	g.s.Allgather(g.me, g.size, to, even)
	return nil
}

func planAlltoall(g *plan, a allgatherArgs) error {
	to, err := g.equal(g.peers(), a.recvbuf, a.recvcount, a.recvtype)
	if err != nil {
		return err
	}
	return g.alltoall(a.sendbuf == abi.InPlace, true, to, func() (coll.Parts, error) {
		return g.equal(g.peers(), a.sendbuf, a.sendcount, a.sendtype)
	})
}

type alltoallvArgs struct {
	sendbuf, sendcounts, sdispls address
	sendtype                     handle
	recvbuf, recvcounts, rdispls address
	recvtype                     handle
}

// vectors are what the rank gives and gets.
func (a alltoallvArgs) vectors() (from, to vector) {
	return vector{ptr: a.sendbuf, counts: a.sendcounts, displs: a.sdispls, typ: a.sendtype},
		vector{ptr: a.recvbuf, counts: a.recvcounts, displs: a.rdispls, typ: a.recvtype}
}

func planAlltoallv(g *plan, a alltoallvArgs) error {
	from, to := a.vectors()
	return g.alltoallv(from, to)
}

type alltoallwArgs struct {
	sendbuf, sendcounts, sdispls, sendtypes address
	recvbuf, recvcounts, rdispls, recvtypes address
}

func (a alltoallwArgs) vectors() (from, to vector) {
	return vector{ptr: a.sendbuf, counts: a.sendcounts, displs: a.sdispls, typ: a.sendtypes, each: true},
		vector{ptr: a.recvbuf, counts: a.recvcounts, displs: a.rdispls, typ: a.recvtypes, each: true}
}

func planAlltoallw(g *plan, a alltoallwArgs) error {
	from, to := a.vectors()
	return g.alltoallv(from, to)
}

func (g *plan) alltoallv(from, to vector) error {
	out, err := g.vector(g.peers(), to)
	if err != nil {
		return err
	}
	return g.alltoall(from.ptr == abi.InPlace, false, out, func() (coll.Parts, error) { return g.vector(g.peers(), from) })
}

// alltoall in place sends from a copy of recvbuf.
func (g *plan) alltoall(place, even bool, to coll.Parts, input func() (coll.Parts, error)) error {
	var from coll.Parts
	var err error
	if place {
		if g.c.inter() {
			return abi.Fail(abi.ErrBuffer, "MPI_IN_PLACE is not for intercommunicators")
		}
		from = make(coll.Parts, len(to))
		for i := range to {
			from[i] = g.s.Alloc(to[i].Len)
			g.s.Copy(from[i], to[i])
		}
	} else if from, err = input(); err != nil {
		return err
	}
	if g.c.inter() {
		g.s.InterExchange(from.At, to.At, len(to))
		return nil
	}
	if err := distinct(from[0], to[0]); err != nil {
		return err
	}
	if err := fits(from[g.me], to[g.me]); err != nil {
		return err
	}
	g.s.Alltoall(g.me, g.size, from, to, even)
	return nil
}
