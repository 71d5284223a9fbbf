package mpi

import (
	"github.com/godwit-run/godwit/mpi/abi"
	"github.com/godwit-run/godwit/mpi/coll"
)

type cartCreateArgs struct {
	commOld       handle
	ndims         int
	dims, periods address
	_             int `mpi:"reorder"`
	commCart      address
}

// callCartCreate makes a communicator with a grid. Ranks are not reordered: they have their places.
func callCartCreate(p *Proc, a cartCreateArgs) error {
	c, err := p.intra(a.commOld)
	if err != nil {
		return err
	}
	t, total, err := p.readCart(a.ndims, a.dims, a.periods)
	if err == nil && total > c.size() {
		err = abi.Fail(abi.ErrTopology, "the grid has %d places, the communicator %d ranks", total, c.size())
	}
	if err != nil {
		return c.on(err)
	}
	return p.attachTopology(c, t, total, a.commCart)
}

func (p *Proc) readCart(n int, dimsPtr, periodsPtr uint32) (*topology, int, error) {
	if n < 0 || n > coll.MaxSlots/2 {
		return nil, 0, abi.Fail(abi.ErrDims, "ndims is %d", n)
	}
	dims, err := p.ints(dimsPtr, n)
	if err != nil {
		return nil, 0, err
	}
	periods, err := p.ints(periodsPtr, n)
	if err != nil {
		return nil, 0, err
	}
	t, total := &topology{kind: abi.TopoCart, dims: dims}, 1
	for i, d := range dims {
		if d < 1 {
			return nil, 0, abi.Fail(abi.ErrDims, "dimension %d is %d", i, d)
		}
		if total *= d; total > abi.MaxRanks {
			return nil, 0, abi.Fail(abi.ErrTopology, "the grid has more than %d places", abi.MaxRanks)
		}
		t.periods = append(t.periods, periods[i] != 0)
	}
	return t, total, nil
}

// attachTopology makes a communicator of the first n ranks of c with a topology.
func (p *Proc) attachTopology(c *comm, t *topology, n int, out uint32) error {
	if _, err := p.handles(out, 1); err != nil {
		return c.on(err)
	}
	color := noColor
	if c.me < n {
		color = 0
	}
	d, err := p.regroup(c, t, func() (int64, int32, error) { return color, 0, nil })
	if err != nil {
		return c.on(err)
	}
	if d != nil {
		if err := p.shape(d, t); err != nil {
			return c.on(err)
		}
	}
	return p.giveComm(d, out)
}

type cartdimGetArgs struct {
	comm  handle
	ndims address
}

func callCartdimGet(p *Proc, a cartdimGetArgs) error {
	c, t, err := p.topologyOf(a.comm, abi.TopoCart)
	if err != nil {
		return err
	}
	return c.on(p.putInt(a.ndims, len(t.dims)))
}

type cartGetArgs struct {
	comm                  handle
	maxdims               int
	dims, periods, coords address
}

func callCartGet(p *Proc, a cartGetArgs) error {
	c, t, err := p.topologyOf(a.comm, abi.TopoCart)
	if err != nil {
		return err
	}
	n := min(a.maxdims, len(t.dims))
	if n < len(t.dims) {
		return c.on(abi.Fail(abi.ErrArg, "maxdims is %d, there are %d dimensions", a.maxdims, len(t.dims)))
	}
	periods := make([]int, n)
	for i := range periods {
		periods[i] = truth(t.periods[i])
	}
	if err := p.putInts(a.dims, t.dims[:n]); err != nil {
		return c.on(err)
	}
	if err := p.putInts(a.periods, periods); err != nil {
		return c.on(err)
	}
	return c.on(p.putInts(a.coords, t.coords(c.me)))
}

type cartRankArgs struct {
	comm         handle
	coords, rank address
}

func callCartRank(p *Proc, a cartRankArgs) error {
	c, t, err := p.topologyOf(a.comm, abi.TopoCart)
	if err != nil {
		return err
	}
	coords, err := p.ints(a.coords, len(t.dims))
	if err != nil {
		return c.on(err)
	}
	r := t.rank(coords)
	if r == abi.ProcNull {
		return c.on(abi.Fail(abi.ErrRank, "coordinates %v are outside of the grid %v", coords, t.dims))
	}
	return c.on(p.putInt(a.rank, r))
}

type cartCoordsArgs struct {
	comm          handle
	rank, maxdims int
	coords        address
}

func callCartCoords(p *Proc, a cartCoordsArgs) error {
	c, t, err := p.topologyOf(a.comm, abi.TopoCart)
	if err != nil {
		return err
	}
	if r := a.rank; r < 0 || r >= c.size() {
		return c.on(abi.Fail(abi.ErrRank, "rank %d is not in 0..%d", r, c.size()-1))
	}
	if a.maxdims < len(t.dims) {
		return c.on(abi.Fail(abi.ErrDims, "maxdims is %d, there are %d dimensions", a.maxdims, len(t.dims)))
	}
	return c.on(p.putInts(a.coords, t.coords(a.rank)))
}

type cartShiftArgs struct {
	comm                 handle
	direction, disp      int
	rankSource, rankDest address
}

func callCartShift(p *Proc, a cartShiftArgs) error {
	c, t, err := p.topologyOf(a.comm, abi.TopoCart)
	if err != nil {
		return err
	}
	dim, disp := a.direction, a.disp
	if dim < 0 || dim >= len(t.dims) {
		return c.on(abi.Fail(abi.ErrArg, "direction %d is not in 0..%d", dim, len(t.dims)-1))
	}
	if err := p.putInt(a.rankSource, t.shift(c.me, dim, -disp)); err != nil {
		return c.on(err)
	}
	return c.on(p.putInt(a.rankDest, t.shift(c.me, dim, disp)))
}

type cartSubArgs struct {
	comm                handle
	remainDims, newcomm address
}

// callCartSub splits a grid into those of lower dimension that keep some dimensions (MPI 5.0 section 8.5.7).
func callCartSub(p *Proc, a cartSubArgs) error {
	c, t, err := p.topologyOf(a.comm, abi.TopoCart)
	if err != nil {
		return err
	}
	remain, err := p.ints(a.remainDims, len(t.dims))
	if err == nil {
		_, err = p.handles(a.newcomm, 1)
	}
	if err != nil {
		return c.on(err)
	}
	sub := &topology{kind: abi.TopoCart}
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
		return c.on(err)
	}
	if err := p.shape(d, sub); err != nil {
		return c.on(err)
	}
	return p.giveComm(d, a.newcomm)
}

type cartMapArgs struct {
	comm                   handle
	ndims                  int
	dims, periods, newrank address
}

// callCartMap says where MPI_Cart_create would put the rank: where it is.
func callCartMap(p *Proc, a cartMapArgs) error {
	c, err := p.intra(a.comm)
	if err != nil {
		return err
	}
	_, total, err := p.readCart(a.ndims, a.dims, a.periods)
	if err == nil && total > c.size() {
		err = abi.Fail(abi.ErrTopology, "the grid has %d places, the communicator %d ranks", total, c.size())
	}
	if err != nil {
		return c.on(err)
	}
	return c.on(p.putInt(a.newrank, pick(c.me < total, c.me, abi.Undefined)))
}
