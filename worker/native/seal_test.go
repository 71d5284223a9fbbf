package native

import (
	"bytes"
	"crypto/sha256"
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
	back, err := Check(key, bytes.NewReader(sealed))
	require.NoError(t, err)
	require.Equal(t, Sealed{name, int64(len(sealed) - len(object)), sha256.Sum256(object)}, back)
	for i := range sealed {
		damaged := append([]byte{}, sealed...)
		damaged[i] ^= 1
		_, err := Check(key, bytes.NewReader(damaged))
		require.ErrorIs(t, err, ErrSeal, "byte %d", i)
	}
	for i := range sealed {
		_, err := Check(key, bytes.NewReader(sealed[:i]))
		require.ErrorIs(t, err, ErrSeal, "%d bytes", i)
	}
	_, err = Check([]byte("another key"), bytes.NewReader(sealed))
	require.ErrorIs(t, err, ErrSeal)

	path := filepath.Join(t.TempDir(), name.File())
	require.True(t, IsFile(filepath.Base(path)))
	require.NoError(t, os.WriteFile(path, sealed, 0o600))
	got, err := NameOf(path)
	require.NoError(t, err)
	require.Equal(t, name, got)
	require.NoError(t, os.WriteFile(path, sealed[:40], 0o600))
	_, err = NameOf(path)
	require.ErrorIs(t, err, ErrSeal)
	other := name
	other.Compiler = "another"
	require.NotEqual(t, name.File(), other.File())
}
