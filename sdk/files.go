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
)

//go:embed include lib share
var embedded embed.FS

// Files returns the headers (include/), the glue (lib/) and the files for build systems (lib/pkgconfig, share), read-only.
func Files() fs.FS { return embedded }

// unpack puts Files below base, in a directory named by their content, and returns that directory.
// Processes may race: each writes a directory of its own and the first rename wins.
func unpack(base string) (string, error) {
	digest, err := digestOf(embedded)
	if err != nil {
		return "", err
	}
	dir := filepath.Join(base, "sdk-"+digest)
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	if err := os.MkdirAll(base, 0o755); err != nil {
		return "", fmt.Errorf("sdk directory: %w", err)
	}
	staging, err := os.MkdirTemp(base, "sdk-new-")
	if err != nil {
		return "", fmt.Errorf("sdk directory: %w", err)
	}
	defer os.RemoveAll(staging) //nolint:errcheck // what is left is harmless
	content := filepath.Join(staging, "sdk")
	if err := os.CopyFS(content, embedded); err != nil {
		return "", fmt.Errorf("unpack sdk: %w", err)
	}
	err = os.Rename(content, dir)
	if err != nil && !errors.Is(err, fs.ErrExist) {
		if _, statErr := os.Stat(dir); statErr != nil {
			return "", fmt.Errorf("unpack sdk: %w", err)
		}
	}
	return dir, nil
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
