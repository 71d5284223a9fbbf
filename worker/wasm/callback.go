package wasm

import (
	"context"
	"errors"
	"fmt"

	"github.com/tetratelabs/wazero/api"

	"github.com/godwit-run/godwit/mpi"
)

// The host calls a guest back in the middle of one of the guest's own calls: its reductions, error handlers and attribute
// functions by their index in the function table, its malloc by name. The guest does not freeze meanwhile.

var _ mpi.Guest = (*Guest)(nil)

// Names of the glue's functions (sdk/lib/godwit_memory.c).
const (
	exportAlloc = "godwit_alloc"
	exportFree  = "godwit_free"
	exportStack = "__stack_pointer"
)

// errNoAlloc is returned for a guest whose memory cannot be allocated from outside.
var errNoAlloc = errors.New("the module has no godwit_alloc: build it with godwit cc")

// nestedEnd is an error of a function that the host called back: the guest has ended inside of it.
type nestedEnd struct{ err error }

func (e *nestedEnd) Error() string { return e.err.Error() }
func (e *nestedEnd) Unwrap() error { return e.err }

// callback is a function of the guest that can be called by the host.
type callback struct {
	function function
	params   int
	busy     bool // it is running: a call inside of the call needs a function of its own
}

// Call implements mpi.Guest: it calls the function at an index of the function table. A C function that takes fewer
// parameters than are given gets the first ones.
func (g *Guest) Call(fn uint32, params ...uint32) (uint32, error) {
	c := g.callbacks[fn]
	if c == nil || c.busy || (c.params != len(params) && c.params != len(params)-1) {
		found, err := g.lookup(fn, len(params))
		if err != nil {
			return 0, err
		}
		if c == nil {
			g.callbacks[fn] = found
		}
		c = found
	}
	c.busy = true
	defer func() { c.busy = false }()
	return g.enter(c.function, params[:c.params])
}

// lookup finds a function by index. Its type is one of those that C callbacks have: all parameters and an int or nothing;
// or, for a function with variable arguments that was declared without them, one parameter less.
func (g *Guest) lookup(fn uint32, params int) (*callback, error) {
	for _, n := range []int{params, params - 1} {
		types := make([]api.ValueType, max(n, 0))
		for i := range types {
			types[i] = api.ValueTypeI32
		}
		for _, results := range [][]api.ValueType{{api.ValueTypeI32}, nil} {
			if f := g.instance.At(fn, types, results); f != nil {
				return &callback{function: f, params: len(types)}, nil
			}
		}
	}
	return nil, &nestedEnd{fmt.Errorf("callback: there is no function of %d parameters at %#x", params, fn)}
}

// enter runs a function of the guest on the guest's goroutine, from inside of a host call.
func (g *Guest) enter(f function, params []uint32) (uint32, error) {
	stack := make([]uint64, max(len(params), 1))
	for i, v := range params {
		stack[i] = uint64(v)
	}
	return g.enterWide(f, stack)
}

// enterWide is enter with a stack of parameters, which has room for a result. While an exception is on its way out of such a function none can run.
func (g *Guest) enterWide(f function, stack []uint64) (uint32, error) {
	if g.word(g.module.info.thrown) != 0 {
		return 0, mpi.ErrThrown
	}
	g.meets()
	g.presence.enter()
	g.depth++
	g.stack.enter(f)
	err := g.nested(f, stack)
	g.stack.leave()
	g.depth--
	g.presence.leave()
	g.meets()                     // the call that it is inside of may wait for others
	_ = g.catchUp()               // the call that it is inside of may tell others; the guest's next one tells it of an error
	if g.depth == 0 && g.passed { // a loop was to stop where none can
		g.passed = false
		g.Preempt(true)
	}
	switch {
	case err != nil:
		return 0, &nestedEnd{err}
	case g.word(g.module.info.thrown) != 0:
		return 0, mpi.ErrThrown
	}
	return uint32(stack[0]), nil
}

// Reserve implements mpi.Guest.
func (g *Guest) Reserve(n uint32) (uint32, func(), error) {
	pointer := g.instance.Global(exportStack)
	if pointer == nil {
		return 0, nil, &nestedEnd{errors.New("callback: the module does not export " + exportStack + ": build it with godwit cc")}
	}
	top := uint32(pointer.Get()) // the program may have set it to anything
	if uint64(top) > uint64(len(g.memory.Bytes())) {
		return 0, nil, &nestedEnd{fmt.Errorf("callback: the stack pointer %#x is outside of the memory", top)}
	}
	if uint64(top) < uint64(n)+16 {
		return 0, nil, &nestedEnd{errors.New("stack overflow")}
	}
	addr := (top - n) &^ 15
	pointer.Set(uint64(addr))
	return addr, func() { pointer.Set(uint64(top)) }, nil
}

// Alloc implements mpi.Guest.
func (g *Guest) Alloc(n, align uint32) (uint32, error) {
	f := g.instance.Function(exportAlloc)
	if f == nil {
		return 0, &mpi.AbortError{Code: 39, Message: errNoAlloc.Error()}
	}
	if err := g.freeLeft(); err != nil {
		return 0, err
	}
	addr, err := g.enter(f, []uint32{n, align})
	if err == nil && addr == 0 {
		return 0, &mpi.AbortError{Code: 39, Message: fmt.Sprintf("MPI_ERR_NO_MEM: the program's malloc has no %d bytes", n)}
	}
	return addr, err
}

// maxUnfreed bounds what is left to be freed: operations that reduce something themselves are no deeper in each other.
const maxUnfreed = 1024

// Free implements mpi.Guest. While an exception is on its way out of a function of the guest that can run none: what is to be freed then is with the next Alloc or Free.
func (g *Guest) Free(addr uint32) error {
	f := g.instance.Function(exportFree)
	if f == nil {
		return &mpi.AbortError{Code: 39, Message: errNoAlloc.Error()}
	}
	if g.word(g.module.info.thrown) != 0 && len(g.unfreed) < maxUnfreed {
		g.unfreed = append(g.unfreed, addr)
		return nil
	}
	if err := g.freeLeft(); err != nil {
		return err
	}
	_, err := g.enter(f, []uint32{addr})
	return err
}

// freeLeft frees what could not be freed when it was to be.
func (g *Guest) freeLeft() error {
	for len(g.unfreed) > 0 && g.word(g.module.info.thrown) == 0 {
		addr := g.unfreed[0]
		g.unfreed = g.unfreed[1:]
		if _, err := g.enter(g.instance.Function(exportFree), []uint32{addr}); err != nil {
			return err
		}
	}
	return nil
}

// nestedCaller runs a function with the context of the guest's Run.
func nestedCaller(ctx context.Context) func(f function, stack []uint64) error {
	return func(f function, stack []uint64) error { return f.CallWithStack(ctx, stack) }
}
