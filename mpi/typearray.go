package mpi

import (
	"github.com/godwit-run/godwit/mpi/abi"
	"github.com/godwit-run/godwit/mpi/layout"
)

type subarrayArgs struct {
	ndims                                        int
	arrayOfSizes, arrayOfSubsizes, arrayOfStarts address
	order                                        int
}

// makeSubarray checks a block of an n-dimensional array (MPI 5.0 section 5.1.3).
func makeSubarray(p *Proc, a subarrayArgs, old *layout.Type) (layout.Contents, error) {
	n := a.ndims
	if n < 1 || n > layout.MaxDepth {
		return layout.Contents{}, abi.Fail(abi.ErrArg, "ndims is %d, the limit is %d", n, layout.MaxDepth)
	}
	c := layout.Contents{Combiner: abi.CombinerSubarray, Ints: []int64{int64(n)}, Types: []*layout.Type{old}}
	for _, list := range []address{a.arrayOfSizes, a.arrayOfSubsizes, a.arrayOfStarts} {
		v, err := p.counts(list, n)
		if err != nil {
			return layout.Contents{}, err
		}
		c.Ints = append(c.Ints, v...)
	}
	sizes, subsizes, starts := c.Ints[1:1+n], c.Ints[1+n:1+2*n], c.Ints[1+2*n:]
	for i := range n {
		if sizes[i] < 1 || subsizes[i] < 1 || starts[i] < 0 || subsizes[i] > sizes[i] || starts[i] > sizes[i]-subsizes[i] {
			return layout.Contents{}, abi.Fail(abi.ErrArg, "dimension %d: %d elements from %d on are not in an array of %d",
				i, subsizes[i], starts[i], sizes[i])
		}
	}
	c.Ints = append(c.Ints, int64(a.order))
	return c, checkOrder(a.order)
}

func checkOrder(v int) error {
	if v != abi.OrderC && v != abi.OrderFortran {
		return abi.Fail(abi.ErrArg, "order %d is neither MPI_ORDER_C nor MPI_ORDER_FORTRAN", v)
	}
	return nil
}

type darrayArgs struct {
	size, rank, ndims                                           int
	arrayOfGsizes, arrayOfDistribs, arrayOfDargs, arrayOfPsizes address
	order                                                       int
}

// makeDarray checks one process's part of a distributed array (MPI 5.0 section 5.1.4).
func makeDarray(p *Proc, a darrayArgs, old *layout.Type) (layout.Contents, error) {
	size, rank, n := a.size, a.rank, a.ndims
	if n < 1 || n > layout.MaxDepth || size < 1 || rank < 0 || rank >= size {
		return layout.Contents{}, abi.Fail(abi.ErrArg, "size %d, rank %d, ndims %d", size, rank, n)
	}
	c := layout.Contents{Combiner: abi.CombinerDarray, Ints: []int64{int64(size), int64(rank), int64(n)}, Types: []*layout.Type{old}}
	gsizes, err := p.counts(a.arrayOfGsizes, n)
	if err != nil {
		return layout.Contents{}, err
	}
	c.Ints = append(c.Ints, gsizes...)
	procs, blocks := int64(1), int64(0)
	for _, list := range []address{a.arrayOfDistribs, a.arrayOfDargs, a.arrayOfPsizes} {
		v, err := p.ints(list, n)
		if err != nil {
			return layout.Contents{}, err
		}
		for _, x := range v {
			c.Ints = append(c.Ints, int64(x))
		}
	}
	for i := range n {
		d := c.Dimension(i)
		if d.Procs < 1 || d.Size < 1 || d.Size > layout.MaxBytes {
			return layout.Contents{}, abi.Fail(abi.ErrArg, "dimension %d has %d elements on %d processes", i, d.Size, d.Procs)
		}
		procs = layout.Times(procs, d.Procs)
		if err := d.Check(); err != nil {
			return layout.Contents{}, err
		}
		blocks = min(blocks+d.Blocks(), layout.MaxBytes)
	}
	if err := p.room(layout.Times(blockCost, blocks)); err != nil {
		return layout.Contents{}, err
	}
	if blocks > layout.MaxDarrayBlocks {
		return layout.Contents{}, abi.Fail(abi.ErrNoMem, "%d blocks, the limit is %d", blocks, int64(layout.MaxDarrayBlocks))
	}
	if procs != int64(size) {
		return layout.Contents{}, abi.Fail(abi.ErrArg, "the process grid has %d processes, size is %d", procs, size)
	}
	c.Ints = append(c.Ints, int64(a.order))
	return c, checkOrder(a.order)
}
