package wasm

import (
	"fmt"
	"reflect"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	// stackBytes is how deep a guest's calls may be, in wazero: bytes of machine code's frames.
	stackBytes = 80 << 20
	// stackLeast is what a call stack may have in any case: the budget has so much for it from the guest's beginning on.
	stackLeast = 256 << 10
	// stackSlack is what a call stack may have beyond what it has taken, when memory is short.
	stackSlack = 256 << 10
	// stackBeneath is how far below the guest's stack pointer what the host has it call begins.
	stackBeneath = 1 << 10
	// stackPart is in what parts stacks give back what they have not taken.
	stackPart = 4 << 10
)

// callStack is what a guest's machine code has its calls on, in wazero. Its addresses are reserved; what of it was touched is the machine's memory, until the guest stands still. The budget counts what it may come to: all of it, where there is so
// much, and what it has come to, and a little more, when somebody else needs memory.
type callStack struct {
	budget *budget
	bytes  []byte        // the stack grows down from their end; nil: the engine's own is used, which nobody counts
	fields stackFields   // of the functions that were entered last
	deep   []engineStack // of functions that are under way, one in another: changed by the guest's goroutine, under the budget's mu

	may uint64 // bytes; guarded by the budget's mu
}

// newCallStack reserves a stack, and takes the least of the budget for it; false: there is not so much left. Where addresses are scarce the guest has the engine's own.
func newCallStack(b *budget) (*callStack, bool) {
	s := &callStack{budget: b}
	if !b.take(stackLeast) {
		return nil, false
	}
	s.may = stackLeast
	if all, err := unix.Mmap(-1, 0, stackBytes, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON|unix.MAP_NORESERVE); err == nil {
		_ = unix.Madvise(all, unix.MADV_NOHUGEPAGE) // it is there to take less
		s.bytes = all
	}
	return s, true
}

// release gives all of it back. Nothing runs on it any more.
func (s *callStack) release() error {
	if s.budget == nil {
		return nil
	}
	s.budget.give(stackLeast)
	s.budget = nil
	if s.bytes == nil {
		return nil
	}
	bytes := s.bytes
	s.bytes = nil
	if err := unix.Munmap(bytes); err != nil {
		return fmt.Errorf("release a call stack: %w", err)
	}
	return nil
}

// begin lets the guest have as deep a stack as there is memory for, until end.
func (s *callStack) begin() { s.budget.lendStack(s) }

// end gives back what the stack has taken: nothing is on it.
func (s *callStack) end() {
	if s.bytes != nil {
		_ = unix.Madvise(s.bytes, unix.MADV_DONTNEED) // else it stays, and is counted no more
	}
	s.budget.returnStack(s)
}

// enter has a function that is about to be called use the stack: from its end, or below the function that has called the host.
func (s *callStack) enter(f function) {
	if t := reflect.TypeOf(f); s.fields.of != t {
		s.fields = stackFieldsOf(t)
	}
	var e engineStack // of another engine, that has its own
	if s.bytes != nil && s.fields.ok {
		e = s.fields.in(f)
		top := uintptr(unsafe.Pointer(unsafe.SliceData(s.bytes))) + uintptr(len(s.bytes))
		if n := len(s.deep); n > 0 && s.deep[n-1].sp != nil && *s.deep[n-1].sp != nil {
			top = uintptr(*s.deep[n-1].sp) - stackBeneath
		}
		*e.stack = s.bytes // of such a length that the engine makes none in its place
		*e.top = (top - 1) &^ 15
	}
	s.budget.mu.Lock()
	defer s.budget.mu.Unlock()
	s.deep = append(s.deep, e)
	s.hold(s.may)
}

// leave is called when the function has returned.
func (s *callStack) leave() {
	s.budget.mu.Lock()
	defer s.budget.mu.Unlock()
	s.deep = s.deep[:len(s.deep)-1]
}

