package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/godwit-run/godwit/internal/dirlock"
)

// What only one of the two keeps in its data directory. Each removes what it thinks is its own cache there: they must not share one.
var (
	ofServers = []string{"raft", "meta.json"} //nolint:gochecknoglobals // immutable
	ofWorkers = []string{"node_id", "secret"} //nolint:gochecknoglobals // immutable
)

// checkDataOf returns an error if a data directory is a file, or belongs to a process of another role, which keeps others. It changes
// nothing.
func checkDataOf(dir, role string, others []string) error {
	if err := dirlock.CheckPath(dir); err != nil {
		return err
	}
	for _, name := range others {
		switch _, err := os.Lstat(filepath.Join(dir, name)); {
		case err == nil:
			return fmt.Errorf("data directory %s is a %s's (it holds %s): give each process a --data-dir of its own", dir, role, name)
		case !errors.Is(err, fs.ErrNotExist):
			return fmt.Errorf("data directory %s: %w", dir, err)
		}
	}
	return nil
}
