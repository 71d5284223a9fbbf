package mpi

// callCartCreate makes a communicator with a grid. Ranks are not reordered: they have their places.
func callCartCreate(p *Proc, a args) (uint64, error) {
	c, err := p.intra(a.u32(0))
	if err != nil {
		return 0, err
	}
	t, total, err := p.readCart(a.int(1), a.u32(2), a.u32(3))
	if err == nil && total > c.size() {
		err = fail(errTopology, "the grid has %d places, the communicator %d ranks", total, c.size())
	}
	if err != nil {
		return 0, c.on(err)
	}
	return p.attachTopology(c, t, total, a.u32(5))
}

func (p *Proc) readCart(n int, dimsPtr, periodsPtr uint32) (*topology, int, error) {
	if n < 0 || n > maxSlots/2 {
		return nil, 0, fail(errDims, "ndims is %d", n)
	}
	dims, err := p.ints(dimsPtr, n)
	if err != nil {
		return nil, 0, err
	}
	periods, err := p.ints(periodsPtr, n)
	if err != nil {
		return nil, 0, err
	}
	t, total := &topology{kind: topoCart, dims: dims}, 1
	for i, d := range dims {
		if d < 1 {
			return nil, 0, fail(errDims, "dimension %d is %d", i, d)
		}
		if total *= d; total > maxRanks {
			return nil, 0, fail(errTopology, "the grid has more than %d places", maxRanks)
		}
		t.periods = append(t.periods, periods[i] != 0)
	}
	return t, total, nil
}

// attachTopology makes a communicator of the first n ranks of c with a topology.
func (p *Proc) attachTopology(c *comm, t *topology, n int, out uint32) (uint64, error) {
	if _, err := p.handles(out, 1); err != nil {
		return 0, c.on(err)
	}
	color := noColor
	if c.me < n {
		color = 0
	}
	d, err := p.regroup(c, t, func() (int64, int32, error) { return color, 0, nil })
	if err != nil {
		return 0, c.on(err)
	}
	if d != nil {
		if err := p.shape(d, t); err != nil {
			return 0, c.on(err)
		}
	}
	return p.giveComm(d, out)
}

func callCartdimGet(p *Proc, a args) (uint64, error) {
	c, t, err := p.topologyOf(a.u32(0), topoCart)
	if err != nil {
		return 0, err
	}
	return success, c.on(p.putInt(a.u32(1), len(t.dims)))
}

func callCartGet(p *Proc, a args) (uint64, error) {
	c, t, err := p.topologyOf(a.u32(0), topoCart)
	if err != nil {
		return 0, err
	}
	n := min(a.int(1), len(t.dims))
	if n < len(t.dims) {
		return 0, c.on(fail(errArg, "maxdims is %d, there are %d dimensions", a.int(1), len(t.dims)))
	}
	periods := make([]int, n)
	for i := range periods {
		periods[i] = truth(t.periods[i])
	}
	for i, list := range [][]int{t.dims[:n], periods, t.coords(c.me)} {
		if err := p.putInts(a.u32(2+i), list); err != nil {
			return 0, c.on(err)
		}
	}
	return success, nil
}

func callCartRank(p *Proc, a args) (uint64, error) {
	c, t, err := p.topologyOf(a.u32(0), topoCart)
	if err != nil {
		return 0, err
	}
	coords, err := p.ints(a.u32(1), len(t.dims))
	if err != nil {
		return 0, c.on(err)
	}
	r := t.rank(coords)
	if r == procNull {
		return 0, c.on(fail(errRank, "coordinates %v are outside of the grid %v", coords, t.dims))
	}
	return success, c.on(p.putInt(a.u32(2), r))
}

func callCartCoords(p *Proc, a args) (uint64, error) {
	c, t, err := p.topologyOf(a.u32(0), topoCart)
	if err != nil {
		return 0, err
	}
	if r := a.int(1); r < 0 || r >= c.size() {
		return 0, c.on(fail(errRank, "rank %d is not in 0..%d", r, c.size()-1))
	}
	if a.int(2) < len(t.dims) {
		return 0, c.on(fail(errDims, "maxdims is %d, there are %d dimensions", a.int(2), len(t.dims)))
	}
	return success, c.on(p.putInts(a.u32(3), t.coords(a.int(1))))
}

func callCartShift(p *Proc, a args) (uint64, error) {
	c, t, err := p.topologyOf(a.u32(0), topoCart)
	if err != nil {
		return 0, err
	}
	dim, disp := a.int(1), a.int(2)
	if dim < 0 || dim >= len(t.dims) {
		return 0, c.on(fail(errArg, "direction %d is not in 0..%d", dim, len(t.dims)-1))
	}
	if err := p.putInt(a.u32(3), t.shift(c.me, dim, -disp)); err != nil {
		return 0, c.on(err)
	}
	return success, c.on(p.putInt(a.u32(4), t.shift(c.me, dim, disp)))
}

// callCartSub splits a grid into those of lower dimension that keep some dimensions (MPI 5.0 section 8.5.7).
func callCartSub(p *Proc, a args) (uint64, error) {
	c, t, err := p.topologyOf(a.u32(0), topoCart)
	if err != nil {
		return 0, err
	}
	remain, err := p.ints(a.u32(1), len(t.dims))
	if err == nil {
		_, err = p.handles(a.u32(2), 1)
	}
	if err != nil {
		return 0, c.on(err)
	}
	sub := &topology{kind: topoCart}
	color, key := 0, 0
	for i, x := range t.coords(c.me) {
		if remain[i] != 0 {
			sub.dims, sub.periods = append(sub.dims, t.dims[i]), append(sub.periods, t.periods[i])
			key = key*t.dims[i] + x
		} else {
			color = color*t.dims[i] + x
		}
	}
	d, err := p.regroup(c, sub, func() (int64, int32, error) { return int64(color), int32(key), nil })
	if err != nil {
		return 0, c.on(err)
	}
	if err := p.shape(d, sub); err != nil {
		return 0, c.on(err)
	}
	return p.giveComm(d, a.u32(2))
}

// callCartMap says where MPI_Cart_create would put the rank: where it is.
func callCartMap(p *Proc, a args) (uint64, error) {
	c, err := p.intra(a.u32(0))
	if err != nil {
		return 0, err
	}
	_, total, err := p.readCart(a.int(1), a.u32(2), a.u32(3))
	if err == nil && total > c.size() {
		err = fail(errTopology, "the grid has %d places, the communicator %d ranks", total, c.size())
	}
	if err != nil {
		return 0, c.on(err)
	}
	return success, c.on(p.putInt(a.u32(4), pick(c.me < total, c.me, undefined)))
}