// hold has the engine end a guest whose stack becomes deeper than n bytes. Machine code looks at each call. Holds the budget's mu.
func (s *callStack) hold(n uint64) {
	if s.bytes == nil {
		return
	}
	bottom := unsafe.Pointer(&s.bytes[uint64(len(s.bytes))-n])
	for _, e := range s.deep {
		if e.bottom != nil {
			atomic.StorePointer(e.bottom, bottom)
		}
	}
}

// touched is how deep the stack has been since it began, of what it may. Holds the budget's mu.
func (s *callStack) touched() uint64 {
	if s.bytes == nil {
		return 0
	}
	const page = 4096
	may := s.bytes[uint64(len(s.bytes))-s.may:]
	here := make([]byte, (len(may)+page-1)/page)
	if _, _, errno := unix.Syscall(unix.SYS_MINCORE, uintptr(unsafe.Pointer(&may[0])), uintptr(len(may)), uintptr(unsafe.Pointer(&here[0]))); errno != 0 {
		return s.may
	}
	for i, in := range here {
		if in&1 != 0 {
			return uint64(len(may) - i*page)
		}
	}
	return 0
}

// spare is what the stack may have and has not taken, but for a little. Holds the budget's mu.
func (s *callStack) spare() uint64 {
	return s.may - min(s.may, max(stackLeast, s.touched()+stackSlack))
}

// shrink has the stack have so much less, unless it has taken that meanwhile. Holds the budget's mu.
func (s *callStack) shrink(by uint64) {
	if s.bytes == nil || by == 0 {
		return
	}
	if s.hold(s.may - by); s.touched() > s.may-by {
		s.hold(s.may)
		return
	}
	s.may -= by
}

// short says how much the stack may have, where that is less than it might be; 0: it is not.
func (s *callStack) short() uint64 {
	s.budget.mu.Lock()
	defer s.budget.mu.Unlock()
	if s.bytes == nil || s.may >= uint64(len(s.bytes)) {
		return 0
	}
	return s.may
}

// engineStack is what wazero has of the stack of a function that can be called. It has no way to be told of another, so its fields are set.
type engineStack struct {
	stack  *[]byte
	top    *uintptr
	bottom *unsafe.Pointer // machine code ends the guest below
	sp     *unsafe.Pointer // where the stack ended as the guest called the host
}

// stackFields is where a type of functions has them.
type stackFields struct {
	of                     reflect.Type
	ok                     bool // it has them
	stack, top, bottom, sp uintptr
}

// stackFieldsOf finds them.
func stackFieldsOf(t reflect.Type) stackFields {
	none := stackFields{of: t}
	if t.Kind() != reflect.Pointer || t.Elem().Kind() != reflect.Struct {
		return none
	}
	stack, ok1 := t.Elem().FieldByName("stack")
	top, ok2 := t.Elem().FieldByName("stackTop")
	exec, ok3 := t.Elem().FieldByName("execCtx")
	if !ok1 || !ok2 || !ok3 || stack.Type != reflect.TypeFor[[]byte]() || top.Type != reflect.TypeFor[uintptr]() || exec.Type.Kind() != reflect.Struct {
		return none
	}
	bottom, ok1 := exec.Type.FieldByName("stackBottomPtr")
	sp, ok2 := exec.Type.FieldByName("stackPointerBeforeGoCall")
	if !ok1 || !ok2 || bottom.Type.Kind() != reflect.Pointer || sp.Type.Kind() != reflect.Pointer {
		return none
	}
	return stackFields{of: t, ok: true, stack: stack.Offset, top: top.Offset, bottom: exec.Offset + bottom.Offset, sp: exec.Offset + sp.Offset}
}

// in are those of a function.
func (f *stackFields) in(of function) engineStack {
	at := reflect.ValueOf(of).UnsafePointer()
	return engineStack{
		stack: (*[]byte)(unsafe.Add(at, f.stack)), top: (*uintptr)(unsafe.Add(at, f.top)), bottom: (*unsafe.Pointer)(unsafe.Add(at, f.bottom)), sp: (*unsafe.Pointer)(unsafe.Add(at, f.sp)),
	}
}
