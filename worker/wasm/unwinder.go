package wasm

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/tetratelabs/wazero/api"
)

// ErrNotMigratable is returned when a guest is asked to freeze that cannot. It names the reason.
var ErrNotMigratable = errors.New("guest cannot be frozen")

// ErrUnwindOverflow is returned when a guest's call stack does not fit the unwind area. The guest's memory
// is damaged then, so the guest ends.
var ErrUnwindOverflow = errors.New("call stack does not fit the unwind area: " +
	"build the guest with a larger -DGODWIT_UNWIND_BYTES=N")

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

// unwinder drives asyncify in one guest.
type unwinder struct {
	phase           phase
	memory          *Memory
	area            uint32 // address of struct godwit_unwind_area
	start, capacity uint32 // the buffer: address and bytes, as the pristine module says
	functions       map[string]api.Function
}

// newUnwinder reads the area from memory that no guest code has touched yet.
func newUnwinder(mod api.Module, memory *Memory, info Info) (unwinder, error) {
	u := unwinder{memory: memory, area: info.unwindArea, functions: make(map[string]api.Function)}
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
	for name := range asyncifyExports {
		u.functions[name] = mod.ExportedFunction(name)
	}
	return u, nil
}

// bytes is struct godwit_unwind_area in the guest's memory.
func (u *unwinder) bytes() ([]byte, error) {
	memory := u.memory.Bytes()
	if uint64(u.area)+areaBytes > uint64(len(memory)) {
		return nil, fmt.Errorf("%w: unwind area at %d lies outside of memory", ErrModule, u.area)
	}
	return memory[u.area : u.area+areaBytes], nil
}

// startUnwind makes the guest save its stack and return from _start, once the host function returns.
func (u *unwinder) startUnwind(ctx context.Context) error {
	area, err := u.bytes()
	if err != nil {
		return err
	}
	binary.LittleEndian.PutUint32(area[areaPosition:], u.start)
	binary.LittleEndian.PutUint32(area[areaEnd:], u.start+u.capacity)
	u.phase = unwinding
	return u.call(ctx, "asyncify_start_unwind", uint64(u.area))
}

// stopUnwind is called after _start has returned. Asyncify checks here that the stack did fit.
func (u *unwinder) stopUnwind(ctx context.Context) error {
	u.phase = executing
	area, err := u.bytes()
	if err != nil {
		return err
	}
	if u.validate(area) != nil {
		return fmt.Errorf("%w (it has %d bytes)", ErrUnwindOverflow, u.capacity)
	}
	return u.call(ctx, "asyncify_stop_unwind")
}

// startRewind makes the next call of _start rebuild the saved stack.
func (u *unwinder) startRewind(ctx context.Context) error {
	u.phase = rewinding
	return u.call(ctx, "asyncify_start_rewind", uint64(u.area))
}

// stopRewind is called when the stack is back, in the import that the guest froze in.
func (u *unwinder) stopRewind(ctx context.Context) error {
	u.phase = executing
	return u.call(ctx, "asyncify_stop_rewind")
}

// validate checks that a saved stack lies inside the buffer.
func (u *unwinder) validate(area []byte) error {
	position := binary.LittleEndian.Uint32(area[areaPosition:])
	end := binary.LittleEndian.Uint32(area[areaEnd:])
	if end != u.start+u.capacity || position < u.start || position > end {
		return fmt.Errorf("saved stack %d..%d is not inside %d..%d", position, end, u.start, u.start+u.capacity)
	}
	return nil
}

func (u *unwinder) call(ctx context.Context, name string, params ...uint64) error {
	if _, err := u.functions[name].Call(ctx, params...); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}
