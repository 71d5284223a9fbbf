package mpi

// A collective is planned once, whether it is called blocking, nonblocking or persistent (MPI 5.0 chapter 6).

// plan is where a collective's schedule is built for.
type plan struct {
	p        *Proc
	c        *comm
	s        *schedule
	me, size int // in the local group
	reduces  reduction
}

// planner builds a collective's schedule from the call's arguments.
type planner func(g *plan, a args) error

// collectiveCalls are the collectives of chapter 6, in all their forms. comm is the parameter with the communicator; the
// request is the next one, or in MPI_X_init the one behind the info.
func collectiveCalls() []entry {
	var calls []entry
	for _, r := range []struct {
		name  string
		comm  int
		build planner
	}{
		{"Barrier", 0, planBarrier},
		{"Bcast", 4, planBcast},
		{"Reduce", 6, planReduce},
		{"Allreduce", 5, planAllreduce},
		{"Scan", 5, planScan},
		{"Exscan", 5, planExscan},
		{"Reduce_scatter_block", 5, planReduceScatterBlock},
		{"Reduce_scatter", 5, planReduceScatter},
		{"Gather", 7, planGather},
		{"Gatherv", 8, planGatherv},
		{"Scatter", 7, planScatter},
		{"Scatterv", 8, planScatterv},
		{"Allgather", 6, planAllgather},
		{"Allgatherv", 7, planAllgatherv},
		{"Alltoall", 6, planAlltoall},
		{"Alltoallv", 8, planAlltoallv},
		{"Alltoallw", 8, planAlltoallw},
	} {
		calls = append(calls, forms(r.name, r.comm, r.build)...)
	}
	return calls
}

// forms are the three calls of one collective.
func forms(name string, comm int, build planner) []entry {
	lower := "I" + string(name[0]|0x20) + name[1:]
	return []entry{
		{name: "MPI_" + name, impl: func(p *Proc, a args) (uint64, error) {
			c, err := p.comm(a.u32(comm))
			if err != nil {
				return 0, err
			}
			return p.collect(c, func(s *schedule) error { return p.plan(c, s, a, build) })
		}},
		{name: "MPI_" + lower, impl: func(p *Proc, a args) (uint64, error) {
			return p.startCollective(a, comm, comm+1, build)
		}},
		{name: "MPI_" + name + "_init", impl: func(p *Proc, a args) (uint64, error) {
			return p.initCollective(a, comm, comm+2, build)
		}},
	}
}

func (p *Proc) plan(c *comm, s *schedule, a args, build planner) error {
	s.plan = plan{p: p, c: c, s: s, me: c.me, size: c.size()}
	return build(&s.plan, a)
}

// startCollective makes a nonblocking call.
func (p *Proc) startCollective(a args, comm, out int, build planner) (uint64, error) {
	c, err := p.comm(a.u32(comm))
	if err != nil {
		return 0, err
	}
	if _, err := p.handles(a.u32(out), 1); err != nil {
		return 0, c.on(err)
	}
	reqs, err := p.begin(c, func(s *schedule) error { return p.plan(c, s, a, build) }, false)
	if err != nil {
		return 0, c.on(err)
	}
	return success, p.putWord(a.u32(out), baseRequest+reqs[0])
}

// initCollective makes a persistent call (MPI 5.0 section 6.13): the schedule is kept for every start.
func (p *Proc) initCollective(a args, comm, out int, build planner) (uint64, error) {
	c, err := p.comm(a.u32(comm))
	if err != nil {
		return 0, err
	}
	if _, err := p.hints(a.u32(comm + 1)); err != nil {
		return 0, c.on(err)
	}
	if _, err := p.handles(a.u32(out), 1); err != nil {
		return 0, c.on(err)
	}
	s := newSchedule(c)
	if err := p.plan(c, s, a, build); err != nil {
		return 0, c.on(err)
	}
	r, err := p.scheduled(s, false)
	if err != nil {
		return 0, err
	}
	r.persistent, r.done = true, true
	return success, p.putWord(a.u32(out), baseRequest+r.index)
}

// root checks a root; on an intercommunicator it is a rank of the other group, MPI_ROOT or MPI_PROC_NULL.
func (g *plan) root(r int) (int, error) {
	if g.c.inter() && (r == rootHere || r == procNull) {
		return r, nil
	}
	if n := len(g.c.peers().ranks); r < 0 || r >= n {
		return 0, fail(errRoot, "root %d is not in 0..%d", r, n-1)
	}
	return r, nil
}

// at returns the span of count elements, displ bytes from a pointer.
func (g *plan) at(ptr uint32, displ, count int64, t *datatype) (span, error) {
	at := int64(ptr) + displ
	if count == 0 || t.size == 0 {
		return span{}, nil
	}
	if at < 0 || at >= 1<<32 {
		return span{}, fail(errBuffer, "displacement %d from %#x is outside of the memory", displ, ptr)
	}
	return g.p.elements(uint32(at), count, t)
}

// parts are n buffers of a collective, one for each rank.
type parts []span

