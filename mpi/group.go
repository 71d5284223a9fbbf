package mpi

import (
	"slices"

	"github.com/godwit-run/godwit/mpi/abi"
)

// group is an ordered set of ranks of the world (MPI 5.0 section 7.3). It is immutable.
type group struct {
	ranks []Rank
	index map[Rank]int // made when it is needed first
}

// find returns the position of a rank of the world, or undefined.
func (g *group) find(r Rank) int {
	if r < 0 {
		return abi.Undefined
	}
	if int(r) < len(g.ranks) && g.ranks[r] == r {
		return int(r) // as in MPI_COMM_WORLD, whose group all ranks of a World share
	}
	if len(g.ranks) <= 8 {
		if i := slices.Index(g.ranks, r); i >= 0 {
			return i
		}
		return abi.Undefined
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
	return abi.Undefined
}

func (g *group) has(r Rank) bool { return g.find(r) != abi.Undefined }

// groupCalls are the functions about groups.
func groupCalls() []entry {
	return []entry{
		{name: "MPI_Group_size", impl: bind(callGroupSize)},
		{name: "MPI_Group_rank", impl: bind(callGroupRank)},
		{name: "MPI_Group_translate_ranks", impl: bind(callTranslateRanks)},
		{name: "MPI_Group_compare", impl: bind(callGroupCompare)},
		{name: "MPI_Group_free", impl: bind(callGroupFree)},
		{name: "MPI_Group_union", impl: groupOfTwo(func(a, b *group) []Rank {
			return append(slices.Clone(a.ranks), without(b.ranks, a)...)
		})},
		{name: "MPI_Group_difference", impl: groupOfTwo(func(a, b *group) []Rank { return without(a.ranks, b) })},
		{name: "MPI_Group_intersection", impl: groupOfTwo(func(a, b *group) []Rank {
			return slices.DeleteFunc(slices.Clone(a.ranks), func(r Rank) bool { return !b.has(r) })
		})},
		{name: "MPI_Group_incl", impl: groupOfList(true, false).as("list", "ranks")},
		{name: "MPI_Group_excl", impl: groupOfList(false, false).as("list", "ranks")},
		{name: "MPI_Group_range_incl", impl: groupOfList(true, true).as("list", "ranges")},
		{name: "MPI_Group_range_excl", impl: groupOfList(false, true).as("list", "ranges")},
	}
}

type groupOfTwoArgs struct {
	group1, group2 handle
	newgroup       address
}

// groupOfTwo makes the call that makes a group of two.
func groupOfTwo(f func(a, b *group) []Rank) body {
	return bind(func(p *Proc, a groupOfTwoArgs) error {
		g, err := p.group(a.group1)
		if err != nil {
			return err
		}
		h, err := p.group(a.group2)
		if err != nil {
			return err
		}
		return p.giveGroup(f(g, h), a.newgroup)
	})
}

func without(ranks []Rank, g *group) []Rank {
	return slices.DeleteFunc(slices.Clone(ranks), g.has)
}

func (p *Proc) group(handle uint32) (*group, error) {
	if handle == abi.GroupEmpty {
		return &group{}, nil
	}
	if g := p.groups.get(handle); g != nil {
		return g, nil
	}
	return nil, abi.Fail(abi.ErrGroup, "group %#x is not known", handle)
}

// giveGroup stores the handle of a new group.
func (p *Proc) giveGroup(ranks []Rank, out uint32) error {
	if _, err := p.handles(out, 1); err != nil {
		return err
	}
	if len(ranks) == 0 {
		return p.putWord(out, abi.GroupEmpty)
	}
	h, err := addTo(p, &p.groups, &group{ranks: ranks})
	if err != nil {
		return err
	}
	return p.putWord(out, h)
}

type groupSizeArgs struct {
	group handle
	size  address
}

func callGroupSize(p *Proc, a groupSizeArgs) error {
	g, err := p.group(a.group)
	if err != nil {
		return err
	}
	return p.putInt(a.size, len(g.ranks))
}

type groupRankArgs struct {
	group handle
	rank  address
}

func callGroupRank(p *Proc, a groupRankArgs) error {
	g, err := p.group(a.group)
	if err != nil {
		return err
	}
	return p.putInt(a.rank, g.find(p.rank))
}

type translateRanksArgs struct {
	group1 handle
	n      int
	ranks1 address
	group2 handle
	ranks2 address
}

func callTranslateRanks(p *Proc, a translateRanksArgs) error {
	g, err := p.group(a.group1)
	if err != nil {
		return err
	}
	h, err := p.group(a.group2)
	if err != nil {
		return err
	}
	list, err := p.ints(a.ranks1, a.n)
	if err != nil {
		return err
	}
	for i, r := range list {
		switch {
		case r == abi.ProcNull:
		case r < 0 || r >= len(g.ranks):
			return abi.Fail(abi.ErrRank, "rank %d is not in 0..%d", r, len(g.ranks)-1)
		default:
			list[i] = h.find(g.ranks[r])
		}
	}
	return p.putInts(a.ranks2, list)
}

// compareGroups tells equal order, equal members, or neither.
func compareGroups(a, b *group) int {
	switch {
	case slices.Equal(a.ranks, b.ranks):
		return abi.Ident
	case len(a.ranks) == len(b.ranks) && len(without(a.ranks, b)) == 0:
		return abi.Similar
	}
	return abi.Unequal
}

type groupCompareArgs struct {
	group1, group2 handle
	result         address
}

func callGroupCompare(p *Proc, a groupCompareArgs) error {
	g, err := p.group(a.group1)
	if err != nil {
		return err
	}
	h, err := p.group(a.group2)
	if err != nil {
		return err
	}
	return p.putInt(a.result, compareGroups(g, h))
}

type groupFreeArgs struct{ group address }

func callGroupFree(p *Proc, a groupFreeArgs) error {
	h, err := p.word(a.group)
	if err != nil {
		return err
	}
	if _, err := p.group(h); err != nil {
		return err
	}
	dropFrom(p, &p.groups, h)
	return p.putWord(a.group, abi.GroupNull)
}

type groupOfListArgs struct {
	group    handle
	n        int
	list     address
	newgroup address
}

// groupOfList makes a group of a list of ranks, or of triplets first, last, stride; or of all others.
func groupOfList(include, ranges bool) body {
	return bind(func(p *Proc, a groupOfListArgs) error {
		g, err := p.group(a.group)
		if err != nil {
			return err
		}
		n := a.n
		if n < 0 || n > abi.MaxRanks {
			return abi.Fail(abi.ErrArg, "n is %d", n)
		}
		list, err := p.ints(a.list, pick(ranges, 3*n, n))
		if err == nil && ranges {
			list, err = expand(list, len(g.ranks))
		}
		if err != nil {
			return err
		}
		chosen, err := g.choose(list)
		if err != nil {
			return err
		}
		if include {
			return p.giveGroup(chosen, a.newgroup)
		}
		return p.giveGroup(without(g.ranks, &group{ranks: chosen}), a.newgroup)
	})
}

// choose picks members by their position, each at most once.
func (g *group) choose(list []int) ([]Rank, error) {
	seen := make(map[int]bool, len(list))
	out := make([]Rank, 0, len(list))
	for _, r := range list {
		if r < 0 || r >= len(g.ranks) {
			return nil, abi.Fail(abi.ErrRank, "rank %d is not in 0..%d", r, len(g.ranks)-1)
		}
		if seen[r] {
			return nil, abi.Fail(abi.ErrRank, "rank %d is there twice", r)
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
			return nil, abi.Fail(abi.ErrArg, "a range has stride 0")
		}
		for r := first; (stride > 0 && r <= last) || (stride < 0 && r >= last); r += stride {
			if r < 0 || r >= size {
				return nil, abi.Fail(abi.ErrRank, "rank %d is not in 0..%d", r, size-1)
			}
			out = append(out, r)
		}
	}
	return out, nil
}
