package worker

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestRegistry: executors are known beyond the process's life: who lives, who has ended, and whose number another process has now. What is in a copy of the directory is nobody's.
func TestRegistry(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	r, err := newRegistry(dir)
	require.NoError(t, err)
	cmd := exec.CommandContext(t.Context(), "sleep", "600")
	require.NoError(t, cmd.Start())
	var all []*entry
	for _, app := range []string{"b", "a"} {
		word, link, err := r.listen()
		require.NoError(t, err)
		require.NoError(t, link.Close())
		born, _ := startOf(cmd.Process.Pid)
		e := r.entryOf(&runner{word: word, process: cmd.Process, born: born}, begins{app: app, attempt: 2})
		require.NoError(t, r.write(e))
		all = append(all, e)
	}
	all[1].Start++ // another process of that number
	all[1].Begun = true
	require.NoError(t, r.write(all[1]))

	again, err := newRegistry(dir)
	require.NoError(t, err)
	left, err := again.left()
	require.NoError(t, err)
	require.Equal(t, []*entry{all[1], all[0]}, left)
	require.False(t, left[0].living())
	require.True(t, left[1].living())
	left[0].kill()
	require.True(t, left[1].living(), "it is another process's")
	ended := make(chan struct{})
	go func() { left[1].awaitEnd(); close(ended) }()
	left[1].kill()
	select {
	case <-ended:
	case <-time.After(time.Minute):
		require.FailNow(t, "its end is not seen")
	}
	require.False(t, left[1].living(), "it is a zombie")
	require.Error(t, cmd.Wait())
	again.remove(left[0])

	other := filepath.Join(t.TempDir(), "run")
	require.NoError(t, os.Mkdir(other, 0o700))
	text, err := os.ReadFile(filepath.Join(dir, all[0].Word+entrySuffix))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(other, all[0].Word+entrySuffix), text, 0o600))
	theirs, err := newRegistry(other)
	require.NoError(t, err)
	left, err = theirs.left()
	require.NoError(t, err)
	require.Empty(t, left)
	names, err := os.ReadDir(other)
	require.NoError(t, err)
	require.Empty(t, names)
	left, err = again.left()
	require.NoError(t, err)
	require.Len(t, left, 1)
}
