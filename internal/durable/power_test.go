package durable

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/godwit-run/godwit/internal/synctrace"
)

// TestWriteFileSurvivesAPowerCut: new files, and ones that take the place of others.
func TestWriteFileSurvivesAPowerCut(t *testing.T) {
	old := func(dir string) error { return os.WriteFile(filepath.Join(dir, "old"), []byte("1"), 0o600) }
	require.Empty(t, synctrace.Lost(t, old, func(dir string) error {
		if err := WriteFile(filepath.Join(dir, "old"), []byte("2"), 0o600); err != nil {
			return err
		}
		return WriteFile(filepath.Join(dir, "new"), []byte("1"), 0o600)
	}))
}

// TestRenameSurvivesAPowerCut: also from one directory to another.
func TestRenameSurvivesAPowerCut(t *testing.T) {
	prepare := func(dir string) error {
		if err := os.Mkdir(filepath.Join(dir, "a"), 0o700); err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(dir, "a", "x"), []byte("1"), 0o600)
	}
	require.Empty(t, synctrace.Lost(t, prepare, func(dir string) error {
		if err := Rename(filepath.Join(dir, "a", "x"), filepath.Join(dir, "a", "y")); err != nil {
			return err
		}
		return Rename(filepath.Join(dir, "a", "y"), filepath.Join(dir, "z"))
	}))
}

// TestDirectoriesSurviveAPowerCut: all that were missing.
func TestDirectoriesSurviveAPowerCut(t *testing.T) {
	require.Empty(t, synctrace.Lost(t, nil, func(dir string) error {
		if err := MkdirAll(filepath.Join(dir, "a", "b", "c"), 0o700); err != nil {
			return err
		}
		return MkdirAll(filepath.Join(dir, "a", "b", "c"), 0o700)
	}))
}
