package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAgentRunsACommandAsSSHDoes(t *testing.T) {
	b := &bench{dir: t.TempDir(), shm: t.TempDir()}
	n, err := b.loopback()
	require.NoError(t, err)
	require.Len(t, n.addrs, mostHosts)
	out, err := output(t.Context(), os.Environ(), n.agent, "-x", n.addrs[1], "echo", `"a  b"`, "$TMPDIR")
	require.NoError(t, err)
	require.Equal(t, "a  b "+filepath.Join(b.shm, n.addrs[1])+"\n", out)
}
