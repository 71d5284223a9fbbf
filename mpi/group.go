package mpi

import "slices"

// group is an ordered set of ranks of the world (MPI 5.0 section 7.3). It is immutable.
type group struct {
	ranks []Rank
	index map[Rank]int // made when it is needed first
}

// find returns the position of a rank of the world, or undefined.
func (g *group) find(r Rank) int {
	if r < 0 {
		return undefined
	}
	if int(r) < len(g.ranks) && g.ranks[r] == r {
		return int(r) // as in MPI_COMM_WORLD, whose group all ranks of a World share
	}
	if len(g.ranks) <= 8 {
		if i := slices.Index(g.ranks, r); i >= 0 {
			return i
		}
		return undefined
	}
	if g.index == nil {
		g.index = make(map[Rank]int, len(g.ranks))
		for i, r := range g.ranks {
			g.index[r] = i
		}
	}
	if i, ok := g.index[r]; ok {
		return i
	}
	return undefined
}

func (g *group) has(r Rank) bool { return g.find(r) != undefined }

// groupCalls are the functions about groups.
func groupCalls() []entry {
	binary := func(f func(a, b *group) []Rank) func(*Proc, args) (uint64, error) {
		return func(p *Proc, a args) (uint64, error) {
			g, err := p.group(a.u32(0))
			if err != nil {
				return 0, err
			}
			h, err := p.group(a.u32(1))
			if err != nil {
				return 0, err
			}
			return p.giveGroup(f(g, h), a.u32(2))
		}
	}
	return []entry{
		{name: "MPI_Group_size", impl: callGroupSize},
		{name: "MPI_Group_rank", impl: callGroupRank},
		{name: "MPI_Group_translate_ranks", impl: callTranslateRanks},
		{name: "MPI_Group_compare", impl: callGroupCompare},
		{name: "MPI_Group_free", impl: callGroupFree},
		{name: "MPI_Group_union", impl: binary(func(a, b *group) []Rank {
			return append(slices.Clone(a.ranks), without(b.ranks, a)...)
		})},
		{name: "MPI_Group_difference", impl: binary(func(a, b *group) []Rank { return without(a.ranks, b) })},
		{name: "MPI_Group_intersection", impl: binary(func(a, b *group) []Rank {
			return slices.DeleteFunc(slices.Clone(a.ranks), func(r Rank) bool { return !b.has(r) })
		})},
		{name: "MPI_Group_incl", impl: callGroupList(true, false)},
		{name: "MPI_Group_excl", impl: callGroupList(false, false)},
		{name: "MPI_Group_range_incl", impl: callGroupList(true, true)},
		{name: "MPI_Group_range_excl", impl: callGroupList(false, true)},
	}
}

func without(ranks []Rank, g *group) []Rank {
	return slices.DeleteFunc(slices.Clone(ranks), g.has)
}

func (p *Proc) group(handle uint32) (*group, error) {
	if handle == groupEmpty {
		return &group{}, nil
	}
	if g := p.groups.get(handle); g != nil {
		return g, nil
	}
	return nil, fail(errGroup, "group %#x is not known", handle)
}

// giveGroup stores the handle of a new group.
func (p *Proc) giveGroup(ranks []Rank, out uint32) (uint64, error) {
	if _, err := p.handles(out, 1); err != nil {
		return 0, err
	}
	if len(ranks) == 0 {
		return success, p.putWord(out, groupEmpty)
	}
	h, err := addTo(p, &p.groups, &group{ranks: ranks})
	if err != nil {
		return 0, err
	}
	return success, p.putWord(out, h)
}

func callGroupSize(p *Proc, a args) (uint64, error) {
	g, err := p.group(a.u32(0))
	if err != nil {
		return 0, err
	}
	return success, p.putInt(a.u32(1), len(g.ranks))
}

