package sdk

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

//go:embed include all:lib share
var embedded embed.FS

// clangTools is the directory of the programs that clang looks for by itself.
const clangTools = "lib/clang"

// Files returns the headers (include/), the glue (lib/) and the files for build systems (lib/pkgconfig, share), read-only.
func Files() fs.FS { return embedded }

// unpack puts Files below base, in a directory named by their content, and returns that directory. One that holds anything else, as
// after a power cut or a cleaner of old files, is replaced. Processes take turns, each for as long as the files take to write.
func unpack(base string) (string, error) {
	digest, err := digestOf(embedded)
	if err != nil {
		return "", err
	}
	dir := filepath.Join(base, "sdk-"+digest)
	if holds(dir, digest) {
		return dir, nil
	}
	if err := os.MkdirAll(base, 0o755); err != nil {
		return "", fmt.Errorf("sdk directory: %w", err)
	}
	turn, err := os.OpenFile(filepath.Join(base, "sdk.lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return "", fmt.Errorf("sdk directory: %w", err)
	}
	defer turn.Close() //nolint:errcheck // ends the turn
	for err = syscall.EINTR; errors.Is(err, syscall.EINTR); {
		err = syscall.Flock(int(turn.Fd()), syscall.LOCK_EX)
	}
	if err != nil {
		return "", fmt.Errorf("sdk directory: lock: %w", err)
	}
	if holds(dir, digest) { // by the turn before
		return dir, nil
	}
	return dir, replace(base, dir)
}

// replace puts Files in the place of dir, whatever is there.
func replace(base, dir string) error {
	staging, err := os.MkdirTemp(base, "sdk-new-")
	if err != nil {
		return fmt.Errorf("sdk directory: %w", err)
	}
	defer os.RemoveAll(staging) //nolint:errcheck // what is left is harmless
	content := filepath.Join(staging, "sdk")
	if err := os.CopyFS(content, embedded); err != nil {
		return fmt.Errorf("unpack sdk: %w", err)
	}
	if err := executable(content); err != nil {
		return fmt.Errorf("unpack sdk: %w", err)
	}
	if err := os.Rename(dir, filepath.Join(staging, "damaged")); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("replace damaged sdk: %w", err)
	}
	if err := os.Rename(content, dir); err != nil {
		return fmt.Errorf("unpack sdk: %w", err)
	}
	return nil
}

// executable lets the programs among the files below dir run: an embedded file has no such mark.
func executable(dir string) error {
	return os.Chmod(filepath.Join(dir, filepath.FromSlash(clangTools), "wasm-opt"), 0o755) //nolint:gosec // it is run
}

// holds says whether a directory has the files of the digest, whole.
func holds(dir, digest string) bool {
	got, err := digestOf(os.DirFS(dir))
	return err == nil && got == digest
}

// digestOf is a short hash over the names and bytes of all files of fsys.
func digestOf(fsys fs.FS) (string, error) {
	sum := sha256.New()
	err := fs.WalkDir(fsys, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := fs.ReadFile(fsys, name)
		if err != nil {
			return err
		}
		fmt.Fprintf(sum, "%s %d\n", name, len(content))
		sum.Write(content)
		return nil
	})
	if err != nil {
		return "", fmt.Errorf("read sdk: %w", err)
	}
	return hex.EncodeToString(sum.Sum(nil))[:16], nil
}
