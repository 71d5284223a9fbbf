package mpi

// run of indices of one dimension: n of them from first on.
type indices struct{ first, n int64 }

// grid makes the type of those elements of an array whose index is in owned, dimension by dimension, the
// fastest first.
func grid(sizes []int64, owned [][]indices, fortran bool, old *datatype) ([]block, []int64, error) {
	n := len(sizes)
	inner, stride := old, old.extent()
	var blocks []block
	for k := range n {
		d := n - 1 - k
		if fortran {
			d = k
		}
		blocks = nil
		for _, r := range owned[d] {
			blocks = append(blocks, block{times(r.first, stride), r.n, stride, inner})
		}
		stride = times(stride, sizes[d])
		if k < n-1 {
			var err error
			if inner, err = fitted(blocks, nil); err != nil {
				return nil, nil, err
			}
			inner.made = contents{combiner: combinerStruct, ints: []int64{int64(len(blocks))}}
			for _, b := range blocks {
				inner.made.ints = append(inner.made.ints, b.n)
				inner.made.addrs = append(inner.made.addrs, b.disp)
				inner.made.types = append(inner.made.types, b.typ)
			}
		}
	}
	return blocks, []int64{0, stride}, nil
}

func (c *contents) subarray(old *datatype) ([]block, []int64, error) {
	n := c.ints[0]
	owned := make([][]indices, n)
	for i := range n {
		owned[i] = []indices{{c.ints[1+2*n+i], c.ints[1+n+i]}}
	}
	return grid(c.ints[1:1+n], owned, c.ints[1+3*n] == orderFortran, old)
}

// maxDarrayBlocks is how many runs of indices all dimensions of a process's part may have together.
const maxDarrayBlocks = 1 << 24

// dimension is one of a distributed array.
type dimension struct{ size, distribution, arg, procs int64 }

// dimension is the i-th of a distributed array.
func (c *contents) dimension(i int) dimension {
	n := int(c.ints[2])
	at := func(k int) int64 { return c.ints[3+k*n+i] }
	return dimension{at(0), at(1), at(2), at(3)}
}

// check fails for what no array can be distributed as.
func (d dimension) check() error {
	switch d.distribution {
	case distributeNone:
		if d.procs != 1 {
			return fail(errArg, "a dimension that is not distributed has %d processes", d.procs)
		}
	case distributeBlock:
		if d.arg != distributeArg && (d.arg < 1 || d.arg*d.procs < d.size) {
			return fail(errArg, "blocks of %d on %d processes do not hold %d elements", d.arg, d.procs, d.size)
		}
	case distributeCyclic:
		if d.arg != distributeArg && d.arg < 1 {
			return fail(errArg, "cyclic blocks of %d elements", d.arg)
		}
	default:
		return fail(errArg, "distribution %d is not known", d.distribution)
	}
	return nil
}

// blocks is the most runs of indices that a process may have.
func (d dimension) blocks() int64 {
	if d.distribution != distributeCyclic {
		return 1
	}
	k := d.arg
	if k == distributeArg {
		k = 1
	}
	return d.size/times(k, d.procs) + 1
}

// owned returns the indices of a process at a coordinate of the dimension.
func (d dimension) owned(coord int64) []indices {
	k := d.arg
	switch {
	case d.distribution == distributeNone:
		return []indices{{0, d.size}}
	case d.distribution == distributeBlock && k == distributeArg:
		k = (d.size + d.procs - 1) / d.procs
	case k == distributeArg:
		k = 1
	}
	var out []indices
	for at := coord * k; at < d.size; at += k * d.procs {
		out = append(out, indices{at, min(k, d.size-at)})
	}
	return out
}

// darray: processes are numbered in row-major order, whatever the order of the array.
func (c *contents) darray(old *datatype) ([]block, []int64, error) {
	n := int(c.ints[2])
	rank, sizes, owned := c.ints[1], make([]int64, n), make([][]indices, n)
	for i := n - 1; i >= 0; i-- {
		d := c.dimension(i)
		sizes[i], owned[i] = d.size, d.owned(rank%d.procs)
		rank /= d.procs
	}
	return grid(sizes, owned, c.ints[len(c.ints)-1] == orderFortran, old)
}
