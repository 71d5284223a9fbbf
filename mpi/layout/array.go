package layout

import "github.com/godwit-run/godwit/mpi/abi"

// run of indices of one dimension: n of them from first on.
type indices struct{ first, n int64 }

// grid makes the type of those elements of an array whose index is in owned, dimension by dimension, the
// fastest first.
func grid(sizes []int64, owned [][]indices, fortran bool, old *Type) ([]block, []int64, error) {
	n := len(sizes)
	inner, stride := old, old.Extent()
	var blocks []block
	for k := range n {
		d := n - 1 - k
		if fortran {
			d = k
		}
		blocks = nil
		for _, r := range owned[d] {
			blocks = append(blocks, block{Times(r.first, stride), r.n, stride, inner})
		}
		stride = Times(stride, sizes[d])
		if k < n-1 {
			var err error
			if inner, err = fitted(blocks, nil); err != nil {
				return nil, nil, err
			}
			inner.Made = Contents{Combiner: abi.CombinerStruct, Ints: []int64{int64(len(blocks))}}
			for _, b := range blocks {
				inner.Made.Ints = append(inner.Made.Ints, b.n)
				inner.Made.Addrs = append(inner.Made.Addrs, b.disp)
				inner.Made.Types = append(inner.Made.Types, b.typ)
			}
		}
	}
	return blocks, []int64{0, stride}, nil
}

func (c *Contents) subarray(old *Type) ([]block, []int64, error) {
	n := c.Ints[0]
	owned := make([][]indices, n)
	for i := range n {
		owned[i] = []indices{{c.Ints[1+2*n+i], c.Ints[1+n+i]}}
	}
	return grid(c.Ints[1:1+n], owned, c.Ints[1+3*n] == abi.OrderFortran, old)
}

// MaxDarrayBlocks is how many runs of indices all dimensions of a process's part may have together.
const MaxDarrayBlocks = 1 << 24

// Dimension is one of a distributed array.
type Dimension struct{ Size, distribution, arg, Procs int64 }

// Dimension is the i-th of a distributed array.
func (c *Contents) Dimension(i int) Dimension {
	n := int(c.Ints[2])
	at := func(k int) int64 { return c.Ints[3+k*n+i] }
	return Dimension{at(0), at(1), at(2), at(3)}
}

// Check fails for what no array can be distributed as.
func (d Dimension) Check() error {
	switch d.distribution {
	case abi.DistributeNone:
		if d.Procs != 1 {
			return abi.Fail(abi.ErrArg, "a dimension that is not distributed has %d processes", d.Procs)
		}
	case abi.DistributeBlock:
		if d.arg != abi.DistributeArg && (d.arg < 1 || d.arg*d.Procs < d.Size) {
			return abi.Fail(abi.ErrArg, "blocks of %d on %d processes do not hold %d elements", d.arg, d.Procs, d.Size)
		}
	case abi.DistributeCyclic:
		if d.arg != abi.DistributeArg && d.arg < 1 {
			return abi.Fail(abi.ErrArg, "cyclic blocks of %d elements", d.arg)
		}
	default:
		return abi.Fail(abi.ErrArg, "distribution %d is not known", d.distribution)
	}
	return nil
}

// Blocks is the most runs of indices that a process may have.
func (d Dimension) Blocks() int64 {
	if d.distribution != abi.DistributeCyclic {
		return 1
	}
	k := d.arg
	if k == abi.DistributeArg {
		k = 1
	}
	return d.Size/Times(k, d.Procs) + 1
}

// owned returns the indices of a process at a coordinate of the dimension.
func (d Dimension) owned(coord int64) []indices {
	k := d.arg
	switch {
	case d.distribution == abi.DistributeNone:
		return []indices{{0, d.Size}}
	case d.distribution == abi.DistributeBlock && k == abi.DistributeArg:
		k = (d.Size + d.Procs - 1) / d.Procs
	case k == abi.DistributeArg:
		k = 1
	}
	var out []indices
	for at := coord * k; at < d.Size; at += k * d.Procs {
		out = append(out, indices{at, min(k, d.Size-at)})
	}
	return out
}

// darray: processes are numbered in row-major order, whatever the order of the array.
func (c *Contents) darray(old *Type) ([]block, []int64, error) {
	n := int(c.Ints[2])
	rank, sizes, owned := c.Ints[1], make([]int64, n), make([][]indices, n)
	for i := n - 1; i >= 0; i-- {
		d := c.Dimension(i)
		sizes[i], owned[i] = d.Size, d.owned(rank%d.Procs)
		rank /= d.Procs
	}
	return grid(sizes, owned, c.Ints[len(c.Ints)-1] == abi.OrderFortran, old)
}
