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

// CheckPath returns an error if a data directory is a file. That it is not there is no error.
func CheckPath(dir string) error {
	if st, err := os.Stat(dir); err == nil && !st.IsDir() {
		return fmt.Errorf("data directory %s is a file; choose another --data-dir", dir)
	}
	return nil
}

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

// ErrGone is returned when a locked directory is not where it was.
var ErrGone = errors.New("data directory was removed or replaced")

// There returns ErrGone when dir is surely not the directory any more that lock was taken in: it, or what it held, was removed or
// replaced, and what is written to open files of it is lost with them. Anything else that goes wrong proves nothing and is nil.
// It blocks as long as the disk does.
func There(dir string, lock *os.File) error {
	mine, err := lock.Stat()
	if err != nil {
		return nil //nolint:nilerr // of a lock that was given back, for instance
	}
	now, err := os.Stat(filepath.Join(dir, "lock"))
	if errors.Is(err, os.ErrNotExist) || err == nil && !os.SameFile(mine, now) {
		return fmt.Errorf("%w: %s", ErrGone, dir)
	}
	return nil
}

func lockOwner(f *os.File) string {
	b, err := io.ReadAll(io.LimitReader(f, 32))
	if pid := strings.TrimSpace(string(b)); err == nil && pid != "" {
		return pid
	}
	return "unknown"
}
