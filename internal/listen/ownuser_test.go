package listen

import (
	"context"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// Who has another account is not served, whatever is said; who has the same is.
func TestOwnUserOnly(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root, to be somebody else")
	}
	const request = "GET / HTTP/1.0\r\n\r\n"
	l, err := New("127.0.0.1:0")
	require.NoError(t, err)
	l.OwnUserOnly()
	h := l.HTTP()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- l.Run(ctx) }()
	defer func() { cancel(); require.NoError(t, <-ended) }()
	go func() {
		for {
			c, err := h.Accept()
			if err != nil {
				return
			}
			_, _ = io.ReadFull(c, make([]byte, len(request))) // what is not read resets the connection
			_, _ = io.WriteString(c, "served")
			_ = c.Close()
		}
	}()
	c, err := (&net.Dialer{}).DialContext(ctx, "tcp", l.Addr().String())
	require.NoError(t, err)
	_, err = io.WriteString(c, request)
	require.NoError(t, err)
	got, err := io.ReadAll(c)
	require.NoError(t, err)
	require.Equal(t, "served", string(got))
	require.NoError(t, c.Close())

	host, port, err := net.SplitHostPort(l.Addr().String())
	require.NoError(t, err)
	other := exec.Command("/bin/bash", "-c", "exec 3<>/dev/tcp/"+host+"/"+port+"; printf 'GET / HTTP/1.0\\r\\n\\r\\n' >&3; cat <&3") //nolint:gosec,noctx // its own arguments
	other.Dir = "/"
	other.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	out, _ := other.CombinedOutput() // a reset connection is an error to some
	require.NotContains(t, string(out), "served")
	require.False(t, strings.Contains(string(out), "ermission denied"), string(out))
}

// TestClosedConnectionIsNobodys: of a connection that its other end has closed the kernel says that it is root's, whoever made it.
func TestClosedConnectionIsNobodys(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // at once
	require.NoError(t, err)
	defer l.Close() //nolint:errcheck // of a test
	c, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", l.Addr().String())
	require.NoError(t, err)
	ours, err := l.Accept()
	require.NoError(t, err)
	defer ours.Close() //nolint:errcheck // of a test
	require.True(t, fromOwnUser(ours))
	require.NoError(t, c.Close())
	_, err = ours.Read(make([]byte, 1)) // its end has come
	require.ErrorIs(t, err, io.EOF)
	require.False(t, fromOwnUser(ours))
}