func callGroupRank(p *Proc, a args) (uint64, error) {
	g, err := p.group(a.u32(0))
	if err != nil {
		return 0, err
	}
	return success, p.putInt(a.u32(1), g.find(p.rank))
}

func callTranslateRanks(p *Proc, a args) (uint64, error) {
	g, err := p.group(a.u32(0))
	if err != nil {
		return 0, err
	}
	h, err := p.group(a.u32(3))
	if err != nil {
		return 0, err
	}
	list, err := p.ints(a.u32(2), a.int(1))
	if err != nil {
		return 0, err
	}
	for i, r := range list {
		switch {
		case r == procNull:
		case r < 0 || r >= len(g.ranks):
			return 0, fail(errRank, "rank %d is not in 0..%d", r, len(g.ranks)-1)
		default:
			list[i] = h.find(g.ranks[r])
		}
	}
	return success, p.putInts(a.u32(4), list)
}

// compareGroups tells equal order, equal members, or neither.
func compareGroups(a, b *group) int {
	switch {
	case slices.Equal(a.ranks, b.ranks):
		return ident
	case len(a.ranks) == len(b.ranks) && len(without(a.ranks, b)) == 0:
		return similar
	}
	return unequal
}

func callGroupCompare(p *Proc, a args) (uint64, error) {
	g, err := p.group(a.u32(0))
	if err != nil {
		return 0, err
	}
	h, err := p.group(a.u32(1))
	if err != nil {
		return 0, err
	}
	return success, p.putInt(a.u32(2), compareGroups(g, h))
}

func callGroupFree(p *Proc, a args) (uint64, error) {
	h, err := p.word(a.u32(0))
	if err != nil {
		return 0, err
	}
	if _, err := p.group(h); err != nil {
		return 0, err
	}
	dropFrom(p, &p.groups, h)
	return success, p.putWord(a.u32(0), groupNull)
}

// callGroupList makes a group of a list of ranks, or of triplets first, last, stride; or of all others.
func callGroupList(include, ranges bool) func(*Proc, args) (uint64, error) {
	return func(p *Proc, a args) (uint64, error) {
		g, err := p.group(a.u32(0))
		if err != nil {
			return 0, err
		}
		n := a.int(1)
		if n < 0 || n > maxRanks {
			return 0, fail(errArg, "n is %d", n)
		}
		list, err := p.ints(a.u32(2), pick(ranges, 3*n, n))
		if err == nil && ranges {
			list, err = expand(list, len(g.ranks))
		}
		if err != nil {
			return 0, err
		}
		chosen, err := g.choose(list)
		if err != nil {
			return 0, err
		}
		if include {
			return p.giveGroup(chosen, a.u32(3))
		}
		return p.giveGroup(without(g.ranks, &group{ranks: chosen}), a.u32(3))
	}
}

// choose picks members by their position, each at most once.
func (g *group) choose(list []int) ([]Rank, error) {
	seen := make(map[int]bool, len(list))
	out := make([]Rank, 0, len(list))
	for _, r := range list {
		if r < 0 || r >= len(g.ranks) {
			return nil, fail(errRank, "rank %d is not in 0..%d", r, len(g.ranks)-1)
		}
		if seen[r] {
			return nil, fail(errRank, "rank %d is there twice", r)
		}
		seen[r] = true
		out = append(out, g.ranks[r])
	}
	return out, nil
}

// expand lists the ranks of triplets (MPI 5.0 section 7.3.2).
func expand(list []int, size int) ([]int, error) {
	var out []int
	for i := 0; i+2 < len(list); i += 3 {
		first, last, stride := list[i], list[i+1], list[i+2]
		if stride == 0 {
			return nil, fail(errArg, "a range has stride 0")
		}
		for r := first; (stride > 0 && r <= last) || (stride < 0 && r >= last); r += stride {
			if r < 0 || r >= size {
				return nil, fail(errRank, "rank %d is not in 0..%d", r, size-1)
			}
			out = append(out, r)
		}
	}
	return out, nil
}
