package mpi

// collectiveCalls are the blocking collectives (MPI 5.0 chapter 6). A function
// checks its arguments and builds its schedule; Proc.collective runs it.
func collectiveCalls() []entry {
	const reduce = "sendbuf recvbuf count datatype op comm"
	const each = "sendbuf sendcount sendtype recvbuf recvcount recvtype comm"
	const rooted = "sendbuf sendcount sendtype recvbuf recvcount recvtype root comm"
	return []entry{
		{name: "MPI_Barrier", params: "comm", impl: collect(0, callBarrier)},
		{name: "MPI_Bcast", params: "buffer count datatype root comm", impl: collect(4, callBcast)},
		{name: "MPI_Reduce", params: "sendbuf recvbuf count datatype op root comm", impl: collect(6, callReduce)},
		{name: "MPI_Allreduce", params: reduce, impl: collect(5, callAllreduce)},
		{name: "MPI_Scan", params: reduce, impl: collect(5, callScan)},
		{name: "MPI_Exscan", params: reduce, impl: collect(5, callExscan)},
		{name: "MPI_Reduce_scatter_block", params: "sendbuf recvbuf recvcount datatype op comm", impl: collect(5, callReduceScatterBlock)},
		{name: "MPI_Gather", params: rooted, impl: collect(7, callGather)},
		{name: "MPI_Scatter", params: rooted, impl: collect(7, callScatter)},
		{name: "MPI_Allgather", params: each, impl: collect(6, callAllgather)},
		{name: "MPI_Alltoall", params: each, impl: collect(6, callAlltoall)},
		{name: "MPI_Gatherv", params: "sendbuf sendcount sendtype recvbuf recvcounts displs recvtype root comm", impl: collect(8, callGatherv)},
		{name: "MPI_Scatterv", params: "sendbuf sendcounts displs sendtype recvbuf recvcount recvtype root comm", impl: collect(8, callScatterv)},
		{name: "MPI_Allgatherv", params: "sendbuf sendcount sendtype recvbuf recvcounts displs recvtype comm", impl: collect(7, callAllgatherv)},
	}
}

// group is where a collective's schedule is built for.
type group struct {
	p        *Proc
	me, size int
	s        *schedule
}

// collect makes a call of a collective whose communicator is argument comm.
func collect(comm int, build func(g *group, a args) error) func(*Proc, args) (uint64, error) {
	return func(p *Proc, a args) (uint64, error) {
		c, err := p.comm(a.u32(comm))
		if err != nil {
			return 0, err
		}
		g := &group{p: p, me: p.commRank(c), size: p.commSize(c), s: &schedule{}}
		return p.collective(c, g.s, build(g, a))
	}
}

func (g *group) root(r int) (int, error) {
	if r < 0 || r >= g.size {
		return 0, fail(errRoot, "root %d is not in 0..%d", r, g.size-1)
	}
	return r, nil
}

// parts returns the buffer of size equal parts at ptr, and its parts.
func (g *group) parts(ptr uint32, count int, typ uint32) (all span, part func(int) span, err error) {
	if count < 0 {
		return all, nil, fail(errCount, "count is %d", count)
	}
	all, err = g.p.buffer(ptr, count*g.size, typ)
	n := all.len / uint32(g.size)
	return all, func(i int) span { return all.part(uint32(i)*n, n) }, err
}

// vector returns the parts that arrays of counts and displacements describe.
func (g *group) vector(ptr, counts, displs, typ uint32) (func(int) span, error) {
	t, err := typeOf(typ)
	if err != nil {
		return nil, err
	}
	cs, err := g.p.handles(counts, g.size)
	if err != nil {
		return nil, err
	}
	ds, err := g.p.handles(displs, g.size)
	if err != nil {
		return nil, err
	}
	parts := make([]span, g.size)
	for i := range parts {
		count := int(int32(order.Uint32(g.p.bytes(cs)[4*i:])))
		displ := int64(int32(order.Uint32(g.p.bytes(ds)[4*i:])))
		at := int64(ptr) + displ*int64(t.size)
		if at < 0 || at >= 1<<32 {
			return nil, fail(errBuffer, "displacement %d of rank %d is outside of the memory", displ, i)
		}
		if parts[i], err = g.p.buffer(uint32(at), count, typ); err != nil {
			return nil, err
		}
	}
	return func(i int) span { return parts[i] }, nil
}

