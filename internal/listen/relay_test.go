package listen

import (
	"crypto/tls"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/godwit-run/godwit/internal/trust"
)

// TestRelay: a connection of a relayed protocol is handed out with nothing of it read, and whoever has the key of the app's links speaks TLS over it; others do as
// without it, and a stranger gets an alert.
func TestRelay(t *testing.T) {
	ours, _ := clusters(t)
	links := func(key byte) *trust.Links {
		l, err := trust.NewLinks([]byte(strings.Repeat(string(key), trust.KeySize)), "a-1f", 7, ours.Certificate())
		require.NoError(t, err)
		return l
	}
	mine, others := links('m'), links('o')
	now := func(l *trust.Links) func() *trust.Links { return func() *trust.Links { return l } }
	require.Equal(t, "a-1f", trust.AppOfLinks(mine.Called()))
	require.Empty(t, trust.AppOfLinks("a-1f"))
	w1 := holder(t, ours, trust.Worker, "w1")
	var rank *Acceptor
	l, stop := serve(t, func(l *Listener) {
		rank = l.Protocol("rank")
		l.HTTP()
		l.Secure(w1, map[string]func(trust.Identity) error{"": onlyServers})
		l.Relay("rank")
	})
	defer stop()
	addr := l.Addr().String()
	taken := make(chan error, 1)
	take := func() {
		in, err := rank.Accept()
		if err == nil {
			require.IsType(t, &net.TCPConn{}, in.Conn, "its file descriptor can be handed on")
			require.Equal(t, []string{"a-1f.7"}, in.Args)
			if in, err = Shake(t.Context(), in.Conn, "rank", mine.Listens(ALPN("rank"))); err == nil {
				require.Equal(t, []string{"a-1f", "h1"}, in.Args)
				_, err = io.WriteString(in, "hello")
			}
		}
		taken <- err
	}
	go take()
	c, err := Linked(now(mine)).Dial(t.Context(), addr, "rank", "a-1f", "h1")
	require.NoError(t, err)
	b := make([]byte, 5)
	_, err = io.ReadFull(c, b)
	require.NoError(t, err)
	require.NoError(t, <-taken)
	require.NoError(t, c.Close())

	go take()
	_, err = Linked(now(others)).Dial(t.Context(), addr, "rank", "a-1f", "h1")
	require.ErrorIs(t, err, trust.ErrStranger)
	require.Error(t, <-taken)
	go take()
	reckless := Dialer{TLS: func(alpn string) *tls.Config {
		return &tls.Config{InsecureSkipVerify: true, NextProtos: []string{alpn}, ServerName: "a-1f.7"} //nolint:gosec // that is the point
	}}
	c, err = reckless.Dial(t.Context(), addr, "rank", "a-1f", "h1")
	require.NoError(t, err)
	require.ErrorContains(t, <-taken, "didn't provide a certificate")
	_, err = c.Read(b)
	require.ErrorContains(t, err, "certificate required")
	require.NoError(t, c.Close())

	// Nobody of that name is here.
	refused := make(chan error, 1)
	go func() {
		in, err := rank.Accept()
		if err == nil {
			Refuse(in.Conn)
		}
		refused <- err
	}()
	_, err = Linked(now(mine)).Dial(t.Context(), addr, "rank", "a-1f", "h1")
	require.ErrorContains(t, err, "unrecognized name")
	require.NoError(t, <-refused)

	// A greeting that comes in pieces is waited for.
	go take()
	slow := Dialer{TLS: mine.Dials}
	far, near := net.Pipe()
	go func() { // ends with near
		out, err := new(net.Dialer).DialContext(t.Context(), "tcp", addr)
		if err != nil {
			return
		}
		defer out.Close() //nolint:errcheck // of this test
		go func() { _, _ = io.Copy(far, out) }()
		for one := make([]byte, 100); ; time.Sleep(time.Millisecond) {
			n, err := far.Read(one)
			if err != nil {
				return
			}
			if _, err := out.Write(one[:n]); err != nil {
				return
			}
		}
	}()
	s := tls.Client(near, slow.TLS(ALPN("rank")))
	require.NoError(t, s.HandshakeContext(t.Context()))
	line, err := formatPreface("rank", []string{"a-1f", "h1"})
	require.NoError(t, err)
	_, err = s.Write(line)
	require.NoError(t, err)
	_, err = io.ReadFull(s, b)
	require.NoError(t, err)
	require.NoError(t, <-taken)
	require.NoError(t, near.Close())
	require.NoError(t, far.Close())

	// An executor may speak to a worker where it is a guest, and a worker of its cluster alone is one.
	_, err = LinkedToWorkers(now(mine)).HTTP(t.Context(), addr)
	require.NoError(t, err, "with TLS 1.3 a client hears of it behind its handshake")
}
