package sdk

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// Lists of sources are made of apt's lists of packages, in both forms, for what is of this release.
func TestSourceLists(t *testing.T) {
	etc := t.TempDir()
	write := func(name, content string) {
		path := filepath.Join(etc, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
		require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
	}
	_, err := sourceLists(etc)
	require.ErrorIs(t, err, os.ErrNotExist)
	write("os-release", "ID=debian\nVERSION_CODENAME=bookworm\n")
	_, err = sourceLists(etc)
	require.ErrorIs(t, err, errNoSources)
	write("apt/sources.list", "# deb http://a bookworm main\n deb [signed-by=/k arch=amd64] http://b/debian bookworm-updates main\ndeb http://c nodistro main\n"+
		"deb-src http://d bookworm main\ndeb http://e/debian bookworm main contrib\n")
	write("apt/sources.list.d/debian.sources", "Types: deb deb-src\n# a comment\nURIs: http://f/debian\nSuites: bookworm bookworm-updates\nComponents: main\n\n"+
		"Types: deb\nURIs: http://g\nSuites: nodistro\n\nTypes: deb-src\nURIs: http://h\nSuites: bookworm\n")
	write("apt/sources.list.d/other.list", "deb http://i stable main\n")
	lists, err := sourceLists(etc)
	require.NoError(t, err)
	require.Equal(t, map[string][]byte{
		"0-sources.list":   []byte("deb-src [signed-by=/k arch=amd64] http://b/debian bookworm-updates main\ndeb-src http://e/debian bookworm main contrib\n"),
		"2-debian.sources": []byte("Types: deb-src\nURIs: http://f/debian\nSuites: bookworm bookworm-updates\nComponents: main\n\n"),
	}, lists)
}
