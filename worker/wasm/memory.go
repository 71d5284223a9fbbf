package wasm

import (
	"encoding/binary"
	"fmt"
	"sync/atomic"

	"github.com/tetratelabs/wazero/experimental"
	"golang.org/x/sys/unix"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/worker/native"
)

// pageSize is WebAssembly's, in bytes.
const pageSize = 64 << 10

// Memory is a guest's linear memory. Its whole possible size is reserved in the address space at once, so
// its base never moves; only what the guest has grown to, or its saved stack has taken (unwinder.go), is accessible, and only what has been touched
// takes memory of the machine.
type Memory struct {
	shared   atomic.Bool   // some of it is, or was, other guests' too
	span     []byte        // for the native engine: what is reserved around the memory, native.Span bytes; else nil
	reserved []byte        // inaccessible beyond open
	size     atomic.Uint64 // bytes that the guest has; with its saved stack, as long as that is behind them
	whole    atomic.Uint64 // bytes that images have, and the budget counts: size, or more after a deep stack was saved; only grows
	lent     uint64        // bytes of the budget beyond whole, for a stack that is being saved
	open     uint64        // bytes that are accessible: whole, or more; of a guest in the native engine size, or as long as its stack is behind that, more
	resize   uint64        // set by wazeroInstance.SetBytes: what Reallocate returns whatever it is asked for
	refused  atomic.Uint64 // the bytes that it was last to grow to, and may not; 0: it was refused nothing
	budget   *budget
}

var _ experimental.LinearMemory = (*Memory)(nil)

// newMemory reserves room for limit bytes, none of them accessible yet. A wide one has around it what the native engine needs, if there are so many addresses.
func newMemory(limit uint64, b *budget, wide bool) (*Memory, error) {
	m := &Memory{budget: b}
	if wide {
		if span, err := reserve(native.Span); err == nil {
			m.span = span
			m.reserved = span[native.MemoryAt : native.MemoryAt+limit : native.MemoryAt+limit]
			return m, nil
		}
	}
	if limit == 0 {
		return m, nil
	}
	reserved, err := reserve(limit)
	if err != nil {
		return nil, fmt.Errorf("reserve %d MiB of addresses for guest memory: %w%s", limit>>20, err, addressLimit())
	}
	m.reserved = reserved
	return m, nil
}

