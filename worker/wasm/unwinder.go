package wasm

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
)

// ErrNotMigratable is returned when a guest is asked to freeze that cannot. It names the reason.
var ErrNotMigratable = errors.New("guest cannot be frozen")

// ErrUnwindOverflow is returned when there is no room for a guest's call stack. A part of it is lost then, so the guest ends. It names the room, and what bounds it.
var ErrUnwindOverflow = errors.New("the program's call stack, which is saved when its rank stops, does not fit")

// phase is what asyncify is doing with a guest's stack.
type phase uint8

const (
	executing phase = iota // the guest's own code
	unwinding              // every frame saves its locals and returns
	rewinding              // every frame restores its locals and calls on
)

// Offsets in struct godwit_unwind_area (sdk/lib/godwit_unwind.c).
const (
	areaPosition = 0
	areaEnd      = 4
	areaStart    = 8
	areaCapacity = 12
	areaBytes    = 16
)

// unwinder drives asyncify in one guest. A stack is saved behind the guest's memory, where there is room for any: the memory is longer as long as none of the program's code runs. One that fits the buffer
// that the program has for it is put there, and the memory is as before; a deeper one stays behind it until the guest goes on.
type unwinder struct {
	phase           phase
	memory          *Memory
	engine          instance
	area            uint32 // address of struct godwit_unwind_area
	start, capacity uint32 // the program's buffer: address and bytes, as the pristine module says
	from, to        uint64 // where the stack is saved
	functions       map[string]function
}

// newUnwinder reads the area from memory that no guest code has touched yet.
func newUnwinder(i instance, memory *Memory, info Info) (unwinder, error) {
	u := unwinder{memory: memory, area: info.unwindArea, functions: make(map[string]function)}
	if !info.Migratable {
		return u, nil
	}
	area, err := u.bytes()
	if err != nil {
		return u, err
	}
	u.start = binary.LittleEndian.Uint32(area[areaStart:])
	u.capacity = binary.LittleEndian.Uint32(area[areaCapacity:])
	if end := uint64(u.start) + uint64(u.capacity); end > uint64(len(memory.Bytes())) || u.capacity == 0 {
		return u, fmt.Errorf("%w: unwind area %d+%d lies outside of memory", ErrModule, u.start, u.capacity)
	}
	u.attach(i)
	return u, nil
}

// attach has the unwinder drive an instance.
func (u *unwinder) attach(i instance) {
	u.engine = i
	for name := range asyncifyExports {
		u.functions[name] = i.Function(name)
	}
}

// bytes is struct godwit_unwind_area in the guest's memory.
func (u *unwinder) bytes() ([]byte, error) {
	memory := u.memory.Bytes()
	if uint64(u.area)+areaBytes > uint64(len(memory)) {
		return nil, fmt.Errorf("%w: unwind area at %d lies outside of memory", ErrModule, u.area)
	}
	return memory[u.area : u.area+areaBytes], nil
}

// put says in the area where the saved stack ends, and its room.
func put(area []byte, position, end uint64) {
	binary.LittleEndian.PutUint32(area[areaPosition:], uint32(position))
	binary.LittleEndian.PutUint32(area[areaEnd:], uint32(end))
}

// startUnwind makes the guest save its stack and return from _start, once the host function returns.
func (u *unwinder) startUnwind(ctx context.Context) error {
	area, err := u.bytes()
	if err != nil {
		return err
	}
	if !u.lend() {
		u.from, u.to = uint64(u.start), uint64(u.start)+uint64(u.capacity)
	}
	put(area, u.from, u.to)
	u.phase = unwinding
	return u.call(ctx, "asyncify_start_unwind", uint64(u.area))
}

// lend makes room behind the guest's memory, if there is more than the program's buffer has: up to the most memory that the guest may have, and what the budget has left, until repay. It takes addresses alone of the machine.
func (u *unwinder) lend() bool {
	m := u.memory
	own, whole, most := m.size.Load(), m.whole.Load(), uint64(len(m.reserved))-pageSize // one page less: setSize
	room := min(most-min(most, own), whole-own+m.lend(most-min(most, whole))) &^ (pageSize - 1)
	for ; room > uint64(u.capacity); room = room / 2 &^ (pageSize - 1) { // a machine may count addresses
		if m.unlock(own+room) == nil {
			u.from, u.to = own, own+room
			return m.setSize(u.engine, u.to) == nil
		}
	}
	return false
}

// repay gives back what was lent and is not kept: the stack is saved, or never will be.
func (u *unwinder) repay() { u.memory.repay() }

