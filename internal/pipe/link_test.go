package pipe

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// held is how many descriptors, and mapped leases, this process has.
func held(t *testing.T) (fds, leases int) {
	t.Helper()
	all, err := os.ReadDir("/proc/self/fd")
	require.NoError(t, err)
	maps, err := os.ReadFile("/proc/self/maps")
	require.NoError(t, err)
	return len(all), strings.Count(string(maps), "godwit-lease")
}

// TestRefusedCallsLeaveNothing: who calls and is hung up on leaves neither descriptors nor memory here, and of the others only who controls lends a lease.
func TestRefusedCallsLeaveNothing(t *testing.T) {
	dir := t.TempDir()
	f, err := Listen(dir, "s")
	require.NoError(t, err)
	l, err := NewListener(f)
	require.NoError(t, err)
	defer l.Close() //nolint:errcheck // of a test
	lease, err := NewLease()
	require.NoError(t, err)
	one := int(lease.file.Fd())
	handover := func() {
		conn, err := Dial(dir, "s", Handover, lease)
		require.NoError(t, err)
		c, err := l.Accept()
		require.NoError(t, err)
		require.Nil(t, c.Lease)
		require.NoError(t, conn.Close())
		require.NoError(t, c.Conn.Close())
	}
	handover() // what the runtime opens once is open
	fds, leases := held(t)
	for _, call := range []struct {
		head []byte
		fds  []int
	}{
		{[]byte{byte(Control), LinkVersion + 1}, []int{one}},
		{[]byte{'x', LinkVersion}, []int{one}},
		{[]byte{byte(Control)}, []int{one}},
		{[]byte{byte(Control), LinkVersion}, []int{one, one}},
		{[]byte{byte(Control), LinkVersion}, nil},
	} {
		fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
		require.NoError(t, err)
		require.NoError(t, at(dir, "s", func(addr unix.Sockaddr) error { return unix.Connect(fd, addr) }))
		var oob []byte
		if call.fds != nil {
			oob = unix.UnixRights(call.fds...)
		}
		require.NoError(t, unix.Sendmsg(fd, call.head, oob, nil, 0))
		require.NoError(t, unix.Close(fd))
		handover() // Accept has gone on to it
		nowFDs, nowLeases := held(t)
		require.Equal(t, fds, nowFDs, call)
		require.Equal(t, leases, nowLeases, call)
	}
}
