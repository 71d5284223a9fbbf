package wasm

import (
	"context"

	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental/table"
)

// instance is one rank's code with its globals and tables, in one of the engines. Its memory is the Guest's.
type instance interface {
	// Function is an exported function; nil: there is none of the name.
	Function(name string) function
	// At is the function at a place of the function table; nil: there is none, or it has another type.
	At(place uint32, params, results []api.ValueType) function
	// Global is an exported global; nil: there is none of the name.
	Global(name string) variable
	// Grow makes the memory longer, by pages of 64 KiB, as the guest itself does.
	Grow(pages uint32) bool
	// SetBytes has the guest see a memory of n bytes, which are accessible.
	SetBytes(n uint64) error
	Close(ctx context.Context) error
}

// function is a function of a guest. The stack has its parameters, then its results, in the words of wazero's api.
type function interface {
	CallWithStack(ctx context.Context, stack []uint64) error
}

// variable is a global of a guest, as bits.
type variable interface {
	Get() uint64
	Set(bits uint64)
}

// wazeroInstance is an instance in wazero.
type wazeroInstance struct {
	module api.Module
	memory *Memory
}

var _ instance = wazeroInstance{}

// Function implements instance.
func (i wazeroInstance) Function(name string) function {
	if f := i.module.ExportedFunction(name); f != nil {
		return f
	}
	return nil
}

// At implements instance: the engine panics where there is none.
func (i wazeroInstance) At(place uint32, params, results []api.ValueType) (f function) {
	defer func() {
		if recover() != nil {
			f = nil
		}
	}()
	return table.LookupFunction(i.module, 0, place, params, results)
}

// Global implements instance. One that cannot be set is none.
func (i wazeroInstance) Global(name string) variable {
	if g, ok := i.module.ExportedGlobal(name).(api.MutableGlobal); ok {
		return g
	}
	return nil
}

// Grow implements instance.
func (i wazeroInstance) Grow(pages uint32) bool {
	_, ok := i.module.Memory().Grow(pages)
	return ok
}

// SetBytes implements instance: the memory has a page to grow by, and growing is how the engine is told.
func (i wazeroInstance) SetBytes(n uint64) error {
	i.memory.resize = n
	_, ok := i.module.Memory().Grow(1)
	i.memory.resize = 0
	if !ok {
		return errResize(n)
	}
	return nil
}

// Close implements instance.
func (i wazeroInstance) Close(ctx context.Context) error {
	return i.module.Close(ctx) //nolint:wrapcheck // the caller does
}
