package wasm

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
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
