package listen

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/godwit-run/godwit/internal/trust"
)

// holder is whoever has a certificate of an authority.
func holder(t *testing.T, a *trust.Authority, role trust.Role, called string) *trust.Holder {
	t.Helper()
	key, request, err := trust.Request()
	require.NoError(t, err)
	cert, err := a.Sign(request, trust.Identity{Cluster: a.Cluster(), Role: role, Name: called}, time.Now(), time.Hour)
	require.NoError(t, err)
	h, err := trust.NewHolder(a.Certificate(), cert, key, nil)
	require.NoError(t, err)
	return h
}

func clusters(t *testing.T) (ours, others *trust.Authority) {
	t.Helper()
	ours, err := trust.NewAuthority("c1", time.Now())
	require.NoError(t, err)
	others, err = trust.NewAuthority("c2", time.Now())
	require.NoError(t, err)
	return ours, others
}

func onlyServers(id trust.Identity) error {
	if id.Role != trust.Server {
		return fmt.Errorf("%w: %s", trust.ErrRole, id)
	}
	return nil
}

// TestSecureAnyProtocol: one secure port has HTTP and prefaced protocols; each knows who is there, and none lets in who is not meant.
func TestSecureAnyProtocol(t *testing.T) {
	ours, others := clusters(t)
	s1, s2, w1 := holder(t, ours, trust.Server, "s1"), holder(t, ours, trust.Server, "s2"), holder(t, ours, trust.Worker, "w1")
	var raft *Acceptor
	var web net.Listener
	l, stop := serve(t, func(l *Listener) {
		raft, web = l.Protocol("raft"), l.HTTP()
		l.Secure(s1, map[string]func(trust.Identity) error{"raft": onlyServers, "": nil})
	})
	defer stop()
	addr := l.Addr().String()
	said := func(c net.Conn) error { // what the other end makes of it
		require.NoError(t, c.SetDeadline(time.Now().Add(time.Minute)))
		_, err := c.Read(make([]byte, 1))
		return err
	}

	c, err := To(s2, trust.Server).Dial(t.Context(), addr, "raft", "a", "b")
	require.NoError(t, err)
	in, err := raft.Accept()
	require.NoError(t, err)
	require.Equal(t, []string{"a", "b"}, in.Args)
	require.Equal(t, "godwit://c1/server/s2", in.Peer.String())
	_, err = io.WriteString(c, "hello")
	require.NoError(t, err)
	b := make([]byte, 5)
	_, err = io.ReadFull(in, b)
	require.NoError(t, err)
	require.Equal(t, "hello", string(b))
	require.NoError(t, c.Close())
	require.NoError(t, in.Close())

	c, err = To(w1, trust.Server).Dial(t.Context(), addr, "raft")
	require.NoError(t, err, "with TLS 1.3 a client hears of it behind its handshake")
	require.ErrorContains(t, said(c), "remote error: tls: bad certificate")
	require.NoError(t, c.Close())
	_, err = To(s2, trust.Worker).Dial(t.Context(), addr, "raft")
	require.ErrorIs(t, err, trust.ErrRole)
	_, err = To(holder(t, others, trust.Server, "s2"), trust.Server).Dial(t.Context(), addr, "raft")
	require.ErrorIs(t, err, trust.ErrOtherCluster)
	require.ErrorContains(t, err, "c1", "it is told which")

	nobody := Dialer{TLS: func(alpn string) *tls.Config {
		return &tls.Config{InsecureSkipVerify: true, NextProtos: []string{alpn}} //nolint:gosec // that is the point
	}}
	c, err = nobody.Dial(t.Context(), addr, "raft")
	require.NoError(t, err)
	require.ErrorContains(t, said(c), "remote error: tls: certificate required")
	require.NoError(t, c.Close())
	c, err = nobody.Dial(t.Context(), addr, "rank")
	require.NoError(t, err)
	require.ErrorContains(t, said(c), "remote error: tls: certificate required", "also by a protocol that is not here")
	require.NoError(t, c.Close())
	c, err = To(s2, trust.Server).Dial(t.Context(), addr, "rank")
	require.NoError(t, err)
	require.ErrorContains(t, said(c), "remote error: tls: bad certificate")
	require.NoError(t, c.Close())

	// HTTP lets in who says nothing; the handler knows who does.
	for _, d := range []Dialer{nobody, To(w1, trust.Server)} {
		c, err := d.HTTP(t.Context(), addr)
		require.NoError(t, err)
		in, err := web.Accept()
		require.NoError(t, err)
		if id := Peer(in); d.TLS("h2").GetClientCertificate != nil {
			require.Equal(t, "godwit://c1/worker/w1", id.String())
		} else {
			require.Nil(t, id)
		}
		require.NoError(t, c.Close())
		require.NoError(t, in.Close())
	}
}

// TestSecureAndClear: each is told when the other end speaks in the clear, or does not.
func TestSecureAndClear(t *testing.T) {
	ours, _ := clusters(t)
	s1 := holder(t, ours, trust.Server, "s1")
	l, stop := serve(t, func(l *Listener) {
		l.Protocol("raft")
		l.HTTP()
		l.Secure(s1, map[string]func(trust.Identity) error{"raft": onlyServers, "": nil})
	})
	defer stop()
	c, err := Dial(t.Context(), l.Addr().String(), "raft", "x")
	require.NoError(t, err)
	got, _ := io.ReadAll(c)
	require.Contains(t, string(got), "speak TLS only")
	require.NoError(t, c.Close())
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+l.Addr().String()+"/livez", nil)
	require.NoError(t, err)
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, http.StatusBadRequest, resp.StatusCode)
	require.Contains(t, string(body), "speak TLS only")
	http.DefaultClient.CloseIdleConnections()

	plain, stopPlain := serve(t, func(l *Listener) { l.Protocol("raft") })
	defer stopPlain()
	_, err = To(s1, trust.Server).Dial(t.Context(), plain.Addr().String(), "raft")
	require.Error(t, err)
	var security *SecurityError
	require.ErrorAs(t, err, &security)
}

// TestSecureSilence: who connects and says nothing, or half of a greeting, is gone in time, and holds up nobody.
func TestSecureSilence(t *testing.T) {
	ours, _ := clusters(t)
	s1 := holder(t, ours, trust.Server, "s1")
	var raft *Acceptor
	l, stop := serve(t, func(l *Listener) {
		raft = l.Protocol("raft")
		l.Secure(s1, map[string]func(trust.Identity) error{"raft": onlyServers})
	})
	defer stop()
	for _, first := range []string{"", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", strings.Repeat("\x16", 3)} {
		c, err := new(net.Dialer).DialContext(t.Context(), "tcp", l.Addr().String())
		require.NoError(t, err)
		defer c.Close() //nolint:errcheck // of this test
		_, err = io.WriteString(c, first)
		require.NoError(t, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), PrefaceTimeout/2)
	defer cancel()
	c, err := To(s1, trust.Server).Dial(ctx, l.Addr().String(), "raft", "x")
	require.NoError(t, err)
	in, err := raft.Accept()
	require.NoError(t, err)
	require.NoError(t, c.Close())
	require.NoError(t, in.Close())
}
