package wasm

import (
	"context"

	"github.com/tetratelabs/wazero/api"

	"github.com/godwit-run/godwit/mpi"
)

// wasiFunc is a function of WASI that works on descriptors or paths. Parameters: i for a 32-bit number, I for a 64-bit one.
type wasiFunc struct {
	params string
	do     func(c wasiCall) errno
}

// wasiCall is one call of such a function, on the guest's goroutine.
type wasiCall struct {
	guest  *Guest
	memory *Memory
	args   []uint64
}

// u is the i-th argument as a 32-bit number: the rest of such a one is not to be looked at.
func (c wasiCall) u(i int) uint32 { return uint32(c.args[i]) }

// bytes is the guest's memory at the place and of the length that two arguments give.
func (c wasiCall) bytes(i int) ([]byte, bool) { return c.memory.read(c.u(i), c.u(i+1)) }

// put32 and put64 write a result where the i-th argument points to.
func (c wasiCall) put32(i int, v uint32) errno {
	if !c.memory.write32(c.u(i), v) {
		return errnoFault
	}
	return errnoSuccess
}

func (c wasiCall) put64(i int, v uint64) errno {
	if !c.memory.write64(c.u(i), v) {
		return errnoFault
	}
	return errnoSuccess
}

// blocking runs f, which may wait for a disk or another host, as host code.
func (c wasiCall) blocking(f func() error) error {
	c.guest.checkCancel()
	return c.guest.outside(f)
}

func (f wasiFunc) call(_ context.Context, g *Guest, stack []uint64) {
	stack[0] = uint64(f.do(wasiCall{g, g.memory, stack[:len(f.params)]}))
}

// types are f's parameters.
func (f wasiFunc) types() []api.ValueType {
	types := make([]api.ValueType, len(f.params))
	for i, c := range f.params {
		if types[i] = api.ValueTypeI32; c == 'I' {
			types[i] = api.ValueTypeI64
		}
	}
	return types
}

// wasiFuncs are the functions of WASI, but for those in which a guest can stop. All are ours: what is open has to move with its rank, and every engine has the same.
func wasiFuncs() map[string]wasiFunc {
	return map[string]wasiFunc{
		"args_get":                {"ii", argsGet},
		"args_sizes_get":          {"ii", argsSizes},
		"clock_res_get":           {"ii", clockResolution},
		"clock_time_get":          {"iIi", clockTime},
		"environ_get":             {"ii", environGet},
		"environ_sizes_get":       {"ii", environSizes},
		"fd_advise":               {"iIIi", fdAdvise},
		"fd_allocate":             {"iII", fdAllocate},
		"fd_close":                {"i", fdClose},
		"fd_datasync":             {"i", fdSync},
		"fd_fdstat_get":           {"ii", fdStatus},
		"fd_fdstat_set_flags":     {"ii", fdSetFlags},
		"fd_fdstat_set_rights":    {"iII", fdSetRights},
		"fd_filestat_get":         {"ii", fdFilestat},
		"fd_filestat_set_size":    {"iI", fdSetSize},
		"fd_filestat_set_times":   {"iIIi", fdSetTimes},
		"fd_pread":                {"iiiIi", fdPread},
		"fd_prestat_get":          {"ii", prestatGet},
		"fd_prestat_dir_name":     {"iii", prestatName},
		"fd_pwrite":               {"iiiIi", fdPwrite},
		"fd_readdir":              {"iiiIi", fdReaddir},
		"fd_renumber":             {"ii", fdRenumber},
		"fd_seek":                 {"iIii", fdSeek},
		"fd_sync":                 {"i", fdSync},
		"fd_tell":                 {"ii", fdTell},
		"fd_write":                {"iiii", fdWrite},
		"path_create_directory":   {"iii", pathMkdir},
		"path_filestat_get":       {"iiiii", pathFilestat},
		"path_filestat_set_times": {"iiiiIIi", pathSetTimes},
		"path_link":               {"iiiiiii", pathLink},
		"path_open":               {"iiiiiIIii", pathOpen},
		"path_readlink":           {"iiiiii", pathReadlink},
		"path_remove_directory":   {"iii", pathRmdir},
		"path_rename":             {"iiiiii", pathRename},
		"path_symlink":            {"iiiii", pathSymlink},
		"path_unlink_file":        {"iii", pathUnlink},
		"poll_oneoff":             {"iiii", poll},
		"proc_raise":              {"i", unavailable},
		"random_get":              {"ii", randomGet},
		"sched_yield":             {"", yield},
		"sock_accept":             {"iii", noSocket},
		"sock_recv":               {"iiiiii", noSocket},
		"sock_send":               {"iiiii", noSocket},
		"sock_shutdown":           {"ii", noSocket},
	}
}

// wasiFunctions are the functions that guests import of WASI.
func wasiFunctions(point *mpi.Call) []hostFunction {
	result := []api.ValueType{api.ValueTypeI32}
	read := readFunc{wasiFunc{"iiii", fdRead}, point}
	out := []hostFunction{
		{moduleWASI, "fd_read", read.types(), result, read.call},
		{moduleWASI, "proc_exit", wasiFunc{params: "i"}.types(), nil, procExit},
	}
	for name, f := range wasiFuncs() {
		call := f.call
		if tells(name) {
			call = f.tellingCall
		}
		out = append(out, hostFunction{moduleWASI, name, f.types(), result, call})
	}
	return out
}

// Sizes of WASI's records, in bytes.
const (
	iovecBytes        = 8
	fdstatBytes       = 24
	filestatBytes     = 64
	direntBytes       = 24
	prestatBytes      = 8
	subscriptionBytes = 48
	eventBytes        = 32
)
