package mpi

import (
	"errors"

	"github.com/godwit-run/godwit/mpi/abi"
)

// program is a Guest in tests: its functions are Go functions with numbers for addresses, and its stack and heap are the
// last quarter of an arena.
type program struct {
	functions map[uint32]func(params ...uint32) uint32
	stack     uint32
	heap      uint32
	freed     int
}

const (
	stackTop  = arenaBytes
	heapStart = arenaBytes - arenaBytes/4
	heapEnd   = arenaBytes - arenaBytes/16
)

func newProgram() *program {
	return &program{functions: map[uint32]func(params ...uint32) uint32{}, stack: stackTop, heap: heapStart}
}

var errNoFunction = errors.New("no such function")

func (g *program) Call(fn uint32, params ...uint32) (uint32, error) {
	f := g.functions[fn]
	if f == nil {
		return 0, errNoFunction
	}
	return f(params...), nil
}

func (g *program) Reserve(n uint32) (uint32, func(), error) {
	old := g.stack
	g.stack = (g.stack - n) &^ 15
	return g.stack, func() { g.stack = old }, nil
}

func (g *program) Alloc(n, align uint32) (uint32, error) {
	at := (g.heap + align - 1) / align * align
	if at+n > heapEnd {
		return 0, abi.Fail(abi.ErrNoMem, "the test's heap is full")
	}
	g.heap = at + n
	return at, nil
}

func (g *program) Free(uint32) error {
	g.freed++
	return nil
}
