package mpi

type subarrayArgs struct {
	ndims                                        int
	arrayOfSizes, arrayOfSubsizes, arrayOfStarts address
	order                                        int
}

// makeSubarray checks a block of an n-dimensional array (MPI 5.0 section 5.1.3).
func makeSubarray(p *Proc, a subarrayArgs, old *datatype) (contents, error) {
	n := a.ndims
	if n < 1 || n > maxTypeDepth {
		return contents{}, fail(errArg, "ndims is %d, the limit is %d", n, maxTypeDepth)
	}
	c := contents{combiner: combinerSubarray, ints: []int64{int64(n)}, types: []*datatype{old}}
	for _, list := range []address{a.arrayOfSizes, a.arrayOfSubsizes, a.arrayOfStarts} {
		v, err := p.counts(list, n)
		if err != nil {
			return contents{}, err
		}
		c.ints = append(c.ints, v...)
	}
	sizes, subsizes, starts := c.ints[1:1+n], c.ints[1+n:1+2*n], c.ints[1+2*n:]
	for i := range n {
		if sizes[i] < 1 || subsizes[i] < 1 || starts[i] < 0 || subsizes[i] > sizes[i] || starts[i] > sizes[i]-subsizes[i] {
			return contents{}, fail(errArg, "dimension %d: %d elements from %d on are not in an array of %d",
				i, subsizes[i], starts[i], sizes[i])
		}
	}
	c.ints = append(c.ints, int64(a.order))
	return c, checkOrder(a.order)
}

func checkOrder(v int) error {
	if v != orderC && v != orderFortran {
		return fail(errArg, "order %d is neither MPI_ORDER_C nor MPI_ORDER_FORTRAN", v)
	}
	return nil
}

type darrayArgs struct {
	size, rank, ndims                                           int
	arrayOfGsizes, arrayOfDistribs, arrayOfDargs, arrayOfPsizes address
	order                                                       int
}

// makeDarray checks one process's part of a distributed array (MPI 5.0 section 5.1.4).
func makeDarray(p *Proc, a darrayArgs, old *datatype) (contents, error) {
	size, rank, n := a.size, a.rank, a.ndims
	if n < 1 || n > maxTypeDepth || size < 1 || rank < 0 || rank >= size {
		return contents{}, fail(errArg, "size %d, rank %d, ndims %d", size, rank, n)
	}
	c := contents{combiner: combinerDarray, ints: []int64{int64(size), int64(rank), int64(n)}, types: []*datatype{old}}
	gsizes, err := p.counts(a.arrayOfGsizes, n)
	if err != nil {
		return contents{}, err
	}
	c.ints = append(c.ints, gsizes...)
	procs, blocks := int64(1), int64(0)
	for _, list := range []address{a.arrayOfDistribs, a.arrayOfDargs, a.arrayOfPsizes} {
		v, err := p.ints(list, n)
		if err != nil {
			return contents{}, err
		}
		for _, x := range v {
			c.ints = append(c.ints, int64(x))
		}
	}
	for i := range n {
		d := c.dimension(i)
		if d.procs < 1 || d.size < 1 || d.size > maxTypeBytes {
			return contents{}, fail(errArg, "dimension %d has %d elements on %d processes", i, d.size, d.procs)
		}
		procs = times(procs, d.procs)
		if err := d.check(); err != nil {
			return contents{}, err
		}
		blocks = min(blocks+d.blocks(), maxTypeBytes)
	}
	if err := p.room(times(blockCost, blocks)); err != nil {
		return contents{}, err
	}
	if blocks > maxDarrayBlocks {
		return contents{}, fail(errNoMem, "%d blocks, the limit is %d", blocks, int64(maxDarrayBlocks))
	}
	if procs != int64(size) {
		return contents{}, fail(errArg, "the process grid has %d processes, size is %d", procs, size)
	}
	c.ints = append(c.ints, int64(a.order))
	return c, checkOrder(a.order)
}
