package listen

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/godwit-run/godwit/internal/gate"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// serve runs a listener that was prepared by prepare; the returned func stops it and checks Run's end.
func serve(t *testing.T, prepare func(*Listener)) (*Listener, func()) {
	t.Helper()
	l, err := New("127.0.0.1:0")
	require.NoError(t, err)
	prepare(l)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- l.Run(ctx) }()
	return l, func() {
		cancel()
		select {
		case err := <-ended:
			require.NoError(t, err)
		case <-time.After(10 * time.Second):
			require.Fail(t, "Run did not end")
		}
	}
}

func TestOnePortManyProtocols(t *testing.T) {
	var raft *Acceptor
	var web net.Listener
	l, stop := serve(t, func(l *Listener) { raft, web = l.Protocol("raft"), l.HTTP() })
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprintf(w, "%s %s", r.Proto, r.URL.Path)
	}), Protocols: new(http.Protocols)}
	srv.Protocols.SetHTTP1(true)
	srv.Protocols.SetUnencryptedHTTP2(true)
	served := make(chan struct{})
	go func() { defer close(served); _ = srv.Serve(web) }()

	c, err := Dial(t.Context(), l.Addr().String(), "raft", "cluster", "target")
	require.NoError(t, err)
	_, err = io.WriteString(c, "hello")
	require.NoError(t, err)
	in, err := raft.Accept()
	require.NoError(t, err)
	require.Equal(t, []string{"cluster", "target"}, in.Args)
	require.IsType(t, &net.TCPConn{}, in.Conn, "its file descriptor can be handed on")
	b := make([]byte, 5)
	_, err = io.ReadFull(in, b)
	require.NoError(t, err)
	require.Equal(t, "hello", string(b))

	for _, h2 := range []bool{false, true} {
		tr := &http.Transport{Protocols: new(http.Protocols)}
		tr.Protocols.SetHTTP1(!h2)
		tr.Protocols.SetUnencryptedHTTP2(h2)
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+l.Addr().String()+"/godwit", nil)
		require.NoError(t, err)
		resp, err := tr.RoundTrip(req)
		require.NoError(t, err)
		body, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		tr.CloseIdleConnections()
		require.Equal(t, map[bool]string{false: "HTTP/1.1 /godwit", true: "HTTP/2.0 /godwit"}[h2], string(body))
	}

	require.NoError(t, srv.Close())
	stop()
	<-served
	_, err = raft.Accept()
	require.ErrorIs(t, err, net.ErrClosed)
	_, err = io.WriteString(in, "x") // what was handed out lives on.
	require.NoError(t, err)
	require.NoError(t, in.Close())
	require.NoError(t, c.Close())
}

func TestStrangersAreClosed(t *testing.T) {
	l, stop := serve(t, func(l *Listener) { l.Protocol("raft") })
	defer stop()
	for name, tc := range map[string]struct{ send, answer string }{
		"unknown protocol": {"godwit/ranks a b\n", "refused no protocol \"ranks\" here\n"},
		"too long":         {magic + strings.Repeat("x", MaxPreface), ""},
		"empty name":       {"godwit/\n", ""},
		"two spaces":       {"godwit/raft  x\n", ""},
		"control byte":     {"godwit/raft \x01\n", ""},
		"http, not served": {"GET / HTTP/1.1\r\n\r\n", ""},
		"garbage":          {"\x00\xff\x16\x03", ""},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", l.Addr().String())
			require.NoError(t, err)
			_, err = io.WriteString(c, tc.send)
			require.NoError(t, err)
			got, err := io.ReadAll(c)
			if tc.answer != "" {
				require.NoError(t, err)
			}
			require.Equal(t, tc.answer, string(got))
			require.NoError(t, c.Close())
		})
	}
}

func TestHalfOpenConnectionsEndWithRun(t *testing.T) {
	l, stop := serve(t, func(l *Listener) { l.Protocol("raft") })
	silent, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", l.Addr().String())
	require.NoError(t, err)
	defer silent.Close() //nolint:errcheck // nothing was written
	started := time.Now()
	stop()
	require.Less(t, time.Since(started), PrefaceTimeout, "Run did not wait for the silent peer")
	_, err = io.ReadAll(silent)
	_ = err // closed or reset, both say it.
	again, err := New(l.Addr().String())
	require.NoError(t, err, "the port is free")
	require.NoError(t, again.Close())
}

