package worker

import (
	"fmt"
	"os"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// lockDir takes the data directory for this process, as long as it lives.
func (w *Worker) lockDir() error {
	f, err := os.OpenFile(w.cfg.dir("lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("worker: --data-dir: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		b, _ := os.ReadFile(f.Name()) // only to name the owner
		_ = f.Close()                 // nothing was written
		return fmt.Errorf("worker: data directory %s is in use by process %s: stop it, or choose another --data-dir",
			w.cfg.DataDir, strings.TrimSpace(string(b)))
	}
	if err := f.Truncate(0); err != nil {
		return fmt.Errorf("worker: --data-dir: %w", err)
	}
	if _, err := fmt.Fprintln(f, os.Getpid()); err != nil {
		return fmt.Errorf("worker: --data-dir: %w", err)
	}
	w.lock = f // kept open: the lock ends with it
	return nil
}

func waitStatus(s *os.ProcessState) (syscall.WaitStatus, bool) {
	if s == nil {
		return 0, false
	}
	ws, ok := s.Sys().(syscall.WaitStatus)
	return ws, ok
}
