package files

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// TestReadOnlyWhateverComes: what comes to have a name while a read-only tree is asked for it is not opened for writing, nor made shorter.
func TestReadOnlyWhateverComes(t *testing.T) {
	dir := t.TempDir()
	tree := local(t, dir, true)
	stop, over := make(chan struct{}), make(chan error, 1)
	go func() { // somebody of the host
		for {
			select {
			case <-stop:
				over <- nil
				return
			default:
			}
			if err := os.WriteFile(filepath.Join(dir, "new"), []byte("the host's"), 0o600); err != nil {
				over <- err
				return
			}
			_ = os.Rename(filepath.Join(dir, "new"), filepath.Join(dir, "file"))
			_ = os.Remove(filepath.Join(dir, "file"))
		}
	}()
	for range 20_000 {
		for _, flags := range []int{unix.O_RDWR, unix.O_WRONLY, unix.O_TRUNC, unix.O_CREAT | unix.O_WRONLY} {
			_, err := tree.Open("file", flags)
			require.Error(t, err)
		}
	}
	close(stop)
	require.NoError(t, <-over)
}
