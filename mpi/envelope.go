package mpi

// envelope splits contents as MPI_Type_get_contents gives them. A type made with 64-bit values has its
// counts apart (MPI 5.0 section 5.1.13); asked through the large form about a type made with ints, there are none.
func (t *datatype) envelope() (ints, addrs, counts []int64, types []*datatype) {
	m := &t.made
	if m.combiner == combinerNamed {
		return nil, nil, nil, nil
	}
	if m.combiner == combinerF90Real || m.combiner == combinerF90Complex || m.combiner == combinerF90Integer {
		return m.ints, nil, nil, nil
	}
	if !m.large {
		return m.ints, m.addrs, nil, m.types
	}
	switch m.combiner {
	case combinerSubarray: // ndims and order are ints
		n := len(m.ints)
		return []int64{m.ints[0], m.ints[n-1]}, nil, m.ints[1 : n-1], m.types
	case combinerDarray:
		n := int(m.ints[2])
		ints = append(append([]int64{}, m.ints[:3]...), m.ints[3+n:]...)
		return ints, nil, m.ints[3 : 3+n], m.types
	}
	return nil, nil, append(append([]int64{}, m.ints...), m.addrs...), m.types
}

// whole reports whether contents have as many numbers as the combiner wants, none of them negative where it must not be:
// what the constructors' checks guarantee.
func (m *contents) whole() bool {
	ints, addrs, types := len(m.ints), len(m.addrs), len(m.types)
	for i, v := range m.ints {
		switch m.combiner {
		case combinerF90Real, combinerF90Complex, combinerF90Integer:
			continue // a precision may be MPI_UNDEFINED
		case combinerIndexed, combinerIdxBlock, combinerVector, combinerDarray:
			if i >= 2 {
				continue
			}
		}
		if v < 0 {
			return false
		}
	}
	n := int64(0)
	if ints > 0 {
		n = m.ints[0]
	}
	count := int64(ints)
	one := types == 1
	switch m.combiner {
	case combinerDup:
		return one
	case combinerF90Real, combinerF90Complex:
		return one && ints == 2
	case combinerF90Integer:
		return one && ints == 1
	case combinerValueIndex:
		return types == 2
	case combinerResized:
		return one && addrs == 2
	case combinerContiguous:
		return one && ints == 1
	case combinerVector:
		return one && ints == 3
	case combinerHvector:
		return one && ints == 2 && addrs == 1
	case combinerIndexed:
		return one && ints > 0 && count == 2*n+1
	case combinerHindexed:
		return one && ints > 0 && count == n+1 && int64(addrs) == n
	case combinerIdxBlock:
		return one && ints > 1 && count == n+2
	case combinerHidxBlock:
		return one && ints == 2 && int64(addrs) == n
	case combinerStruct:
		return ints > 0 && count == n+1 && int64(addrs) == n && int64(types) == n
	case combinerSubarray:
		return one && n > 0 && count == 3*n+2
	case combinerDarray:
		return one && m.wholeDarray()
	}
	return false
}

func (m *contents) wholeDarray() bool {
	if len(m.ints) < 3 || m.ints[2] < 1 || int64(len(m.ints)) != 4*m.ints[2]+4 || m.ints[1] < 0 {
		return false
	}
	blocks := int64(0)
	for i := range int(m.ints[2]) {
		d := m.dimension(i)
		if d.size < 1 || d.size > maxTypeBytes || d.procs < 1 || d.procs > 1<<31 || d.arg > 1<<31 || d.check() != nil {
			return false
		}
		if blocks += d.blocks(); blocks > maxDarrayBlocks {
			return false
		}
	}
	return true
}
