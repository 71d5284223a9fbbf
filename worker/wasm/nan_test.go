package wasm

import (
	"bytes"
	"context"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestNaNs: with ExactNaNs what is no number has the same bits on every processor, whether an operation has made it or was given it. testdata/nan.txt is what amd64 gives with nothing done.
func TestNaNs(t *testing.T) {
	want, err := os.ReadFile("testdata/nan.txt")
	require.NoError(t, err)
	code := read(t, "nan")
	require.Greater(t, len(withNaNs(code)), len(code))
	dir := t.TempDir()
	exact, own := Config{CacheDir: dir, ExactNaNs: true}, Config{CacheDir: dir}
	require.Equal(t, string(want), printed(t, exact, code))
	require.Equal(t, string(want), printed(t, own, withNaNs(code))) // looks change nothing where they are not needed
	// Of the other form nothing is taken that is kept of this one.
	require.Equal(t, ownNaN, printed(t, own, code) != string(want))
	require.Equal(t, string(want), printed(t, exact, code))
}

// printed is what a program of one rank prints.
func printed(t *testing.T, cfg Config, code []byte) string {
	t.Helper()
	ctx := context.Background()
	engine, err := NewEngine(ctx, cfg)
	require.NoError(t, err)
	module, err := engine.Compile(ctx, code)
	require.NoError(t, err)
	var out bytes.Buffer
	guest, err := module.New(ctx, GuestConfig{Args: []string{"nan"}, Stdout: &out})
	require.NoError(t, err)
	require.Zero(t, guest.Run(ctx))
	require.NoError(t, guest.Close(ctx))
	require.NoError(t, engine.Close(ctx))
	return out.String()
}

// TestNaNsOfDamagedModules: code that cannot be read stays as it is.
func TestNaNsOfDamagedModules(t *testing.T) {
	code, random := read(t, "nan"), seed(t)
	for range 2000 {
		damaged := bytes.Clone(code[:random.IntN(len(code)+1)])
		if len(damaged) > 0 {
			damaged[random.IntN(len(damaged))] ^= byte(1 + random.IntN(255))
		}
		withNaNs(damaged)
	}
	require.Equal(t, code[:100], withNaNs(code[:100]))
}
