package proc

import (
	"fmt"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Deadline has the kernel kill this process unless that is put off in time: also where the process cannot, since somebody has stopped it. It is a timer of the kernel's, whose signal is SIGKILL.
type Deadline struct{ timer int32 }

// sigevent is struct sigevent of the kernel.
type sigevent struct {
	value  uintptr
	signal int32
	notify int32 // 0: by a signal to the process
	_      [48]byte
}

// NewDeadline makes one that is not set. Who makes it calls Close.
func NewDeadline() (*Deadline, error) {
	d := &Deadline{}
	ev := sigevent{signal: int32(syscall.SIGKILL)}
	_, _, errno := unix.Syscall(unix.SYS_TIMER_CREATE, unix.CLOCK_BOOTTIME, uintptr(unsafe.Pointer(&ev)), uintptr(unsafe.Pointer(&d.timer))) //nolint:gosec // a call of the kernel
	if errno != 0 {
		return nil, fmt.Errorf("make a timer: %w", errno)
	}
	return d, nil
}

// Set puts the deadline off until so long from now, by a clock that goes on while the machine is suspended; 0: for ever.
func (d *Deadline) Set(in time.Duration) error {
	spec := [2]unix.Timespec{1: unix.NsecToTimespec(int64(in))}                                                        // struct itimerspec: it does not come again
	_, _, errno := unix.Syscall6(unix.SYS_TIMER_SETTIME, uintptr(d.timer), 0, uintptr(unsafe.Pointer(&spec)), 0, 0, 0) //nolint:gosec // a call of the kernel
	if errno != 0 {
		return fmt.Errorf("set a timer: %w", errno)
	}
	return nil
}

// Close takes the deadline away.
func (d *Deadline) Close() error {
	if _, _, errno := unix.Syscall(unix.SYS_TIMER_DELETE, uintptr(d.timer), 0, 0); errno != 0 {
		return fmt.Errorf("remove a timer: %w", errno)
	}
	return nil
}
