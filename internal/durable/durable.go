// Package durable puts small files, and directories, on the disk in one step that survives the loss of power.
package durable

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// WriteFile gives path the content data: a reader finds the old file or the new one, whole, and once WriteFile has returned nil
// the new one, also after a power cut. It waits for the disk. Two writers of one path must not run at once: both use path.new.
// A failure leaves the old file, if there was one, or, where only the directory could not be written, the new one, which a power
// cut may take back; and no other.
func WriteFile(path string, data []byte, perm os.FileMode) error {
	staged := path + ".new"
	if err := writeSynced(staged, data, perm); err != nil {
		_ = os.Remove(staged) // the first error says more
		return err
	}
	if err := Rename(staged, path); err != nil {
		_ = os.Remove(staged)
		return err
	}
	return nil
}

// Rename renames a file or a directory whose content is on the disk already, and returns when its new name is there too. Both
// names must be of one directory or of two on one file system, of which then the new one's is written first.
func Rename(from, to string) error {
	if err := os.Rename(from, to); err != nil {
		return err
	}
	dir, old := filepath.Dir(to), filepath.Dir(from)
	if err := SyncDir(dir); err != nil || dir == old {
		return err
	}
	return SyncDir(old)
}

// SyncDir returns when the names in a directory are on the disk.
func SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	if err := errors.Join(d.Sync(), d.Close()); err != nil {
		return fmt.Errorf("write directory %s: %w", dir, err)
	}
	return nil
}

// MkdirAll makes a directory and those above it that are missing, as os.MkdirAll does, and returns when their names are on the disk: what
// is put into a directory is lost with its name. A directory above, whose names this process may not read, is not waited for.
func MkdirAll(path string, perm os.FileMode) error {
	parents := []string{filepath.Dir(path)} // also where path is there: an earlier process may not have come so far
	for dir := parents[0]; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(dir); err == nil || filepath.Dir(dir) == dir {
			break
		}
		parents = append(parents, filepath.Dir(dir))
	}
	if err := os.MkdirAll(path, perm); err != nil {
		return err
	}
	for _, dir := range parents {
		if err := SyncDir(dir); err != nil && !errors.Is(err, os.ErrPermission) {
			return err
		}
	}
	return nil
}

func writeSynced(path string, data []byte, perm os.FileMode) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, perm)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	return errors.Join(err, f.Sync(), f.Close())
}
