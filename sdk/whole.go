package sdk

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// checkWhole refuses what wasm-opt has written in part: it does not look whether it could. Such a file does not stay, so that no later make takes it.
func checkWhole(target string) error {
	if !isFile(target) {
		return nil
	}
	module, err := os.ReadFile(target)
	if err != nil {
		return fmt.Errorf("output: %w", err)
	}
	if isWhole(module) {
		return nil
	}
	why := "it was written in part"
	var fs unix.Statfs_t
	if unix.Statfs(filepath.Dir(target), &fs) == nil && fs.Bavail*uint64(fs.Bsize) < 1<<20 {
		why += ": no space left on device"
	}
	return errors.Join(fmt.Errorf("output %s: %s", target, why), removeOutput(target))
}

// removeOutput removes a file that a link has not finished, if there is one.
func removeOutput(target string) error {
	if !isFile(target) {
		return nil
	}
	if err := os.Remove(target); err != nil {
		return fmt.Errorf("output: %w", err)
	}
	return nil
}

// Ids of sections that say of another that there is one.
const (
	dataSection      = 11
	dataCountSection = 12
)

// isWhole says whether a module ends where a section does, and has all that its sections speak of.
func isWhole(module []byte) bool {
	rest, ok := bytes.CutPrefix(module, []byte(wasmMagic))
	if !ok {
		return false
	}
	var has [256]bool
	r := &reader{b: rest}
	for len(r.b) > 0 && !r.bad {
		has[r.byte()] = true
		r.bytes(r.uint())
	}
	return !r.bad && has[codeSection] && has[functionSection] && (has[dataSection] || !has[dataCountSection])
}
