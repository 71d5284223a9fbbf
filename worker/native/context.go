//go:build linux && amd64

package native

import (
	"unsafe"
)

// instance is what a guest and its host share, right before the guest's memory: struct instance of c/guest.h, and offsets in context_amd64.s.
type instance struct {
	host  [2]uint64 // stack and frame pointer of Go, while the guest runs
	guest registers
	code  uint64 // why the guest has left
	index uint64 // of what
	args  *uint64
	fault [2]uint64 // where in its text, and the address
	leave uint64
	bytes uint64 // of memory
	stop  uint64 // not 0: the guest is to leave when a signal finds it in its text; not known to c/guest.h
}

// registers are what a guest goes on with.
type registers struct {
	sp, bx, bp, r12, r13, r14, r15 uint64
}

// Why a guest has left.
const (
	leftDone = iota
	leftCall
	leftTrap
	leftFault
	leftService
	leftStopped
)

func enter(i *instance)
func addresses() (leave, begin, faulted, restore uintptr)

// A guest runs as a system call does: the runtime does not wait for it, to collect garbage or to let others run. gVisor does the same; the functions are of
// this version of Go (TestRuntime).

//go:linkname entersyscall runtime.entersyscall
func entersyscall()

//go:linkname exitsyscall runtime.exitsyscall
func exitsyscall()

// run has the guest go on until it leaves.
//
//go:nosplit
func run(i *instance) {
	entersyscall()
	enter(i)
	exitsyscall()
}

// table is struct table of c/guest.h.
type tableHead struct {
	at *uint64
	n  uint64
}

// tableAt and globalWords are parts of the instance by their places.
func (i *instance) tableAt(k int) *tableHead {
	return (*tableHead)(unsafe.Add(unsafe.Pointer(i), tablesAt+k*tableBytes))
}

func (i *instance) globalWords(at int) *[2]uint64 {
	return (*[2]uint64)(unsafe.Add(unsafe.Pointer(i), at))
}