// reduction checks the operation and buffers of a reducing collective. Where
// inPlaceOK, MPI_IN_PLACE as sendbuf means recvbuf; recvbuf counts only if wanted.
func (g *group) reduction(a args, count int, inPlaceOK, wanted bool) (in, out span, r reduction, err error) {
	if r.typ, err = typeOf(a.u32(3)); err != nil {
		return in, out, r, err
	}
	r.op = a.u32(4)
	if err = checkOp(r.op, r.typ); err != nil {
		return in, out, r, err
	}
	if wanted {
		if out, err = g.p.buffer(a.u32(1), count, a.u32(3)); err != nil {
			return in, out, r, err
		}
	}
	if a.u32(0) == inPlace && count > 0 {
		if !inPlaceOK {
			return in, out, r, fail(errBuffer, "MPI_IN_PLACE is for the root only")
		}
		return out, out, r, nil
	}
	in, err = g.p.buffer(a.u32(0), count, a.u32(3))
	return in, out, r, err
}

func callBarrier(g *group, _ args) error {
	g.s.barrier(g.me, g.size)
	return nil
}

func callBcast(g *group, a args) error {
	root, err := g.root(a.int(3))
	if err != nil {
		return err
	}
	buf, err := g.p.buffer(a.u32(0), a.int(1), a.u32(2))
	if err != nil {
		return err
	}
	g.s.bcast(g.me, g.size, root, buf)
	return nil
}

func callReduce(g *group, a args) error {
	root, err := g.root(a.int(5))
	if err != nil {
		return err
	}
	in, out, r, err := g.reduction(a, a.int(2), g.me == root, g.me == root)
	if err != nil {
		return err
	}
	g.s.reduce(g.me, g.size, root, in, out, r)
	return nil
}

func callAllreduce(g *group, a args) error {
	in, out, r, err := g.reduction(a, a.int(2), true, true)
	if err != nil {
		return err
	}
	g.s.allreduce(g.me, g.size, in, out, r)
	return nil
}

func callScan(g *group, a args) error   { return g.scan(a, false) }
func callExscan(g *group, a args) error { return g.scan(a, true) }

func (g *group) scan(a args, exclusive bool) error {
	in, out, r, err := g.reduction(a, a.int(2), true, true)
	if err != nil {
		return err
	}
	g.s.scan(g.me, g.size, in, out, r, exclusive)
	return nil
}

// callReduceScatterBlock reduces all parts at rank 0, which scatters them.
func callReduceScatterBlock(g *group, a args) error {
	count := a.int(2)
	if count < 0 {
		return fail(errCount, "recvcount is %d", count)
	}
	if a.u32(0) == inPlace { // the input is in recvbuf, the result at its start
		a = append(args{uint64(a.u32(1))}, a[1:]...)
	}
	in, _, r, err := g.reduction(a, count*g.size, false, false)
	if err != nil {
		return err
	}
	mine, err := g.p.buffer(a.u32(1), count, a.u32(3))
	if err != nil {
		return err
	}
	var all span
	if g.me == 0 {
		all = g.s.alloc(in.len)
	}
	g.s.reduce(g.me, g.size, 0, in, all, r)
	g.s.scatter(g.me, g.size, 0, mine, func(i int) span { return all.part(uint32(i)*mine.len, mine.len) })
	return nil
}

// gathered finds a gather's input: sendbuf, or at the root in place its own part.
func (g *group) gathered(a args, root int, at func(int) span) (span, error) {
	if a.u32(0) == inPlace && g.me == root {
		return at(g.me), nil
	}
	return g.p.buffer(a.u32(0), a.int(1), a.u32(2))
}

func callGather(g *group, a args) error {
	root, err := g.root(a.int(6))
	if err != nil {
		return err
	}
	var at func(int) span
	if g.me == root {
		if _, at, err = g.parts(a.u32(3), a.int(4), a.u32(5)); err != nil {
			return err
		}
	}
	return g.gather(a, root, at)
}

