package wasm

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// damagedCache is in the engine's errors about an entry of the compilation cache that it cannot use. It
// would give the same error for ever: it neither removes nor replaces the entry.
const damagedCache = "compilationcache:"

// dropCache removes all entries of a compilation cache, but not their directories. Other processes may be
// using it: they have read what they run, and compile again what they miss.
func dropCache(dir string) error {
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remove entry: %w", err)
		}
		return nil
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("drop damaged compilation cache: %w", err)
	}
	return nil
}