func reserve(n uint64) ([]byte, error) {
	return unix.Mmap(-1, 0, int(n), unix.PROT_NONE, unix.MAP_PRIVATE|unix.MAP_ANON|unix.MAP_NORESERVE) //nolint:wrapcheck // the caller does
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

// Bytes returns the guest's memory as it is now. The slice stays valid, at the same address, until the
// guest is closed; a later call may return a longer one. It may be called from any goroutine.
func (m *Memory) Bytes() []byte {
	n := m.size.Load()
	return m.reserved[:n:n]
}

// read is n bytes of what the guest has, at an address; false: it has none there.
func (m *Memory) read(at, n uint32) ([]byte, bool) { return m.read64(uint64(at), uint64(n)) }

func (m *Memory) read64(at, n uint64) ([]byte, bool) {
	if memory := m.Bytes(); at <= uint64(len(memory)) && n <= uint64(len(memory))-at {
		return memory[at : at+n : at+n], true
	}
	return nil, false
}

func (m *Memory) write32(at, v uint32) bool {
	out, ok := m.read(at, 4)
	if ok {
		binary.LittleEndian.PutUint32(out, v)
	}
	return ok
}

func (m *Memory) write64(at uint32, v uint64) bool {
	out, ok := m.read(at, 8)
	if ok {
		binary.LittleEndian.PutUint64(out, v)
	}
	return ok
}

func (m *Memory) writeString(at uint32, s string) bool {
	out, ok := m.read(at, uint32(len(s)))
	copy(out, s)
	return ok
}

// Image returns what images have of the memory: Bytes, and the room of a deep stack that was saved behind them, of zeros when the guest has gone on. It is as Bytes, and never gets shorter.
func (m *Memory) Image() []byte {
	n := m.whole.Load()
	return m.reserved[:n:n]
}

// Mapping is all that the memory may grow to: one private, anonymous mapping, of which Image is the first part and the rest not accessible, or of no meaning. It ends with the guest's Close.
func (m *Memory) Mapping() []byte { return m.reserved }

// Reallocate makes size bytes accessible and returns them, or nil if the machine or the budget refuses. wazero calls it
// at start and for memory.grow.
func (m *Memory) Reallocate(size uint64) []byte {
	if n := m.resize; n > 0 {
		return m.reserved[:n:n]
	}
	if size > uint64(len(m.reserved)) {
		m.refused.Store(size)
		return nil
	}
	whole := m.whole.Load()
	more := size - min(size, whole)
	if !m.budget.take(more) {
		m.refused.Store(size)
		return nil
	}
	if m.unlock(size) != nil {
		m.budget.give(more)
		return nil
	}
	m.whole.Store(whole + more)
	if size > m.size.Load() {
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

// AtLimit says whether what the memory was last refused is more than it may ever have.
func (m *Memory) AtLimit() bool { return m.refused.Load() > uint64(len(m.reserved)) }

// unlock makes the first size bytes accessible.
func (m *Memory) unlock(size uint64) error {
	if size <= m.open {
		return nil
	}
	if err := unix.Mprotect(m.reserved[m.open:size], unix.PROT_READ|unix.PROT_WRITE); err != nil {
		return fmt.Errorf("make guest memory accessible: %w", err)
	}
	m.open = size
	return nil
}

// lock makes what is behind the first size bytes inaccessible to the guest. Images may read what they have of it, which is zero.
func (m *Memory) lock(size uint64) error {
	if size >= m.open {
		return nil
	}
	image := min(max(size, m.whole.Load()), m.open)
	for _, part := range []struct {
		bytes []byte
		flags int
	}{{m.reserved[size:image], unix.PROT_READ}, {m.reserved[image:m.open], unix.PROT_NONE}} {
		if len(part.bytes) == 0 {
			continue
		}
		if err := unix.Mprotect(part.bytes, part.flags); err != nil {
			return fmt.Errorf("make guest memory inaccessible: %w", err)
		}
	}
	m.open = size
	return nil
}

// setSize has the engine see a memory of n bytes, which are accessible.
func (m *Memory) setSize(i instance, n uint64) error {
	if err := i.SetBytes(n); err != nil {
		return err
	}
	m.size.Store(n)
	return nil
}

func errResize(n uint64) error {
	return fmt.Errorf("guest memory cannot be made %d bytes long", n)
}

// lend takes what the budget has for a stack that is to be saved behind whole, up to n bytes, until repay, and returns how much that is. It may wait for other guests that save theirs.
func (m *Memory) lend(n uint64) uint64 {
	m.lent = m.budget.lend(n)
	return m.lent
}

// keep counts the first n bytes as the guest's, of those that were lent: they are in images from now on.
func (m *Memory) keep(n uint64) {
	if whole := m.whole.Load(); n > whole {
		m.lent -= n - whole
		m.budget.keep(n - whole)
		m.whole.Store(n)
	}
}

// repay gives back what is left of what was lent.
func (m *Memory) repay() {
	m.budget.repay(m.lent)
	m.lent = 0
}

// Free does nothing: wazero calls it when the guest exits, and then other ranks may still be copying from
// this memory. The guest's Close releases it.
func (m *Memory) Free() {}

// zero makes all bytes zero again, and gives their memory back to the machine.
func (m *Memory) zero() error {
	bytes := m.Image()
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
	m.repay()
	if m.span != nil {
		reserved = m.span
	}
	m.budget.give(m.whole.Swap(0))
	m.size.Store(0)
	m.reserved, m.span = nil, nil
	if err := unix.Munmap(reserved); err != nil {
		return fmt.Errorf("release guest memory: %w", err)
	}
	return nil
}