// TestSilentConnectionsMakeRoom opens many more connections than may be half-open, all silent: who speaks is served at once, and
// of the silent ones the bound stays.
func TestSilentConnectionsMakeRoom(t *testing.T) {
	var a *Acceptor
	l, stop := serve(t, func(l *Listener) { a = l.Protocol("raft") })
	var silent []net.Conn
	for range 2 * maxHalfOpen {
		c, err := new(net.Dialer).DialContext(t.Context(), "tcp", l.Addr().String())
		require.NoError(t, err)
		silent = append(silent, c)
	}
	// The oldest is closed while the newest are still waited for.
	_, err := silent[0].Read(make([]byte, 1))
	require.Error(t, err)
	c, err := Dial(t.Context(), l.Addr().String(), "raft", "x")
	require.NoError(t, err)
	in, err := a.Accept()
	require.NoError(t, err)
	require.Equal(t, []string{"x"}, in.Args)
	l.mu.Lock()
	require.LessOrEqual(t, len(l.pending), maxHalfOpen)
	l.mu.Unlock()
	for _, c := range append(silent, c, in.Conn) {
		require.NoError(t, c.Close())
	}
	stop()
}

// TestHTTPConnectionsAreBounded: one address has at most half of the connections, all have no more than there are, and who closes one makes
// room for another.
func TestHTTPConnectionsAreBounded(t *testing.T) {
	var web httpListener
	l, stop := serve(t, func(l *Listener) {
		web = l.HTTP().(httpListener)
		web.open = gate.NewShares(4)
	})
	defer stop()
	open := func(ip string) net.Conn {
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(ip)}}
		c, err := d.DialContext(t.Context(), "tcp", l.Addr().String())
		require.NoError(t, err)
		t.Cleanup(func() { _ = c.Close() })
		_, err = io.WriteString(c, "GET")
		require.NoError(t, err)
		return c
	}
	taken := make(chan net.Conn)
	go func() {
		defer close(taken)
		for {
			c, err := web.Accept()
			if err != nil {
				return
			}
			taken <- c
		}
	}()
	take := func(ip string) net.Conn {
		open(ip)
		c := <-taken
		t.Cleanup(func() { _ = c.Close() })
		require.Equal(t, ip, address(c).String())
		return c
	}
	refused := func(ip string) {
		c := open(ip)
		require.NoError(t, c.SetReadDeadline(time.Now().Add(time.Minute)))
		_, err := c.Read(make([]byte, 1))
		require.Error(t, err, "one too many")
		require.NotErrorIs(t, err, os.ErrDeadlineExceeded)
	}
	greedy := take("127.0.0.2")
	take("127.0.0.2")
	refused("127.0.0.2")
	other := take("127.0.0.3")
	require.NoError(t, greedy.Close())
	_ = greedy.Close() // counts once
	take("127.0.0.2")
	refused("127.0.0.2")
	take("127.0.0.1")
	refused("127.0.0.3")
	require.NoError(t, other.Close())
	last := take("127.0.0.4")
	refused("127.0.0.5")
	require.NoError(t, last.Close())
}

func TestClosedAcceptorRefuses(t *testing.T) {
	var raft *Acceptor
	l, stop := serve(t, func(l *Listener) { raft = l.Protocol("raft") })
	defer stop()
	require.NoError(t, raft.Close())
	c, err := Dial(t.Context(), l.Addr().String(), "raft")
	require.NoError(t, err)
	got, _ := io.ReadAll(c)
	require.Empty(t, got)
	require.NoError(t, c.Close())
}

func TestAddressInUse(t *testing.T) {
	l, err := New("127.0.0.1:0")
	require.NoError(t, err)
	_, err = New(l.Addr().String())
	require.ErrorIs(t, err, syscall.EADDRINUSE)
	require.ErrorContains(t, err, "address in use: another process has "+l.Addr().String()+"; choose another --listen")
	require.NoError(t, l.Close())
	require.NoError(t, l.Close())
}

func TestProgrammerErrorsPanic(t *testing.T) {
	l, err := New("127.0.0.1:0")
	require.NoError(t, err)
	l.Protocol("raft")
	require.Panics(t, func() { l.Protocol("raft") })
	require.Panics(t, func() { l.Protocol("two words") })
	require.NoError(t, l.Close())
}

func TestDialChecksItsArguments(t *testing.T) {
	for _, args := range [][]string{{"two words"}, {""}, {"new\nline"}, {strings.Repeat("x", MaxPreface)}} {
		_, err := Dial(t.Context(), "127.0.0.1:1", "raft", args...)
		require.ErrorIs(t, err, ErrPreface, "%q", args)
	}
}

func FuzzPreface(f *testing.F) {
	f.Add("godwit/raft a b\nrest")
	f.Add("GET / HTTP/1.1\r\n")
	f.Fuzz(func(t *testing.T, in string) {
		r := strings.NewReader(in)
		proto, args, taken, err := readPreface(r)
		require.LessOrEqual(t, len(taken), MaxPreface)
		require.Equal(t, in[len(taken):], in[len(in)-r.Len():], "not a byte more was read")
		if err == nil {
			line, err := formatPreface(proto, args)
			require.NoError(t, err)
			require.Equal(t, string(taken), string(line))
		}
	})
}
