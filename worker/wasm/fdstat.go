package wasm

import (
	"context"
	"encoding/binary"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"
)

// The parts of WASI's fdstat that a guest's streams need.
const (
	fdstatBytes     = 24
	blockDevice     = 1       // a file type that no C library takes for a terminal
	characterDevice = 2       // with neither of the rights to seek and to tell, a terminal
	rightRead       = 1 << 1  // fd_read
	rightWrite      = 1 << 6  // fd_write
	rightFilestat   = 1 << 21 // fd_filestat_get
	rightPoll       = 1 << 27 // poll_oneoff
)

// WASI's error numbers.
const (
	errnoSuccess     = 0
	errnoAccess      = 2
	errnoBadf        = 8
	errnoBusy        = 10
	errnoExist       = 20
	errnoFault       = 21
	errnoInvalid     = 28
	errnoIsDir       = 31
	errnoNameTooLong = 37
	errnoNoEntry     = 44
	errnoNotDir      = 54
	errnoPerm        = 63
	errnoReadOnly    = 69
	errnoNoSeek      = 70
)

// fdstatGet describes a guest's streams and its root directory, in place of wazero's function of this name. stdout and stderr are as a terminal: a C
// library then passes every line on when it is printed, and what a program has said before it ends badly is not lost in its
// buffers. stdin is none, so that no program asks questions of it.
func fdstatGet(_ context.Context, module api.Module, stack []uint64) {
	fd, result := uint32(stack[0]), uint32(stack[1])
	memory, ok := module.Memory().Read(result, fdstatBytes)
	stack[0] = errnoSuccess
	switch {
	case !ok:
		stack[0] = errnoFault
		return
	case fd > rootFD:
		stack[0] = errnoBadf // nothing can be opened
		return
	}
	kind, rights := uint16(characterDevice), uint64(rightWrite|rightFilestat|rightPoll)
	switch fd {
	case 0:
		kind, rights = blockDevice, rightRead|rightFilestat|rightPoll
	case rootFD:
		kind, rights = directory, 0
	}
	clear(memory)
	binary.LittleEndian.PutUint16(memory, kind)
	binary.LittleEndian.PutUint64(memory[8:], rights)
}

// instantiateWASI makes the module that guests import WASI from.
func instantiateWASI(ctx context.Context, runtime wazero.Runtime) error {
	builder := runtime.NewHostModuleBuilder(moduleWASI)
	wasi_snapshot_preview1.NewFunctionExporter().ExportFunctions(builder)
	for name, f := range filesystem() {
		builder.NewFunctionBuilder().WithGoModuleFunction(f, f.types(), []api.ValueType{api.ValueTypeI32}).Export(name)
	}
	_, err := builder.NewFunctionBuilder().
		WithGoModuleFunction(api.GoModuleFunc(fdstatGet), []api.ValueType{api.ValueTypeI32, api.ValueTypeI32}, []api.ValueType{api.ValueTypeI32}).
		Export("fd_fdstat_get").
		Instantiate(ctx)
	return err //nolint:wrapcheck // the caller names the module
}
