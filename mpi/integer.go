package mpi

import (
	"hash/fnv"
	"strconv"
)

// integerCalls convert handles to integers and back (MPI 5.0 section 20.4): they are the same bits.
func integerCalls() []entry {
	calls := []entry{
		{name: "MPI_Aint_add", any: true, impl: bindValue(callAintAdd)},
		{name: "MPI_Aint_diff", any: true, impl: bindValue(callAintDiff)},
		{name: "MPI_Abi_get_version", any: true, impl: bind(callAbiVersion)},
		{name: "MPI_Abi_get_info", any: true, impl: bind(callAbiInfo)},
	}
	for kind, parameter := range map[string]string{
		"Comm": "comm", "Errhandler": "errhandler", "File": "file", "Group": "group", "Info": "info", "Message": "message", "Op": "op",
		"Request": "request", "Session": "session", "Type": "datatype", "Win": "win",
	} {
		same := bindValue(callSame).as("handle", parameter)
		calls = append(calls, entry{name: "MPI_" + kind + "_toint", impl: same, any: true}, entry{name: "MPI_" + kind + "_fromint", impl: same, any: true})
	}
	return calls
}

type sameArgs struct{ handle handle }

func callSame(_ *Proc, a sameArgs) (uint64, error) { return uint64(a.handle), nil }

type aintAddArgs struct{ base, disp address }

func callAintAdd(_ *Proc, a aintAddArgs) (uint64, error) { return uint64(a.base + a.disp), nil }

type aintDiffArgs struct{ addr1, addr2 address }

func callAintDiff(_ *Proc, a aintDiffArgs) (uint64, error) { return uint64(a.addr1 - a.addr2), nil }

type abiVersionArgs struct{ abiMajor, abiMinor address }

func callAbiVersion(p *Proc, a abiVersionArgs) error {
	if err := p.putInt(a.abiMajor, 1); err != nil {
		return err
	}
	return p.putInt(a.abiMinor, 0)
}

type infoArgs struct{ info address }

func callAbiInfo(p *Proc, a infoArgs) error {
	x := &info{}
	x.set("mpi_aint_size", "4")
	x.set("mpi_count_size", "8")
	x.set("mpi_offset_size", "8")
	return p.giveInfo(x, a.info)
}

func decimal(n int) string { return strconv.Itoa(n) }

func checksum(text string) uint32 {
	h := fnv.New32a()
	h.Write([]byte(text))
	return h.Sum32()
}
