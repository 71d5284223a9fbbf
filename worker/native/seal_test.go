package native

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestSeal: what was sealed is had back by who has the key, with its name; what is changed anywhere, cut short, or sealed with another key is not.
func TestSeal(t *testing.T) {
	key, object := []byte("a key"), []byte("machine code")
	name := Name{Module: strings.Repeat("ab", 32), Recipe: Recipe{Translator: 1, Flags: "f00d", Level: "x86-64-v3", O: Best, Compiler: "Debian clang version 19.1.7 (3)"}}
	sealed := Seal(key, name, object)
	got, back, err := Unseal(key, sealed)
	require.NoError(t, err)
	require.Equal(t, name, got)
	require.Equal(t, object, back)
	for i := range sealed {
		damaged := append([]byte{}, sealed...)
		damaged[i] ^= 1
		_, _, err := Unseal(key, damaged)
		require.ErrorIs(t, err, ErrSeal, "byte %d", i)
	}
	for i := range sealed {
		_, _, err := Unseal(key, sealed[:i])
		require.ErrorIs(t, err, ErrSeal, "%d bytes", i)
	}
	_, _, err = Unseal([]byte("another key"), sealed)
	require.ErrorIs(t, err, ErrSeal)

	path := filepath.Join(t.TempDir(), name.File())
	require.True(t, IsFile(filepath.Base(path)))
	require.NoError(t, os.WriteFile(path, sealed, 0o600))
	got, err = NameOf(path)
	require.NoError(t, err)
	require.Equal(t, name, got)
	require.NoError(t, os.WriteFile(path, sealed[:40], 0o600))
	_, err = NameOf(path)
	require.ErrorIs(t, err, ErrSeal)
	other := name
	other.Compiler = "another"
	require.NotEqual(t, name.File(), other.File())
}
