package mpi

import (
	"hash/fnv"
	"strconv"
)

// integerCalls convert handles to integers and back (MPI 5.0 section 20.4): they are the same bits.
func integerCalls() []entry {
	var calls []entry
	same := func(_ *Proc, a args) (uint64, error) { return uint64(a.u32(0)), nil }
	for _, kind := range []string{
		"Comm", "Errhandler", "File", "Group", "Info", "Message", "Op", "Request", "Session", "Type", "Win",
	} {
		calls = append(calls,
			entry{name: "MPI_" + kind + "_toint", impl: same, any: true},
			entry{name: "MPI_" + kind + "_fromint", impl: same, any: true})
	}
	return append(calls,
		entry{name: "MPI_Aint_add", any: true, impl: func(_ *Proc, a args) (uint64, error) { return uint64(a.u32(0) + a.u32(1)), nil }},
		entry{name: "MPI_Aint_diff", any: true, impl: func(_ *Proc, a args) (uint64, error) { return uint64(a.u32(0) - a.u32(1)), nil }},
		entry{name: "MPI_Abi_get_version", any: true, impl: func(p *Proc, a args) (uint64, error) {
			if err := p.putInt(a.u32(0), 1); err != nil {
				return 0, err
			}
			return success, p.putInt(a.u32(1), 0)
		}},
		entry{name: "MPI_Abi_get_info", any: true, impl: func(p *Proc, a args) (uint64, error) {
			x := &info{}
			x.set("mpi_aint_size", "4")
			x.set("mpi_count_size", "8")
			x.set("mpi_offset_size", "8")
			return p.giveInfo(x, a.u32(0))
		}})
}

func decimal(n int) string { return strconv.Itoa(n) }

func checksum(text string) uint32 {
	h := fnv.New32a()
	h.Write([]byte(text))
	return h.Sum32()
}
