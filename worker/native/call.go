//go:build linux && amd64

package native

import (
	"context"
	"fmt"
	"unsafe"
)

// Function is a function of a guest that the host can call.
type Function struct {
	instance      *Instance
	at            *[3]uintptr // struct function of c/guest.h
	params, words int         // words of the stack: of the parameters, and of parameters or results
}

// Function returns the exported function of a name; nil: there is none.
func (i *Instance) Function(name string) *Function {
	e, ok := i.object.module.exports[name]
	if !ok || e.kind != kindFunction {
		return nil
	}
	return i.function(e.index)
}

func (i *Instance) function(index uint32) *Function {
	m := i.object.module
	s := m.signatures[m.kind(index)]
	at := i.reference(int(index))
	return &Function{instance: i, at: *(**[3]uintptr)(unsafe.Pointer(&at)), params: slots(s.params), words: max(slots(s.params), slots(s.results))}
}

// Lookup returns the function at a place of the first table, if its type is that, in letters: i, j, f, d, v and r for i32, i64, f32, f64, v128 and references.
func (i *Instance) Lookup(place uint32, params, results string) *Function {
	if len(i.tables) == 0 || int64(place) >= int64(len(i.tables[0])) || i.tables[0][place] == 0 {
		return nil
	}
	index := uint32((i.tables[0][place] - uint64(i.object.functions)) / functionBytes)
	if s := i.object.module.signatures[i.object.module.kind(index)]; s.params != params || s.results != results {
		return nil
	}
	return i.function(index)
}

// CallWithStack calls the function. The stack has its parameters, and then its results. It blocks for as long as the guest runs; errors are a *Trap, or that of a
// host function.
func (f *Function) CallWithStack(ctx context.Context, stack []uint64) (err error) {
	i := f.instance
	s := i.shared
	outer, args := s.guest, s.args
	sp := uint64(uintptr(unsafe.Pointer(&i.stack[stackBytes-64])))
	if i.depth > 0 {
		sp = outer.sp - 128 // what a function may use below its stack
	}
	sp = (sp - uint64(f.words)*8) &^ 15
	if sp < i.low {
		return &Trap{Why: trapStack}
	}
	words := i.words(sp, f.words)
	copy(words, stack[:min(f.params, len(stack))])
	_, begin, _, _ := addresses()
	i.words(sp-8, 1)[0] = uint64(begin)
	s.guest = registers{sp: sp - 8, bx: uint64(uintptr(unsafe.Pointer(s))), r12: uint64(f.at[1]), r13: uint64(f.at[0]), r14: sp}
	i.depth++
	defer func() {
		i.depth--
		s.guest, s.args = outer, args
		if r := recover(); r != nil {
			err = recovered(r)
		}
	}()
	if err := i.loop(ctx); err != nil {
		return err
	}
	copy(stack, words)
	return nil
}

// words are n words of the guest's stack.
func (i *Instance) words(at uint64, n int) []uint64 {
	begin := uint64(uintptr(unsafe.Pointer(&i.stack[0])))
	return unsafe.Slice((*uint64)(unsafe.Pointer(&i.stack[at-begin])), n)
}

// recovered is what a host function has panicked with, as an error.
func recovered(r any) error {
	if err, ok := r.(error); ok {
		return err
	}
	return fmt.Errorf("%v", r)
}

// loop has the guest run, and does what it asks for, until it is done.
func (i *Instance) loop(ctx context.Context) error {
	s, m := i.shared, i.object.module
	for {
		run(s)
		switch s.code {
		case leftDone:
			return nil
		case leftCall:
			t := m.signatures[m.imports[s.index].kind]
			i.host(ctx, int(s.index), unsafe.Slice(s.args, max(slots(t.params), slots(t.results), 1)))
		case leftService:
			if why := i.serve(s.index, unsafe.Slice(s.args, 5)); why != "" {
				return &Trap{Why: why, Frames: i.frames(0)}
			}
		case leftStopped:
			return ErrStopped
		case leftTrap:
			return &Trap{Why: trapTexts[s.index], Frames: i.frames(0)}
		default:
			return i.faulted()
		}
	}
}

// faulted is the trap that a fault in the guest's text is.
func (i *Instance) faulted() error {
	at := i.shared.fault[1]
	trap := &Trap{Why: trapBounds, Frames: i.frames(uintptr(i.shared.fault[0]))}
	stack, space := uint64(uintptr(unsafe.Pointer(&i.stack[0]))), uint64(uintptr(unsafe.Pointer(i.shared)))
	switch {
	case at >= stack && at < stack+stackBytes:
		trap.Why = trapStack
	case at < space+memoryAt || at >= space+Span:
		trap.Why = fmt.Sprintf("a fault at %#x, which is not the guest's", at)
	}
	return trap
}
