package layout

import "github.com/godwit-run/godwit/mpi/abi"

// Envelope splits contents as MPI_Type_get_contents gives them. A type made with 64-bit values has its
// counts apart (MPI 5.0 section 5.1.13); asked through the large form about a type made with ints, there are none.
func (t *Type) Envelope() (ints, addrs, counts []int64, types []*Type) {
	m := &t.Made
	if m.Combiner == abi.CombinerNamed {
		return nil, nil, nil, nil
	}
	if m.Combiner == abi.CombinerF90Real || m.Combiner == abi.CombinerF90Complex || m.Combiner == abi.CombinerF90Integer {
		return m.Ints, nil, nil, nil
	}
	if !m.Large {
		return m.Ints, m.Addrs, nil, m.Types
	}
	switch m.Combiner {
	case abi.CombinerSubarray: // ndims and order are ints
		n := len(m.Ints)
		return []int64{m.Ints[0], m.Ints[n-1]}, nil, m.Ints[1 : n-1], m.Types
	case abi.CombinerDarray:
		n := int(m.Ints[2])
		ints = append(append([]int64{}, m.Ints[:3]...), m.Ints[3+n:]...)
		return ints, nil, m.Ints[3 : 3+n], m.Types
	}
	return nil, nil, append(append([]int64{}, m.Ints...), m.Addrs...), m.Types
}

// Whole reports whether contents have as many numbers as the combiner wants, none of them negative where it must not be:
// what the constructors' checks guarantee.
func (m *Contents) Whole() bool {
	ints, addrs, types := len(m.Ints), len(m.Addrs), len(m.Types)
	for i, v := range m.Ints {
		switch m.Combiner {
		case abi.CombinerF90Real, abi.CombinerF90Complex, abi.CombinerF90Integer:
			continue // a precision may be MPI_UNDEFINED
		case abi.CombinerIndexed, abi.CombinerIdxBlock, abi.CombinerVector, abi.CombinerDarray:
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
		n = m.Ints[0]
	}
	count := int64(ints)
	one := types == 1
	switch m.Combiner {
	case abi.CombinerDup:
		return one
	case abi.CombinerF90Real, abi.CombinerF90Complex:
		return one && ints == 2
	case abi.CombinerF90Integer:
		return one && ints == 1
	case abi.CombinerValueIndex:
		return types == 2
	case abi.CombinerResized:
		return one && addrs == 2
	case abi.CombinerContiguous:
		return one && ints == 1
	case abi.CombinerVector:
		return one && ints == 3
	case abi.CombinerHvector:
		return one && ints == 2 && addrs == 1
	case abi.CombinerIndexed:
		return one && ints > 0 && count == 2*n+1
	case abi.CombinerHindexed:
		return one && ints > 0 && count == n+1 && int64(addrs) == n
	case abi.CombinerIdxBlock:
		return one && ints > 1 && count == n+2
	case abi.CombinerHidxBlock:
		return one && ints == 2 && int64(addrs) == n
	case abi.CombinerStruct:
		return ints > 0 && count == n+1 && int64(addrs) == n && int64(types) == n
	case abi.CombinerSubarray:
		return one && n > 0 && count == 3*n+2
	case abi.CombinerDarray:
		return one && m.wholeDarray()
	}
	return false
}

func (m *Contents) wholeDarray() bool {
	if len(m.Ints) < 3 || m.Ints[2] < 1 || int64(len(m.Ints)) != 4*m.Ints[2]+4 || m.Ints[1] < 0 {
		return false
	}
	blocks := int64(0)
	for i := range int(m.Ints[2]) {
		d := m.Dimension(i)
		if d.Size < 1 || d.Size > MaxBytes || d.Procs < 1 || d.Procs > 1<<31 || d.arg > 1<<31 || d.Check() != nil {
			return false
		}
		if blocks += d.Blocks(); blocks > MaxDarrayBlocks {
			return false
		}
	}
	return true
}
