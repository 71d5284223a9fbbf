//go:build linux && amd64

package native

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// ErrStopped is returned for a call of a guest that Stop has ended.
var ErrStopped = errors.New("the guest was stopped")

// Stop ends the call of the guest that has an instance in space, wherever it is in its code. It may be called from any goroutine, as long as space is mapped. A guest
// that is in the host at this moment, or on its way, goes on: whoever wants it to end calls Stop again until it has. A thread that gets the signal elsewhere than
// in that guest's text ignores it.
func Stop(space []byte) error {
	atomic.StoreUint64(&(*instance)(unsafe.Pointer(&space[0])).stop, 1)
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return fmt.Errorf("stop a guest: %w", err)
	}
	for _, t := range threads {
		if id, err := strconv.Atoi(t.Name()); err == nil {
			_ = unix.Tgkill(unix.Getpid(), id, unix.SIGBUS) // it may have ended
		}
	}
	return nil
}
