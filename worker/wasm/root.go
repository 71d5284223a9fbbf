package wasm

import (
	"context"
	"encoding/binary"

	"github.com/tetratelabs/wazero/api"
)

// What WASI calls things, as far as the root directory needs it.
const (
	rootFD        = 3 // the first after the streams: where C libraries look for directories that they are given
	rootName      = "/"
	directory     = 3      // a file type
	preopenDir    = 0      // the tag of a prestat
	prestatBytes  = 8      // tag, length of the name
	filestatBytes = 64     // of which only the type is not zero
	openCreate    = 1 << 0 // an oflag
)

// filesystem are the functions of WASI that work on paths and places, in place of wazero's of these names. A guest has no files yet. It
// sees what a program expects of a system where nothing is and nothing may be written: a root directory, empty and read-only, that
// cannot be listed; nothing can ever be opened, so that nothing has to move with a rank. Without any directory C libraries answer
// "capabilities insufficient" by themselves, which no program's author has heard of.
func filesystem() map[string]hostFunc {
	return map[string]hostFunc{
		"fd_prestat_get":          {"ii", prestatGet},
		"fd_prestat_dir_name":     {"iii", prestatName},
		"fd_seek":                 {"iIii", place},
		"fd_tell":                 {"ii", place},
		"fd_filestat_set_size":    {"iI", setSize},
		"path_create_directory":   {"iii", pathFunc(1, errnoExist, errnoReadOnly)},
		"path_filestat_get":       {"iiiii", pathStat},
		"path_filestat_set_times": {"iiiiIIi", pathFunc(2, errnoReadOnly, errnoNoEntry)},
		"path_link":               {"iiiiiii", pathFunc(2, errnoPerm, errnoNoEntry)},
		"path_open":               {"iiiiiIIii", pathOpen},
		"path_readlink":           {"iiiiii", pathFunc(1, errnoInvalid, errnoNoEntry)},
		"path_remove_directory":   {"iii", pathFunc(1, errnoBusy, errnoNoEntry)},
		"path_rename":             {"iiiiii", pathFunc(1, errnoBusy, errnoNoEntry)},
		"path_symlink":            {"iiiii", symlink},
		"path_unlink_file":        {"iii", pathFunc(1, errnoIsDir, errnoNoEntry)},
	}
}

// hostFunc is a function of WASI that returns an error number. Parameters: i for a 32-bit number, I for a 64-bit one.
type hostFunc struct {
	params string
	do     func(memory api.Memory, args []uint64) uint64
}

// Call implements api.GoModuleFunction.
func (f hostFunc) Call(_ context.Context, module api.Module, stack []uint64) {
	stack[0] = f.do(module.Memory(), stack[:len(f.params)])
}

// types are f's parameters.
func (f hostFunc) types() []api.ValueType {
	types := make([]api.ValueType, len(f.params))
	for i, c := range f.params {
		if types[i] = api.ValueTypeI32; c == 'I' {
			types[i] = api.ValueTypeI64
		}
	}
	return types
}

func prestatGet(memory api.Memory, args []uint64) uint64 {
	if uint32(args[0]) != rootFD {
		return errnoBadf // C libraries stop asking at the first
	}
	out, ok := memory.Read(uint32(args[1]), prestatBytes)
	if !ok {
		return errnoFault
	}
	clear(out)
	out[0] = preopenDir
	binary.LittleEndian.PutUint32(out[4:], uint32(len(rootName)))
	return errnoSuccess
}

func prestatName(memory api.Memory, args []uint64) uint64 {
	switch {
	case uint32(args[0]) != rootFD:
		return errnoBadf
	case uint32(args[2]) < uint32(len(rootName)):
		return errnoNameTooLong
	case !memory.WriteString(uint32(args[1]), rootName):
		return errnoFault
	}
	return errnoSuccess
}

// place is what a stream has not.
func place(_ api.Memory, args []uint64) uint64 {
	if uint32(args[0]) < rootFD {
		return errnoNoSeek
	}
	return errnoBadf
}

func setSize(_ api.Memory, args []uint64) uint64 {
	if uint32(args[0]) < rootFD {
		return errnoInvalid
	}
	return errnoBadf
}

// pathFunc is a function whose path is at args[i] and args[i+1], relative to the directory args[0]. It answers root for the
// root itself, and otherwise what it answers where nothing is.
func pathFunc(i int, root, otherwise uint64) func(api.Memory, []uint64) uint64 {
	return func(memory api.Memory, args []uint64) uint64 {
		isRoot, errno := lookUp(memory, args[0], args[i:])
		switch {
		case errno != errnoSuccess:
			return errno
		case isRoot:
			return root
		}
		return otherwise
	}
}

// lookUp says whether path, a pointer and a length, is the root. What is no path of ours has an error number, and so has an empty one,
// which names nothing, to make or to find.
func lookUp(memory api.Memory, fd uint64, path []uint64) (bool, uint64) {
	if uint32(fd) < rootFD {
		return false, errnoNotDir
	}
	if uint32(fd) > rootFD {
		return false, errnoBadf
	}
	name, ok := memory.Read(uint32(path[0]), uint32(path[1]))
	if !ok {
		return false, errnoFault
	}
	if len(name) == 0 {
		return false, errnoNoEntry
	}
	for _, c := range name {
		if c != '.' && c != '/' {
			return false, errnoSuccess
		}
	}
	return true, errnoSuccess // ".", "..", "./" and the like are all the root
}

func pathOpen(memory api.Memory, args []uint64) uint64 {
	isRoot, errno := lookUp(memory, args[0], args[2:])
	switch {
	case errno != errnoSuccess:
		return errno
	case isRoot:
		return errnoAccess
	case args[4]&openCreate != 0:
		return errnoReadOnly
	}
	return errnoNoEntry
}

func pathStat(memory api.Memory, args []uint64) uint64 {
	isRoot, errno := lookUp(memory, args[0], args[2:])
	switch {
	case errno != errnoSuccess:
		return errno
	case !isRoot:
		return errnoNoEntry
	}
	out, ok := memory.Read(uint32(args[4]), filestatBytes)
	if !ok {
		return errnoFault
	}
	clear(out)
	out[16] = directory
	return errnoSuccess
}

// symlink's directory and path come after the text of the link.
func symlink(memory api.Memory, args []uint64) uint64 {
	return pathFunc(1, errnoExist, errnoReadOnly)(memory, args[2:])
}
