package tree

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// sparse makes a file with data at some places, and says whether the file system keeps the holes.
func sparse(t *testing.T, at string, size int64, places ...int64) (holes bool) {
	t.Helper()
	f, err := os.Create(at)
	require.NoError(t, err)
	defer f.Close() //nolint:errcheck // of a test
	require.NoError(t, f.Truncate(size))
	for _, place := range places {
		_, err := f.WriteAt([]byte("data"), place)
		require.NoError(t, err)
	}
	_, hole := extent(f, 0, size)
	return hole
}

// bytesRead is how many bytes this process has read so far.
func bytesRead(t *testing.T) (n int64) {
	t.Helper()
	text, err := os.ReadFile("/proc/self/io")
	require.NoError(t, err)
	_, err = fmt.Sscanf(string(text), "rchar: %d", &n)
	require.NoError(t, err)
	return n
}

// TestHoles: a sparse file has the blobs of one that has all its zeros, and its holes are not read.
func TestHoles(t *testing.T) {
	const size = 2*packBytes + 5<<20 + 7
	from, same := t.TempDir(), t.TempDir()
	holes := sparse(t, filepath.Join(from, "large"), size, 1<<20+3, packBytes+100, size-4)
	before := bytesRead(t)
	s, err := Read(context.Background(), []Source{{Path: from}})
	require.NoError(t, err)
	if holes {
		require.Less(t, bytesRead(t)-before, int64(16<<20))
	}
	all := make([]byte, size)
	for _, place := range []int64{1<<20 + 3, packBytes + 100, size - 4} {
		copy(all[place:], "data")
	}
	got := blobs(t, s)
	var whole []byte
	for _, p := range s.Tree.Packs {
		whole = append(whole, got[p]...)
	}
	require.True(t, bytes.Equal(all, whole))

	holes = sparse(t, filepath.Join(same, "nothing"), 4*packBytes+1)
	before = bytesRead(t)
	s, err = Read(context.Background(), []Source{{Path: same}})
	require.NoError(t, err)
	if holes {
		require.Less(t, bytesRead(t)-before, int64(1<<20))
	}
	require.Len(t, s.Tree.Packs, 5)
	require.Equal(t, s.Tree.Packs[0], s.Tree.Packs[3])
	require.NotEqual(t, s.Tree.Packs[0], s.Tree.Packs[4])
	require.Len(t, blobs(t, s), 3)
	require.EqualValues(t, 4*packBytes+1, s.Tree.Bytes)
}