func callGatherv(g *group, a args) error {
	root, err := g.root(a.int(7))
	if err != nil {
		return err
	}
	var at func(int) span
	if g.me == root {
		if at, err = g.vector(a.u32(3), a.u32(4), a.u32(5), a.u32(6)); err != nil {
			return err
		}
	}
	return g.gather(a, root, at)
}

func (g *group) gather(a args, root int, at func(int) span) error {
	in, err := g.gathered(a, root, at)
	if err != nil {
		return err
	}
	if g.me == root && in.len > at(g.me).len {
		return fail(errTruncate, "the root sends %d bytes to itself and receives %d", in.len, at(g.me).len)
	}
	g.s.gather(g.me, g.size, root, in, at)
	return nil
}

func callScatter(g *group, a args) error {
	root, err := g.root(a.int(6))
	if err != nil {
		return err
	}
	var at func(int) span
	if g.me == root {
		if _, at, err = g.parts(a.u32(0), a.int(1), a.u32(2)); err != nil {
			return err
		}
	}
	return g.scatter(a[3:6], root, at)
}

func callScatterv(g *group, a args) error {
	root, err := g.root(a.int(7))
	if err != nil {
		return err
	}
	var at func(int) span
	if g.me == root {
		if at, err = g.vector(a.u32(0), a.u32(1), a.u32(2), a.u32(3)); err != nil {
			return err
		}
	}
	return g.scatter(a[4:7], root, at)
}

// scatter takes the receive's buffer, count and type.
func (g *group) scatter(a args, root int, at func(int) span) error {
	var out span
	if a.u32(0) == inPlace && g.me == root {
		out = at(g.me)
	} else {
		var err error
		if out, err = g.p.buffer(a.u32(0), a.int(1), a.u32(2)); err != nil {
			return err
		}
	}
	if g.me == root && at(g.me).len > out.len {
		return fail(errTruncate, "the root sends %d bytes to itself and receives %d", at(g.me).len, out.len)
	}
	g.s.scatter(g.me, g.size, root, out, at)
	return nil
}

func callAllgather(g *group, a args) error {
	all, at, err := g.parts(a.u32(3), a.int(4), a.u32(5))
	if err != nil {
		return err
	}
	if err := g.own(a, at); err != nil {
		return err
	}
	if g.size&(g.size-1) == 0 {
		g.s.allgatherDoubling(g.me, g.size, all)
	} else {
		g.s.allgatherRing(g.me, g.size, at)
	}
	return nil
}

func callAllgatherv(g *group, a args) error {
	at, err := g.vector(a.u32(3), a.u32(4), a.u32(5), a.u32(6))
	if err != nil {
		return err
	}
	if err := g.own(a, at); err != nil {
		return err
	}
	g.s.allgatherRing(g.me, g.size, at)
	return nil
}

// own puts the rank's own contribution in its place, before the first round.
func (g *group) own(a args, at func(int) span) error {
	in, err := g.gathered(a, g.me, at)
	if err != nil {
		return err
	}
	if in.len > at(g.me).len {
		return fail(errTruncate, "%d bytes are sent and %d received", in.len, at(g.me).len)
	}
	g.s.copy(at(g.me), in)
	return nil
}

// callAlltoall in place sends from a copy of recvbuf.
func callAlltoall(g *group, a args) error {
	all, to, err := g.parts(a.u32(3), a.int(4), a.u32(5))
	if err != nil {
		return err
	}
	if a.u32(0) == inPlace {
		from := g.s.alloc(all.len)
		n := all.len / uint32(g.size)
		g.s.copy(from, all)
		g.s.alltoall(g.me, g.size, func(i int) span { return from.part(uint32(i)*n, n) }, to)
		return nil
	}
	_, from, err := g.parts(a.u32(0), a.int(1), a.u32(2))
	if err != nil {
		return err
	}
	if from(g.me).len > to(g.me).len {
		return fail(errTruncate, "%d bytes are sent and %d received", from(g.me).len, to(g.me).len)
	}
	g.s.alltoall(g.me, g.size, from, to)
	return nil
}
