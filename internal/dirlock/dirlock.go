// Package dirlock gives a data directory to one process at a time.
package dirlock

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// ErrHeld is returned when another process has the directory.
var ErrHeld = errors.New("data directory in use")

// lockWait is how long a second process waits for a first one that is just about to end.
const lockWait = time.Second

// Lock takes the lock file of a data directory, which holds the owner's process id. The kernel frees the lock with the
// process, however that ends; closing the returned file frees it too. It blocks for a second at the most; the error is
// then ErrHeld.
func Lock(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("data directory %s is not writable: %w", dir, err)
	}
	give := time.Now().Add(lockWait)
	for {
		err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			break
		}
		if !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR) {
			_ = f.Close()
			return nil, fmt.Errorf("lock data directory %s: %w", dir, err)
		}
		if time.Now().After(give) {
			owner := lockOwner(f)
			_ = f.Close()
			return nil, fmt.Errorf("%w: process %s has %s; stop it, or choose another --data-dir", ErrHeld, owner, dir)
		}
		time.Sleep(lockWait / 20) // flock has no timeout of its own.
	}
	if err = f.Truncate(0); err == nil {
		_, err = f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	}
	if err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("write lock file of data directory %s: %w", dir, err)
	}
	return f, nil
}

func lockOwner(f *os.File) string {
	b, err := io.ReadAll(io.LimitReader(f, 32))
	if pid := strings.TrimSpace(string(b)); err == nil && pid != "" {
		return pid
	}
	return "unknown"
}
