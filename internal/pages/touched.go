package pages

import (
	"encoding/binary"
	"errors"
	"io"
	"os"
	"sync"
	"unsafe"
)

// To look at a page that was never touched makes the kernel map it, which takes longer than all else that is done with it. The kernel is asked
// which have been.

// The kernel's words for a page (Linux, Documentation/admin-guide/mm/pagemap.rst): 8 bytes each.
const (
	pagemapEntry   = 8
	pagemapHeld    = 0xc0 // of the last byte: in memory, or swapped out
	pagemapAtATime = 4096 // entries of one read
)

// ownPages is the kernel's list of this process's pages, open as long as it runs.
var ownPages = sync.OnceValues(func() (*os.File, error) { return os.Open("/proc/self/pagemap") }) //nolint:gochecknoglobals // of the process, as what it lists

// pagemap is the kernel's list of this process's pages; nil where it cannot be trusted.
var pagemap = sync.OnceValue(func() *os.File { //nolint:gochecknoglobals // of the process, as what it lists
	f, err := ownPages()
	if err != nil {
		return nil
	}
	probe := make([]byte, 3*os.Getpagesize())
	for i := range probe {
		probe[i] = 1
	}
	t := touched{from: f}
	t.begin(probe)
	for at := 0; at < len(probe); at += Bytes {
		if !t.page(at) { // it says less than is so
			return nil
		}
	}
	return f
})

// touched tells which pages of a memory may hold something else than zeros. It is asked in ascending order. The memory is the process's own: of one that it
// shares with others the kernel does not say what they have touched. A rank with such a memory has no image.
type touched struct {
	from   *os.File // nil: all of them
	base   uint64   // address of the memory
	size   int      // of a page of the machine
	number uint64   // of the page that the first entry is for
	have   []byte   // entries
	buf    []byte
}

// newTouched asks about a memory, which nobody writes to meanwhile.
func newTouched(memory []byte) *touched {
	t := &touched{from: pagemap()}
	t.begin(memory)
	return t
}

func (t *touched) begin(memory []byte) {
	t.base, t.size = uint64(uintptr(unsafe.Pointer(unsafe.SliceData(memory)))), os.Getpagesize()
}

// page tells about the page of an image that begins at an offset of the memory.
func (t *touched) page(at int) bool {
	if t.from == nil {
		return true
	}
	first := (t.base + uint64(at)) / uint64(t.size)
	last := (t.base + uint64(at) + Bytes - 1) / uint64(t.size)
	for n := first; n <= last; n++ {
		if t.held(n) {
			return true
		}
	}
	return false
}

// held tells about a page of the machine.
func (t *touched) held(number uint64) bool {
	if number < t.number || number >= t.number+uint64(len(t.have))/pagemapEntry {
		if t.buf == nil {
			t.buf = make([]byte, pagemapAtATime*pagemapEntry)
		}
		n, err := t.from.ReadAt(t.buf, int64(number)*pagemapEntry)
		if n < pagemapEntry || err != nil && !errors.Is(err, io.EOF) {
			t.from = nil
			return true
		}
		t.number, t.have = number, t.buf[:n/pagemapEntry*pagemapEntry]
	}
	at := (number - t.number) * pagemapEntry
	return binary.LittleEndian.Uint64(t.have[at:])>>56&pagemapHeld != 0
}
