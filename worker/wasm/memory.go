package wasm

import (
	"fmt"
	"sync/atomic"

	"github.com/tetratelabs/wazero/experimental"
	"golang.org/x/sys/unix"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

// pageSize is WebAssembly's, in bytes.
const pageSize = 64 << 10

// Memory is a guest's linear memory. Its whole possible size is reserved in the address space at once, so
// its base never moves; only what the guest has grown to is accessible, and only what it has touched
// takes memory of the machine.
type Memory struct {
	reserved []byte        // inaccessible beyond size
	size     atomic.Uint64 // bytes; only grows
	refused  atomic.Uint64 // the bytes that it was last to grow to, and may not; 0: it was refused nothing
	budget   *budget
}

// budget is how much memory guests may have grown to together.
type budget struct {
	limit uint64 // bytes; 0: no limit
	taken atomic.Uint64
}

// take takes n bytes, or none if there are not so many.
func (b *budget) take(n uint64) bool {
	for {
		taken := b.taken.Load()
		if b.limit > 0 && n > b.limit-min(b.limit, taken) {
			return false
		}
		if b.taken.CompareAndSwap(taken, taken+n) {
			return true
		}
	}
}

func (b *budget) give(n uint64) { b.taken.Add(-n) }

var _ experimental.LinearMemory = (*Memory)(nil)

// newMemory reserves room for limit bytes, none of them accessible yet.
func newMemory(limit uint64, b *budget) (*Memory, error) {
	m := &Memory{budget: b}
	if limit == 0 {
		return m, nil
	}
	reserved, err := unix.Mmap(-1, 0, int(limit), unix.PROT_NONE,
		unix.MAP_PRIVATE|unix.MAP_ANON|unix.MAP_NORESERVE)
	if err != nil {
		return nil, fmt.Errorf("reserve %d MiB of addresses for guest memory: %w%s", limit>>20, err, addressLimit())
	}
	m.reserved = reserved
	return m, nil
}

// addressLimit says what bounds this process's addresses, if anything does but the machine.
func addressLimit() string {
	var l unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_AS, &l); err != nil || l.Cur == unix.RLIM_INFINITY {
		return ""
	}
	return fmt.Sprintf(" (this process may have %d MiB of addresses, by RLIMIT_AS: ulimit -v, or the batch system's limit of virtual memory; "+
		"addresses take no memory, so it can be unlimited)", l.Cur>>20)
}

// Bytes returns the whole memory as it is now. The slice stays valid, at the same address, until the
// guest is closed; a later call may return a longer one. It may be called from any goroutine.
func (m *Memory) Bytes() []byte {
	n := m.size.Load()
	return m.reserved[:n:n]
}

// Mapping is all that the memory may grow to: one private, anonymous mapping, of which Bytes is the first part and the rest not accessible. It ends with the guest's Close.
func (m *Memory) Mapping() []byte { return m.reserved }

// Reallocate makes size bytes accessible and returns them, or nil if the machine or the budget refuses. wazero calls it
// at start and for memory.grow.
func (m *Memory) Reallocate(size uint64) []byte {
	have := m.size.Load()
	if size > uint64(len(m.reserved)) {
		m.refused.Store(size)
		return nil
	}
	if size > have {
		if !m.budget.take(size - have) {
			m.refused.Store(size)
			return nil
		}
		if err := unix.Mprotect(m.reserved[have:size], unix.PROT_READ|unix.PROT_WRITE); err != nil {
			m.budget.give(size - have)
			return nil
		}
		m.size.Store(size)
	}
	return m.reserved[:size:size]
}

// Refused says what the memory was last to grow to, and why it may not, for people; empty: it was refused nothing.
func (m *Memory) Refused() string {
	switch size := m.refused.Load(); {
	case size == 0:
		return ""
	case size > uint64(len(m.reserved)):
		return fmt.Sprintf("its memory was to grow to %s, and may be %s", apiv1.Bytes(int64(size)), apiv1.Bytes(int64(len(m.reserved)))) //nolint:gosec // at most 4 GiB and a page
	default:
		return fmt.Sprintf("its memory was to grow to %s, and all ranks of the app on this host may have %s", apiv1.Bytes(int64(size)), apiv1.Bytes(int64(m.budget.limit))) //nolint:gosec // as above
	}
}

// Free does nothing: wazero calls it when the guest exits, and then other ranks may still be copying from
// this memory. The guest's Close releases it.
func (m *Memory) Free() {}

// zero makes all bytes zero again, and gives their memory back to the machine.
func (m *Memory) zero() error {
	bytes := m.Bytes()
	if len(bytes) == 0 {
		return nil
	}
	if err := unix.Madvise(bytes, unix.MADV_DONTNEED); err != nil {
		return fmt.Errorf("clear guest memory: %w", err)
	}
	return nil
}

// release unmaps the memory. No slice from Bytes may be used any more.
func (m *Memory) release() error {
	if m.reserved == nil {
		return nil
	}
	reserved := m.reserved
	m.budget.give(m.size.Swap(0))
	m.reserved = nil
	if err := unix.Munmap(reserved); err != nil {
		return fmt.Errorf("release guest memory: %w", err)
	}
	return nil
}
