package native

import (
	"errors"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// workPrefix begins the names of the directories in which compilers work.
const workPrefix = "godwit-native-"

// workDir makes a directory for a compiler within one, and removes those there whose processes are gone. done removes it. Within "" is os.TempDir, where others' are left alone.
func workDir(within string) (dir string, done func(), err error) {
	if within == "" {
		dir, err = os.MkdirTemp("", workPrefix)
		return dir, func() { _ = os.RemoveAll(dir) }, err
	}
	if within, err = filepath.Abs(within); err != nil { // the compiler has another current directory
		return "", nil, err
	}
	if err := os.MkdirAll(within, 0o700); err != nil {
		return "", nil, err
	}
	all, err := locked(within, unix.LOCK_EX) // nobody is between making one and locking it
	if err != nil {
		return "", nil, err
	}
	defer all.Close() //nolint:errcheck // with its lock
	old, _ := filepath.Glob(filepath.Join(within, workPrefix+"*"))
	for _, path := range old {
		if f, err := locked(path, unix.LOCK_EX|unix.LOCK_NB); err == nil { // nobody works there
			_ = os.RemoveAll(path) // the next one tries again
			_ = f.Close()
		}
	}
	if dir, err = os.MkdirTemp(within, workPrefix); err != nil {
		return "", nil, err
	}
	own, err := locked(dir, unix.LOCK_EX)
	if err != nil {
		return "", nil, errors.Join(err, os.Remove(dir))
	}
	return dir, func() {
		_ = os.RemoveAll(dir) // the next one tries again
		_ = own.Close()
	}, nil
}

// locked is a directory with a lock, which ends with the process.
func locked(dir string, how int) (*os.File, error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), how); err != nil {
		return nil, errors.Join(&os.PathError{Op: "lock", Path: dir, Err: err}, f.Close())
	}
	return f, nil
}
