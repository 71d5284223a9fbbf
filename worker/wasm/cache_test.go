package wasm

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// A damaged entry of the compilation cache costs a compilation, not the app.
func TestDamagedCache(t *testing.T) {
	dir := t.TempDir()
	module := read(t, "nompi")
	for _, tt := range []struct {
		name   string
		damage func(content []byte) []byte
	}{
		{"intact", func(content []byte) []byte { return content }},
		{"empty", func([]byte) []byte { return nil }},
		{"cut short", func(content []byte) []byte { return content[:len(content)/2] }},
		{"bad header", func(content []byte) []byte { content[1] ^= 0x55; return content }},
		{"bad code", func(content []byte) []byte { content[len(content)/2] ^= 0x55; return content }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			runWithCache(t, dir, module)
			require.NoError(t, filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
				if err != nil || entry.IsDir() {
					return err
				}
				content, err := os.ReadFile(path)
				require.NoError(t, err)
				return os.WriteFile(path, tt.damage(content), 0o600)
			}))
			runWithCache(t, dir, module)
		})
	}
}

// runWithCache compiles and runs a module in an engine of its own.
func runWithCache(t *testing.T, dir string, code []byte) {
	t.Helper()
	ctx := context.Background()
	engine, err := NewEngine(ctx, Config{CacheDir: dir})
	require.NoError(t, err)
	module, err := engine.Compile(ctx, code)
	require.NoError(t, err)
	guest, err := module.New(ctx, GuestConfig{Args: []string{"nompi", "4"}})
	require.NoError(t, err)
	require.Equal(t, Exit{Code: 4}, guest.Run(ctx))
	require.NoError(t, guest.Close(ctx))
	require.NoError(t, engine.Close(ctx))
}

// A cache that cannot be made, or that the disk has no room for, costs a compilation, not the app.
func TestCacheThatCannotBeWritten(t *testing.T) {
	module := read(t, "nompi")
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	runWithCache(t, file, module)
	runWithCache(t, filepath.Join(file, "cache"), module)

	disk := t.TempDir()
	if err := syscall.Mount("godwit-test", disk, "tmpfs", 0, "size=16k"); err != nil {
		t.Skipf("needs the right to mount: %v", err)
	}
	t.Cleanup(func() { require.NoError(t, syscall.Unmount(disk, syscall.MNT_DETACH)) })
	for range 2 {
		runWithCache(t, filepath.Join(disk, "cache"), module)
	}
	_, err := newEngine(t, Config{}).Compile(context.Background(), module[:len(module)/2])
	require.ErrorIs(t, err, ErrModule)
}
