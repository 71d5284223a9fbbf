//go:build linux && amd64

package native

import (
	"fmt"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"
)

// textBytes is the address space for the text of all modules of this process.
const textBytes = 1 << 30

// stackBytes is a guest's stack, aligned to its size, the guard at its end among it. Only what is touched takes memory.
const (
	stackBytes = 128 << 20
	guardBytes = 16 << 20 // more than any frame
)

// What the handler reads. They are set before it is installed, and then stay.
var (
	textBegin, textEnd      uintptr //nolint:gochecknoglobals,unused // a signal handler has no other way to know, and it is in assembly
	segvHandler, busHandler uintptr //nolint:gochecknoglobals // as above
)

// arena hands out the address space for text.
type arena struct {
	mu    sync.Mutex // guards free
	bytes []byte
	free  []span // in order
}

type span struct{ begin, end int }

// text is this process's, made at its first use: a handler is installed once.
var text = sync.OnceValues(newArena) //nolint:gochecknoglobals // there is one handler in a process

func newArena() (*arena, error) {
	bytes, err := unix.Mmap(-1, 0, textBytes, unix.PROT_NONE, unix.MAP_PRIVATE|unix.MAP_ANON|unix.MAP_NORESERVE)
	if err != nil {
		return nil, fmt.Errorf("reserve addresses for code: %w", err)
	}
	textBegin = uintptr(unsafe.Pointer(&bytes[0]))
	textEnd = uintptr(unsafe.Pointer(&bytes[textBytes-1])) + 1
	for signal, old := range map[unix.Signal]*uintptr{unix.SIGSEGV: &segvHandler, unix.SIGBUS: &busHandler} {
		if err := install(signal, old); err != nil {
			return nil, err
		}
	}
	return &arena{bytes: bytes, free: []span{{0, textBytes}}}, nil
}

// sigaction is the kernel's.
type sigaction struct {
	handler, flags, restorer uintptr
	mask                     uint64
}

// install puts the handler in the place of Go's, which is kept in old: with its flags, so that it runs on the stack for signals.
func install(signal unix.Signal, old *uintptr) error {
	const flagRestorer, flagOnStack, maskBytes = 0x04000000, 0x08000000, 8
	_, _, faulted, restore := addresses()
	var action sigaction
	if _, _, e := unix.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(signal), 0, uintptr(unsafe.Pointer(&action)), maskBytes, 0, 0); e != 0 {
		return fmt.Errorf("signal handler: %w", e)
	}
	if action.handler <= 1 || action.flags&flagOnStack == 0 {
		return fmt.Errorf("signal handler: Go has none for signal %d", signal)
	}
	*old = action.handler
	action.handler, action.restorer = faulted, restore
	action.flags |= flagRestorer
	if _, _, e := unix.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(signal), uintptr(unsafe.Pointer(&action)), 0, maskBytes, 0, 0); e != 0 {
		return fmt.Errorf("signal handler: %w", e)
	}
	return nil
}

// take returns n bytes of address space, in whole pages; nil if there are not so many.
func (a *arena) take(n int) []byte {
	a.mu.Lock()
	defer a.mu.Unlock()
	for i := range a.free {
		if s := &a.free[i]; s.end-s.begin >= n {
			s.begin += n
			return a.bytes[s.begin-n : s.begin : s.begin]
		}
	}
	return nil
}

// give returns what take has given: nothing is mapped there any more.
func (a *arena) give(b []byte) error {
	address := unsafe.Pointer(&b[0])
	if _, err := unix.MmapPtr(-1, 0, address, uintptr(len(b)), unix.PROT_NONE, unix.MAP_PRIVATE|unix.MAP_ANON|unix.MAP_NORESERVE|unix.MAP_FIXED); err != nil {
		return fmt.Errorf("release code: %w", err)
	}
	begin := int(uintptr(address) - textBegin)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.free = append(a.free, span{begin, begin + len(b)}) // not joined: modules come and go with apps, and the space is large
	return nil
}