func (x parts) at(i int) span { return x[i] }

// equal returns n parts of equal length at a pointer. Their length is the same even where there are none.
func (g *plan) equal(n int, ptr uint32, count int64, typ uint32) (parts, error) {
	t, err := g.p.committed(typ)
	if err != nil {
		return nil, err
	}
	if count < 0 {
		return nil, fail(errCount, "count is %d", count)
	}
	if t.size > 0 && count > 1<<32/t.size {
		return nil, fail(errCount, "%d elements of %d bytes are more than a rank can hold", count, t.size)
	}
	out := make(parts, n)
	for i := range out {
		if out[i], err = g.at(ptr, times(int64(i), times(count, t.extent())), count, t); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// vector returns the parts that arrays of counts and displacements describe; displacements are in elements, and
// in bytes with a type of its own for each part.
func (g *plan) vector(n int, ptr, counts, displs, typ uint32, each bool) (parts, error) {
	cs, err := g.p.counts(counts, n)
	if err != nil {
		return nil, err
	}
	ds, err := g.p.ints(displs, n) // MPI_Aint has 32 bits, as int
	if err != nil {
		return nil, err
	}
	var types []uint32
	if each {
		if types, err = g.p.words(typ, n); err != nil {
			return nil, err
		}
	}
	out := make(parts, n)
	for i := range out {
		if each {
			typ = types[i]
		}
		t, err := g.p.committed(typ)
		if err != nil {
			return nil, err
		}
		if cs[i] < 0 {
			return nil, fail(errCount, "the count of rank %d is %d", i, cs[i])
		}
		displ := int64(ds[i])
		if !each {
			displ = times(displ, t.extent())
		}
		if out[i], err = g.at(ptr, displ, cs[i], t); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// whole is one span that holds all parts, if they follow each other without gaps.
func (x parts) whole() (span, bool) {
	all := x[0]
	for _, s := range x[1:] {
		if all.typ != nil || s.typ != nil || s.len != x[0].len || s.off != all.off+all.len {
			return span{}, false
		}
		all.len += s.len
	}
	return all, all.typ == nil
}

// distinct checks that input and output are not the same memory (MPI 5.0 section 2.3).
func distinct(in, out span) error {
	if in.len > 0 && out.len > 0 && in.host == nil && in.off == out.off {
		return fail(errBuffer, "send and receive buffer are the same: use MPI_IN_PLACE")
	}
	return nil
}

// fits checks what a rank sends to itself.
func fits(in, out span) error {
	if in.len > out.len {
		return fail(errTruncate, "the rank sends %d bytes to itself and receives %d", in.len, out.len)
	}
	return nil
}

func planBarrier(g *plan, _ args) error {
	if g.c.inter() {
		g.interAllreduce(span{}, span{}, nil)
		return nil
	}
	g.s.barrier(g.me, g.size)
	return nil
}

func planBcast(g *plan, a args) error {
	root, err := g.root(a.int(3))
	if err != nil {
		return err
	}
	if root == procNull {
		return nil
	}
	buf, err := g.p.buffer(a.u32(0), a.count(1), a.u32(2))
	if err != nil {
		return err
	}
	if g.c.inter() {
		g.interBcast(root, buf)
		return nil
	}
	g.s.bcast(g.me, g.size, root, buf)
	return nil
}

func planGather(g *plan, a args) error {
	root, err := g.root(a.int(6))
	if err != nil {
		return err
	}
	var to parts
	if g.isRoot(root) {
		if to, err = g.equal(g.peers(), a.u32(3), a.count(4), a.u32(5)); err != nil {
			return err
		}
	}
	return g.gather(a, root, to)
}

func planGatherv(g *plan, a args) error {
	root, err := g.root(a.int(7))
	if err != nil {
		return err
	}
	var to parts
	if g.isRoot(root) {
		if to, err = g.vector(g.peers(), a.u32(3), a.u32(4), a.u32(5), a.u32(6), false); err != nil {
			return err
		}
	}
	return g.gather(a, root, to)
}

// isRoot tells whether this rank is the root.
func (g *plan) isRoot(root int) bool {
	return root == rootHere || (!g.c.inter() && root == g.me)
}

// peers is how many ranks a rooted collective has on the other side.
func (g *plan) peers() int { return len(g.c.peers().ranks) }

func (g *plan) gather(a args, root int, to parts) error {
	if root == procNull {
		return nil
	}
	if root == rootHere {
		g.s.gather(-1, root, true, span{}, to)
		return nil
	}
	var in span
	var err error
	if !g.c.inter() && g.me == root && a.u32(0) == inPlace {
		in = to[g.me]
	} else if in, err = g.input(a); err != nil {
		return err
	}
	if !g.c.inter() && g.me == root {
		if err := fits(in, to[g.me]); err != nil {
			return err
		}
		if a.u32(0) != inPlace {
			if err := distinct(in, to[0]); err != nil {
				return err
			}
		}
	}
	g.s.gather(g.me, root, g.c.inter(), in, to)
	return nil
}

// input is sendbuf, sendcount and sendtype.
func (g *plan) input(a args) (span, error) {
	if a.u32(0) == inPlace && a.count(1) > 0 {
		return span{}, fail(errBuffer, "MPI_IN_PLACE is for the root only")
	}
	return g.p.buffer(a.u32(0), a.count(1), a.u32(2))
}

func planScatter(g *plan, a args) error {
	root, err := g.root(a.int(6))
	if err != nil {
		return err
	}
	var from parts
	if g.isRoot(root) {
		if from, err = g.equal(g.peers(), a.u32(0), a.count(1), a.u32(2)); err != nil {
			return err
		}
	}
	return g.scatter(a.from(3), root, from)
}

func planScatterv(g *plan, a args) error {
	root, err := g.root(a.int(7))
	if err != nil {
		return err
	}
	var from parts
	if g.isRoot(root) {
		if from, err = g.vector(g.peers(), a.u32(0), a.u32(1), a.u32(2), a.u32(3), false); err != nil {
			return err
		}
	}
	return g.scatter(a.from(4), root, from)
}

// scatter takes the receive's buffer, count and type.
func (g *plan) scatter(a args, root int, from parts) error {
	if root == procNull {
		return nil
	}
	if root == rootHere {
		g.s.scatter(-1, root, true, span{}, from)
		return nil
	}
	var out span
	var err error
	switch {
	case !g.c.inter() && g.me == root && a.u32(0) == inPlace:
		out = from[g.me]
	default:
		if out, err = g.input(a); err != nil {
			return err
		}
	}
	if !g.c.inter() && g.me == root {
		if err := fits(from[g.me], out); err != nil {
			return err
		}
		if a.u32(0) != inPlace {
			if err := distinct(out, from[0]); err != nil {
				return err
			}
		}
	}
	g.s.scatter(g.me, root, g.c.inter(), out, from)
	return nil
}

func planAllgather(g *plan, a args) error {
	to, err := g.equal(g.peers(), a.u32(3), a.count(4), a.u32(5))
	if err != nil {
		return err
	}
	return g.allgather(a, to, true)
}

func planAllgatherv(g *plan, a args) error {
	to, err := g.vector(g.peers(), a.u32(3), a.u32(4), a.u32(5), a.u32(6), false)
	if err != nil {
		return err
	}
	return g.allgather(a, to, false)
}

func (g *plan) allgather(a args, to parts, even bool) error {
	if g.c.inter() {
		in, err := g.input(a)
		if err != nil {
			return err
		}
		g.s.interExchange(func(int) span { return in }, to.at, len(to))
		return nil
	}
	in := to[g.me]
	if a.u32(0) != inPlace {
		var err error
		if in, err = g.p.buffer(a.u32(0), a.count(1), a.u32(2)); err != nil {
			return err
		}
		if err := distinct(in, to[0]); err != nil {
			return err
		}
	}
	if err := fits(in, to[g.me]); err != nil {
		return err
	}
	g.s.copy(to[g.me], in) // before the first round
	g.s.allgather(g.me, g.size, to, even)
	return nil
}

func planAlltoall(g *plan, a args) error {
	to, err := g.equal(g.peers(), a.u32(3), a.count(4), a.u32(5))
	if err != nil {
		return err
	}
	return g.alltoall(a.u32(0) == inPlace, true, to, func() (parts, error) {
		return g.equal(g.peers(), a.u32(0), a.count(1), a.u32(2))
	})
}

func planAlltoallv(g *plan, a args) error { return g.alltoallv(a, false) }
func planAlltoallw(g *plan, a args) error { return g.alltoallv(a, true) }

func (g *plan) alltoallv(a args, each bool) error {
	to, err := g.vector(g.peers(), a.u32(4), a.u32(5), a.u32(6), a.u32(7), each)
	if err != nil {
		return err
	}
	return g.alltoall(a.u32(0) == inPlace, false, to, func() (parts, error) {
		return g.vector(g.peers(), a.u32(0), a.u32(1), a.u32(2), a.u32(3), each)
	})
}

// alltoall in place sends from a copy of recvbuf.
func (g *plan) alltoall(place, even bool, to parts, input func() (parts, error)) error {
	var from parts
	var err error
	if place {
		if g.c.inter() {
			return fail(errBuffer, "MPI_IN_PLACE is not for intercommunicators")
		}
		from = make(parts, len(to))
		for i := range to {
			from[i] = g.s.alloc(to[i].len)
			g.s.copy(from[i], to[i])
		}
	} else if from, err = input(); err != nil {
		return err
	}
	if g.c.inter() {
		g.s.interExchange(from.at, to.at, len(to))
		return nil
	}
	if err := distinct(from[0], to[0]); err != nil {
		return err
	}
	if err := fits(from[g.me], to[g.me]); err != nil {
		return err
	}
	if even && g.size >= 8 && to[0].len <= smallExchange {
		g.s.alltoallBruck(g.me, g.size, from, to)
		return nil
	}
	g.s.alltoall(g.me, g.size, from.at, to.at)
	return nil
}
