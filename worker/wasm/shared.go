package wasm

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/godwit-run/godwit/mpi"
)

var _ mpi.SharedMemory = (*Memory)(nil)

// segment is memory of the machine that guests of this process can share: a file without a name.
type segment struct {
	fd   int
	size int64
}

// Close implements mpi.Segment: the pages live on where they are mapped.
func (s *segment) Close() error {
	if err := unix.Close(s.fd); err != nil {
		return fmt.Errorf("shared memory: %w", err)
	}
	return nil
}

// NewSegment implements mpi.SharedMemory.
func (m *Memory) NewSegment(n int64) (mpi.Segment, error) {
	fd, err := unix.MemfdCreate("godwit-window", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("shared memory: %w", err)
	}
	if err := unix.Ftruncate(fd, n); err != nil {
		_ = unix.Close(fd) // nothing was stored in it
		return nil, fmt.Errorf("shared memory of %d bytes: %w", n, err)
	}
	return &segment{fd, n}, nil
}

// Map implements mpi.SharedMemory.
func (m *Memory) Map(addr uint32, s mpi.Segment) error {
	seg, ok := s.(*segment)
	if !ok {
		return fmt.Errorf("shared memory: %T is not a segment of guests", s)
	}
	m.shared.Store(true)
	return m.replace(addr, seg.size, unix.MAP_SHARED, seg.fd)
}

// Unmap implements mpi.SharedMemory.
func (m *Memory) Unmap(addr uint32, n int64) error {
	return m.replace(addr, n, unix.MAP_PRIVATE|unix.MAP_ANON|unix.MAP_NORESERVE, -1)
}

// replace puts other pages in the place of some of the guest's.
func (m *Memory) replace(addr uint32, n int64, flags, fd int) error {
	if addr%mpi.SharedAlign != 0 || n <= 0 || uint64(addr)+uint64(n) > m.size.Load() {
		return fmt.Errorf("shared memory: %d bytes at %#x do not fit the guest's memory", n, addr)
	}
	at := unsafe.Pointer(&m.reserved[addr])
	if _, err := unix.MmapPtr(fd, 0, at, uintptr(n), unix.PROT_READ|unix.PROT_WRITE, flags|unix.MAP_FIXED); err != nil {
		return fmt.Errorf("map %d bytes of shared memory: %w", n, err)
	}
	return nil
}
