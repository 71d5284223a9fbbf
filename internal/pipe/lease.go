package pipe

import (
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// ExitLeaseOver is the exit code of an executor that has ended itself because its host's lease was over.
const ExitLeaseOver = 76

// leaseBytes is the size of a Lease's file; of its one page one word is used.
const leaseBytes = 4096

// SinceBoot is a time since the machine's start. Unlike Go's clock it goes on while the machine is suspended, and it is the
// same in all processes of a machine.
func SinceBoot() time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &t); err != nil {
		panic(err) // Linux has had this clock since 2.6.39
	}
	return time.Duration(t.Nano())
}

// Lease says until when a host's ranks may run: a word in memory that the worker writes and its executors read, so that a
// renewal costs the same however many they are, waits behind nothing, and needs no call of the kernel on either side.
type Lease struct {
	file  *os.File
	until *atomic.Int64 // by SinceBoot; 0: no lease was ever granted
}

// NewLease makes a word that no lease was granted in yet.
func NewLease() (*Lease, error) {
	fd, err := unix.MemfdCreate("godwit-lease", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return nil, fmt.Errorf("pipe: lease: %w", err)
	}
	f := os.NewFile(uintptr(fd), "lease")
	if err := f.Truncate(leaseBytes); err != nil {
		return nil, fmt.Errorf("pipe: lease: %w", errClose(err, f))
	}
	l, err := mapLease(f, unix.PROT_READ|unix.PROT_WRITE)
	if err != nil {
		return nil, err
	}
	// No file that is shorter than what is mapped of it; and, where the kernel can, none but us writes.
	seals := unix.F_SEAL_SHRINK | unix.F_SEAL_GROW
	if _, err := unix.FcntlInt(f.Fd(), unix.F_ADD_SEALS, seals|unix.F_SEAL_FUTURE_WRITE); err == nil {
		return l, nil
	}
	if _, err := unix.FcntlInt(f.Fd(), unix.F_ADD_SEALS, seals); err != nil {
		return nil, fmt.Errorf("pipe: lease: %w", errClose(err, f))
	}
	return l, nil
}

// leaseOf is the word that a worker has passed as a file descriptor. Once it is mapped the descriptor is not needed.
func leaseOf(fd int) (*Lease, error) {
	f := os.NewFile(uintptr(fd), "lease")
	if f == nil {
		return nil, fmt.Errorf("pipe: lease: %w", os.ErrInvalid)
	}
	unix.CloseOnExec(fd)
	if s, err := f.Stat(); err != nil || s.Size() != leaseBytes {
		return nil, errClose(errors.New("pipe: what came is not a worker's lease"), f)
	}
	l, err := mapLease(f, unix.PROT_READ)
	if err != nil {
		return nil, err
	}
	return l, f.Close()
}

// mapLease maps f, which it closes when it fails. The mapping lasts as long as the process: a worker has one, an executor one for each process that its worker was.
func mapLease(f *os.File, prot int) (*Lease, error) {
	mem, err := unix.Mmap(int(f.Fd()), 0, leaseBytes, prot, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("pipe: lease: %w", errClose(err, f))
	}
	return &Lease{file: f, until: (*atomic.Int64)(unsafe.Pointer(&mem[0]))}, nil //nolint:gosec // a page is aligned, and stays mapped
}

// Set makes the lease last until then, by SinceBoot.
func (l *Lease) Set(until time.Duration) { l.until.Store(int64(until)) }

// Until is when the lease ends, by SinceBoot; 0: none was ever granted.
func (l *Lease) Until() time.Duration { return time.Duration(l.until.Load()) }