// lent says whether the stack is saved behind the guest's memory.
func (u *unwinder) lent() bool { return u.from != uint64(u.start) }

// stopUnwind is called after _start has returned. Asyncify checks here that the stack did fit.
func (u *unwinder) stopUnwind(ctx context.Context) error {
	u.phase = executing
	area, err := u.bytes()
	if err != nil {
		return err
	}
	position, end := uint64(binary.LittleEndian.Uint32(area[areaPosition:])), uint64(binary.LittleEndian.Uint32(area[areaEnd:]))
	if end != u.to || position < u.from || position > end {
		return u.overflow()
	}
	if err := u.call(ctx, "asyncify_stop_unwind"); err != nil || !u.lent() {
		return err
	}
	return u.settle(area, position-u.from)
}

// settle finds n bytes of saved stack, which are behind the guest's memory, their place.
func (u *unwinder) settle(area []byte, n uint64) error {
	m := u.memory
	if n <= uint64(u.capacity) && m.whole.Load() == u.from {
		saved := m.Bytes()[u.from : u.from+n]
		copy(m.Bytes()[u.start:], saved)
		clear(saved) // the guest may grow to it
		put(area, uint64(u.start)+n, uint64(u.start)+uint64(u.capacity))
		return m.setSize(u.engine, u.from)
	}
	// Where images have more than the guest's own memory the stack stays behind that: by its place another host knows how much is the guest's.
	m.keep((u.from + n + pageSize - 1) &^ (pageSize - 1))
	put(area, u.from+n, m.whole.Load())
	return m.setSize(u.engine, m.whole.Load())
}

// overflow tells that the stack has not fit, and why there was no more room.
func (u *unwinder) overflow() error {
	m := u.memory
	why := fmt.Sprintf("the most memory that the program may have, %d bytes: link it with a larger -Wl,--max-memory=BYTES, raise the worker's --memory-limit, or, where its app declares memory, declare more (--mem)", len(m.reserved))
	switch {
	case !u.lent():
		why += "; or build it with a larger -DGODWIT_UNWIND_BYTES=N"
	case m.budget.limit > 0 && u.to+pageSize < uint64(len(m.reserved)):
		why = fmt.Sprintf("the memory that this host has for programs, %d bytes: give it more (the worker's --total-memory), or have fewer ranks on it", m.budget.limit)
	}
	return fmt.Errorf("%w: it takes more than %d bytes, which is all that is left of %s", ErrUnwindOverflow, u.to-u.from, why)
}

// startRewind makes the next call of _start rebuild the saved stack.
func (u *unwinder) startRewind(ctx context.Context) error {
	u.phase = rewinding
	return u.call(ctx, "asyncify_start_rewind", uint64(u.area))
}

// stopRewind is called when the stack is back, in the import that the guest froze in. If it was saved behind the guest's memory, it was from where the last frame was taken: the memory ends there again.
func (u *unwinder) stopRewind(ctx context.Context) error {
	u.phase = executing
	if err := u.call(ctx, "asyncify_stop_rewind"); err != nil {
		return err
	}
	area, err := u.bytes()
	if err != nil {
		return err
	}
	own := uint64(binary.LittleEndian.Uint32(area[areaPosition:]))
	if own == uint64(u.start) {
		return nil
	}
	memory := u.memory.Bytes()
	if own%pageSize != 0 || own > uint64(len(memory)) {
		return fmt.Errorf("%w: the saved stack began at %d", ErrImage, own)
	}
	put(area, uint64(u.start), uint64(u.start)+uint64(u.capacity)) // a try looks whether it is empty (sdk/lib/godwit_try.h)
	clear(memory[own:])                                            // the guest may grow to it
	return u.memory.setSize(u.engine, own)
}

// validate checks that a saved stack lies inside the program's buffer, or at the end of the memory.
func (u *unwinder) validate(area []byte) error {
	position, end := binary.LittleEndian.Uint32(area[areaPosition:]), binary.LittleEndian.Uint32(area[areaEnd:])
	if size := len(u.memory.Bytes()); int(end) == size && position > u.start+u.capacity && position <= end {
		return nil
	}
	if end != u.start+u.capacity || position < u.start || position > end {
		return fmt.Errorf("saved stack %d..%d is not inside %d..%d", position, end, u.start, u.start+u.capacity)
	}
	return nil
}

func (u *unwinder) call(ctx context.Context, name string, params ...uint64) error {
	if err := u.functions[name].CallWithStack(ctx, params); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}
