package pipe

import (
	"io"
	"net"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

func ends(t *testing.T) (*net.UnixConn, *net.UnixConn) {
	t.Helper()
	dir := t.TempDir()
	f, err := Listen(dir, "x")
	require.NoError(t, err)
	l, err := NewListener(f)
	require.NoError(t, err)
	lease, err := NewLease()
	require.NoError(t, err)
	a, err := Dial(dir, "x", Control, lease)
	require.NoError(t, err)
	c, err := l.Accept()
	require.NoError(t, err)
	require.NoError(t, l.Close())
	t.Cleanup(func() { _ = a.Close(); _ = c.Conn.Close() })
	return a, c.Conn
}

func TestMessagesArriveInOrder(t *testing.T) {
	a, b := ends(t)
	ca, cb := NewConn(a), NewConn(b)
	for i := range 100 {
		require.NoError(t, ca.Send(&apiv1.ExecEnded{Rank: int32(i)}))
	}
	require.NoError(t, ca.Close())
	for i := range 100 {
		var m apiv1.ExecEnded
		require.NoError(t, cb.Receive(&m))
		require.EqualValues(t, i, m.Rank)
	}
	require.ErrorIs(t, cb.Receive(&apiv1.ExecEnded{}), io.EOF)
}

func TestHandover(t *testing.T) {
	a, b := ends(t)
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close() //nolint:errcheck // the test ends here
	client, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", l.Addr().String())
	require.NoError(t, err)
	defer client.Close() //nolint:errcheck // the test ends here
	server, err := l.Accept()
	require.NoError(t, err)
	require.NoError(t, SendConn(a, server.(*net.TCPConn), "h1"))
	got, note, err := ReceiveConn(b)
	require.NoError(t, err)
	defer got.Close() //nolint:errcheck // the test ends here
	require.Equal(t, "h1", note)
	_, err = got.Write([]byte("hello"))
	require.NoError(t, err)
	buf := make([]byte, 5)
	_, err = io.ReadFull(client, buf)
	require.NoError(t, err)
	require.Equal(t, "hello", string(buf))

	require.Error(t, SendConn(a, client.(*net.TCPConn), ""), "an empty note")
	require.NoError(t, a.Close())
	_, _, err = ReceiveConn(b)
	require.ErrorIs(t, err, io.EOF)
}

// A process that stands still takes no connections, and holds nobody up; what it was given before, it has when it goes on.
func TestHandoverDoesNotBlock(t *testing.T) {
	a, b := ends(t)
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close() //nolint:errcheck // the test ends here
	given := 0
	for {
		client, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", l.Addr().String())
		require.NoError(t, err)
		server, err := l.Accept()
		require.NoError(t, err)
		require.NoError(t, client.Close())
		if err := SendConn(a, server.(*net.TCPConn), "h1"); err != nil {
			require.ErrorIs(t, err, ErrNotTaken)
			break
		}
		given++
	}
	require.Positive(t, given)
	for range given {
		conn, note, err := ReceiveConn(b)
		require.NoError(t, err)
		require.Equal(t, "h1", note)
		require.NoError(t, conn.Close())
	}
}

// TestConnLostForWantOfDescriptors: a connection for which the process has no descriptor free is lost, and no other.
func TestConnLostForWantOfDescriptors(t *testing.T) {
	a, b := ends(t)
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close() //nolint:errcheck // of a test
	send := func(note string) {
		c, err := new(net.Dialer).DialContext(t.Context(), "tcp", l.Addr().String())
		require.NoError(t, err)
		require.NoError(t, SendConn(a, c.(*net.TCPConn), note))
	}
	send("lost")
	var limit unix.Rlimit
	require.NoError(t, unix.Getrlimit(unix.RLIMIT_NOFILE, &limit))
	require.NoError(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 0, Max: limit.Max}))
	_, note, err := ReceiveConn(b)
	require.NoError(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &limit))
	require.ErrorIs(t, err, ErrConnLost)
	require.Equal(t, "lost", note)
	send("found")
	conn, note, err := ReceiveConn(b)
	require.NoError(t, err)
	require.Equal(t, "found", note)
	require.NoError(t, conn.Close())
}
