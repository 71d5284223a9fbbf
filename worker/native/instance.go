//go:build linux && amd64

package native

import (
	"context"
	"errors"
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Memory is what a guest's memory grows by.
type Memory interface {
	// Reallocate makes the first size bytes accessible, at the address that they have, and returns them; nil: it may not be so long.
	Reallocate(size uint64) []byte
}

// HostFunc is a function that guests import: by its place among the module's imports, with its arguments, which its results replace. What it panics with ends
// the guest, and is the error of the call.
type HostFunc func(ctx context.Context, index int, stack []uint64)

// Instance is a guest: a module's code with a memory, globals and tables of its own. Its methods belong to one goroutine at a time.
type Instance struct {
	object  *Object
	shared  *instance
	memory  Memory
	host    HostFunc
	stack   []byte
	low     uint64 // the least that the stack may be at when the host uses it
	tables  [][]uint64
	dropped struct{ elements, data []bool }
	depth   int
}

// New makes an instance in space: Span bytes of address space, of which nothing is accessible but, after MemoryAt bytes, what memory has made so. With live
// the memory is that of an instance that was elsewhere, so many bytes, and stays as it is; else it becomes what the module begins with. None of the guest's code runs.
func (o *Object) New(space []byte, memory Memory, live uint64, host HostFunc) (*Instance, error) {
	if len(space) != Span {
		return nil, fmt.Errorf("native: an instance takes %d bytes of addresses, and was given %d", uint64(Span), len(space))
	}
	if err := unix.Mprotect(space[:memoryAt], unix.PROT_READ|unix.PROT_WRITE); err != nil {
		return nil, fmt.Errorf("instantiate: %w", err)
	}
	i := &Instance{object: o, shared: (*instance)(unsafe.Pointer(&space[0])), memory: memory, host: host}
	leave, _, _, _ := addresses()
	i.shared.leave = uint64(leave)
	if err := i.newStack(); err != nil {
		return nil, err
	}
	if err := i.initialise(live); err != nil {
		return nil, errors.Join(err, i.Close())
	}
	return i, nil
}

// newStack maps a stack that is aligned to its size, with a guard at its end.
func (i *Instance) newStack() error {
	wide, err := unix.MmapPtr(-1, 0, nil, 2*stackBytes, unix.PROT_NONE, unix.MAP_PRIVATE|unix.MAP_ANON|unix.MAP_NORESERVE)
	if err != nil {
		return fmt.Errorf("reserve a stack: %w", err)
	}
	before := uintptr(-uintptr(wide) & (stackBytes - 1))
	begin := unsafe.Add(wide, before)
	if before > 0 {
		err = unix.MunmapPtr(wide, before)
	}
	err = errors.Join(err, unix.MunmapPtr(unsafe.Add(begin, stackBytes), stackBytes-before))
	i.stack = unsafe.Slice((*byte)(begin), stackBytes)
	err = errors.Join(err, unix.Mprotect(i.stack[guardBytes:], unix.PROT_READ|unix.PROT_WRITE))
	if err != nil {
		return errors.Join(fmt.Errorf("reserve a stack: %w", err), i.Close())
	}
	_ = unix.Madvise(i.stack, unix.MADV_NOHUGEPAGE) // it is there to take less
	*(*uintptr)(unsafe.Pointer(&i.stack[stackBytes-8])) = uintptr(unsafe.Pointer(i.shared))
	const slack = 64 << 10
	i.low = uint64(uintptr(begin)) + guardBytes + slack
	return nil
}

// Close frees what is not the caller's. No call may be under way.
func (i *Instance) Close() error {
	if i.stack == nil {
		return nil
	}
	stack := i.stack
	i.stack = nil
	if err := unix.MunmapPtr(unsafe.Pointer(&stack[0]), stackBytes); err != nil {
		return fmt.Errorf("release a stack: %w", err)
	}
	return nil
}

// reference is a function as a reference: the address of what there is of it.
func (i *Instance) reference(function int) uint64 {
	return uint64(i.object.functions) + uint64(function)*functionBytes
}

// value evaluates a constant.
func (i *Instance) value(c constant) [2]uint64 {
	switch {
	case c.function >= 0:
		return [2]uint64{i.reference(c.function)}
	case c.global >= 0:
		return *i.global(uint32(c.global))
	}
	return [2]uint64{c.low, c.high}
}

func (i *Instance) global(index uint32) *[2]uint64 {
	return i.shared.globalWords(i.object.module.globalAt(index))
}

// initialise does what the specification says of an instantiation (4.5.4), but for the start function.
func (i *Instance) initialise(live uint64) error {
	m := i.object.module
	i.shared.bytes = live
	if size := m.memoryMin << 16; size > 0 && live == 0 {
		if i.memory.Reallocate(size) == nil {
			return fmt.Errorf("no memory: %d bytes to begin with", size)
		}
		i.shared.bytes = size
	}
	for k, g := range m.globals {
		*i.global(uint32(k)) = i.value(g.begin)
	}
	i.tables = make([][]uint64, len(m.tables))
	for k, t := range m.tables {
		if t.least > maxTable {
			return fmt.Errorf("%w: a table of %d", errUnsupported, t.least)
		}
		i.setTable(k, make([]uint64, t.least))
	}
	i.dropped.elements, i.dropped.data = make([]bool, len(m.elements)), make([]bool, len(m.data))
	for k, e := range m.elements {
		if e.mode == active && !i.tableInit(k, int(e.table), uint64(uint32(i.value(e.offset)[0])), 0, uint64(len(e.items))) {
			return &Trap{Why: trapTable}
		}
		i.dropped.elements[k] = e.mode != passive
	}
	for k, d := range m.data {
		if d.mode == active && live == 0 && !i.memoryInit(k, uint64(uint32(i.value(d.offset)[0])), 0, uint64(len(d.bytes))) {
			return &Trap{Why: trapBounds}
		}
		i.dropped.data[k] = d.mode == active
	}
	return nil
}

// Start runs the module's start function, if it has one.
func (i *Instance) Start(ctx context.Context) error {
	if i.object.module.start < 0 {
		return nil
	}
	return i.function(uint32(i.object.module.start)).CallWithStack(ctx, nil)
}

// Bytes is how long the memory is, as the guest sees it.
func (i *Instance) Bytes() uint64 { return i.shared.bytes }

// SetBytes has the guest see a memory of n bytes, all of them accessible.
func (i *Instance) SetBytes(n uint64) { i.shared.bytes = n }

// Grow makes the memory so many pages of 64 KiB longer, as memory.grow does: it returns how many there were.
func (i *Instance) Grow(pages uint32) (uint32, bool) {
	old := i.shared.bytes >> 16
	most := old + uint64(pages)
	if most > i.object.module.memoryMax || pages > 0 && i.memory.Reallocate(most<<16) == nil {
		return 0, false
	}
	i.shared.bytes = most << 16
	return uint32(old), true
}

// Global is a global that the module exports.
type Global struct{ words *[2]uint64 }

// Global returns the exported global of a name; false: there is none.
func (i *Instance) Global(name string) (Global, bool) {
	e, ok := i.object.module.exports[name]
	if !ok || e.kind != kindGlobal {
		return Global{}, false
	}
	return Global{i.global(e.index)}, true
}

// Get returns the value's bits: those of a type of 32 are the lower ones.
func (g Global) Get() uint64 { return g.words[0] }

// Set sets them.
func (g Global) Set(bits uint64) { g.words[0] = bits }
