package pipe

import (
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// inherit is what a child does with a file that it was given.
func inherit(t *testing.T, f *os.File) (*Lease, error) {
	t.Helper()
	fd, err := unix.Dup(int(f.Fd()))
	require.NoError(t, err)
	return leaseOf(fd)
}

func TestLeaseIsShared(t *testing.T) {
	worker, err := NewLease()
	require.NoError(t, err)
	executor, err := inherit(t, worker.file)
	require.NoError(t, err)
	require.Zero(t, executor.Until())
	worker.Set(3 * time.Second)
	require.Equal(t, 3*time.Second, executor.Until())
	worker.Set(5 * time.Second)
	require.Equal(t, 5*time.Second, executor.Until())
	require.Error(t, worker.file.Truncate(0), "what is mapped stays there")
	require.NoError(t, worker.file.Close())
	require.Equal(t, 5*time.Second, executor.Until(), "also when the worker is gone")
}

func TestWhatIsNoLease(t *testing.T) {
	f, err := os.CreateTemp(t.TempDir(), "")
	require.NoError(t, err)
	_, err = inherit(t, f)
	require.ErrorContains(t, err, "is not a worker's lease")
	require.NoError(t, f.Close())
	_, err = leaseOf(1 << 20)
	require.ErrorContains(t, err, "is not a worker's lease")
}
