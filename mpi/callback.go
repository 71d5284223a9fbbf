package mpi

import (
	"errors"
	"fmt"

	"github.com/godwit-run/godwit/mpi/abi"
)

// Guest is what the library needs of the program beyond its memory: it calls the program's functions (reductions,
// attributes, error handlers), and allocates in its memory. All of it happens on the goroutine that is in Invoke, which
// may be entered again by the function that was called.
type Guest interface {
	// Call calls the function of a C function pointer, with 32-bit parameters. It returns the result, 0 for a
	// function without one. An error means that the program has ended, or that there is no such function; ErrThrown, that an exception has left it.
	Call(fn uint32, params ...uint32) (uint32, error)
	// Reserve returns the address of n bytes on the program's stack, until release.
	Reserve(n uint32) (addr uint32, release func(), err error)
	// Alloc returns the address of n bytes of the program's heap, aligned to align bytes (a power of two).
	Alloc(n, align uint32) (uint32, error)
	// Free gives back what Alloc gave.
	Free(addr uint32) error
}

// Bind sets what the rank's calls may call back. It is called before the first Invoke that needs it.
func (p *Proc) Bind(g Guest) {
	p.lock()
	defer p.release()
	p.program = g
	p.disk, _ = g.(Files)
}

// callback runs f, which uses p.program, without the lock. The rank does not freeze meanwhile: a callback is part of
// the call that it interrupts.
func (p *Proc) callback(f func(g Guest) error) error {
	if p.program == nil {
		return abi.Fail(abi.ErrIntern, "the program cannot be called back")
	}
	g := p.program
	p.depart()
	defer p.comeBack()
	return f(g)
}

// codeAbort is what a native program that throws there exits with.
const codeAbort = 134

// call calls a function of the program, out of which no exception may come: what called it is in the midst of its work.
func (p *Proc) call(fn uint32, params ...uint32) (uint32, error) {
	result, err := p.callThrough(fn, params...)
	if errors.Is(err, ErrThrown) {
		err = &AbortError{Code: codeAbort, Message: fmt.Sprintf("rank %d: an exception has left a function that MPI had called; only error handlers, attributes' functions, and operations in MPI_Reduce_local let one through", p.rank)}
	}
	return result, err
}

// callThrough calls a function out of which an exception may come: ErrThrown. What called it ends as with an error, and has left all in order.
func (p *Proc) callThrough(fn uint32, params ...uint32) (result uint32, err error) {
	err = p.callback(func(g Guest) error {
		result, err = g.Call(fn, params...)
		return err
	})
	return result, err
}

// withWords calls f with the address of 32-bit values on the program's stack, and reads them back after it.
func (p *Proc) withWords(values []uint32, f func(addr uint32) error) error {
	return p.callback(func(g Guest) error {
		addr, release, err := g.Reserve(uint32(4 * len(values)))
		if err != nil {
			return err
		}
		defer release()
		mem := p.mem.Bytes()
		if uint64(addr)+uint64(4*len(values)) > uint64(len(mem)) {
			return abi.Fail(abi.ErrIntern, "the program's stack is at %#x, outside of its memory", addr)
		}
		for i, v := range values {
			order.PutUint32(mem[addr+4*uint32(i):], v)
		}
		p.lock()
		defer p.release()
		if err := f(addr); err != nil {
			return err
		}
		mem = p.mem.Bytes()
		for i := range values {
			values[i] = order.Uint32(mem[addr+4*uint32(i):])
		}
		return nil
	})
}

// alloc allocates in the program's heap.
func (p *Proc) alloc(n, align uint32) (addr uint32, err error) {
	err = p.callback(func(g Guest) error {
		addr, err = g.Alloc(max(n, 1), align)
		return err
	})
	if err == nil && uint64(addr)+uint64(n) > uint64(len(p.mem.Bytes())) {
		return 0, abi.Fail(abi.ErrNoMem, "the program's malloc returned %#x", addr)
	}
	return addr, err
}

func (p *Proc) freeMemory(addr uint32) error {
	if addr == 0 {
		return nil
	}
	return p.callback(func(g Guest) error { return g.Free(addr) })
}
