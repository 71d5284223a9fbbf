package control

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"connectrpc.com/connect/v2"
	"github.com/stretchr/testify/require"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/api/v1/apiv1connect"
	"github.com/godwit-run/godwit/fsm"
	"github.com/godwit-run/godwit/internal/apierr"
	"github.com/godwit-run/godwit/internal/transport"
)

// someone answers at a worker's address with who he is.
type someone struct {
	apiv1connect.DataHandler
	host, incarnation string
}

func (s someone) Identify(context.Context, *apiv1.IdentifyRequest) (*apiv1.IdentifyResponse, error) {
	return &apiv1.IdentifyResponse{Host: s.host, Incarnation: s.incarnation}, nil
}

// listens serves handler until the test ends, and returns where.
func listens(t *testing.T, handler http.Handler) string {
	t.Helper()
	s := httptest.NewUnstartedServer(handler)
	s.Config.Protocols = new(http.Protocols)
	s.Config.Protocols.SetHTTP1(true)
	s.Config.Protocols.SetUnencryptedHTTP2(true)
	s.Start()
	t.Cleanup(s.Close)
	return strings.TrimPrefix(s.URL, "http://")
}

// answersAs is listens for a server that answers other servers.
func answersAs(t *testing.T, h apiv1connect.ClusterHandler) string {
	t.Helper()
	s := connect.NewServer()
	apiv1connect.RegisterClusterHandler(s, h)
	mux := http.NewServeMux()
	transport.Mount(mux, s)
	return listens(t, mux)
}

func (s someone) serve(t *testing.T) string {
	t.Helper()
	cs := connect.NewServer()
	apiv1connect.RegisterDataHandler(cs, s)
	mux := http.NewServeMux()
	transport.Mount(mux, cs)
	return listens(t, mux)
}

// TestSuccession has a process with the host's secret register while the log calls another incarnation of the host ready.
func TestSuccession(t *testing.T) {
	nobody := func(t *testing.T) string {
		l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
		require.NoError(t, err)
		require.NoError(t, l.Close())
		return l.Addr().String()
	}
	silent := func(t *testing.T) string { // as a stopped process: the kernel takes the connection
		l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
		require.NoError(t, err)
		t.Cleanup(func() { _ = l.Close() })
		return l.Addr().String()
	}
	for _, tc := range []struct {
		name    string
		at      func(t *testing.T) string
		session bool
		reason  string // of the refusal; "": taken
	}{
		{"it answers and has its session", someone{host: "w1", incarnation: "i-w1"}.serve, true, apierr.ReasonCopy},
		{"it answers, to another leader", someone{host: "w1", incarnation: "i-w1"}.serve, false, apierr.ReasonCopy},
		{"it has ended", nobody, false, ""},
		{"it has ended, and the newcomer has its address", someone{host: "w1", incarnation: "next"}.serve, false, ""},
		{"it has ended, and another host has its address", someone{host: "w2", incarnation: "i-w1"}.serve, false, ""},
		{"it has ended, and no worker has its address", func(t *testing.T) string { return listens(t, http.NotFoundHandler()) }, false, ""},
		{"its session is open yet", nobody, true, apierr.ReasonRefused},
		{"it is stopped", silent, true, apierr.ReasonRefused},
		{"it is stopped, and its session is over", silent, false, apierr.ReasonRefused},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := newBench(t, nil)
			b.addrs["w1"] = tc.at(t)
			b.host("w1", 4)
			if !tc.session {
				b.l.closeSession(b.l.sessions.of("w1"))
			}
			h := &apiv1.Host{Id: "w1", Addr: "127.0.0.1:9", Slots: 4, Incarnation: "next", NodeId: "n-w1"}
			err := b.register(h, nil)
			got, _ := b.l.c.state.View().Host("w1")
			if tc.reason == "" {
				require.NoError(t, err)
				require.Equal(t, "next", got.Incarnation)
				return
			}
			require.Equal(t, tc.reason, apierr.Info(err).GetReason(), "%v", err)
			require.Equal(t, "i-w1", got.Incarnation)

			lost, _ := b.l.endHost(b.ctx, "w1", "i-w1", fsm.Lost, "silent")
			require.True(t, lost)
			require.NoError(t, b.register(h, nil), "its lease is over")
		})
	}
}

// TestOneOfTwoCopiesRegisters starts two copies of a worker's data directory at the same moment: both have found no predecessor before
// either has registered.
func TestOneOfTwoCopiesRegisters(t *testing.T) {
	for _, tc := range []struct {
		name string
		has  func(b *bench) // what the log has of the host before
	}{
		{"the host is new", func(*bench) {}},
		{"it was lost", func(b *bench) {
			b.host("w1", 4)
			lost, _ := b.l.endHost(b.ctx, "w1", "i-w1", fsm.Lost, "silent")
			require.True(t, lost)
		}},
		{"its process has ended", func(b *bench) {
			b.addrs["w1"] = listens(t, http.NotFoundHandler())
			b.host("w1", 4)
			b.l.closeSession(b.l.sessions.of("w1"))
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := newBench(t, nil)
			tc.has(b)
			first := &apiv1.Host{Id: "w1", Slots: 4, Incarnation: "first", NodeId: "n-w1", Addr: someone{host: "w1", incarnation: "first"}.serve(t)}
			second := &apiv1.Host{Id: "w1", Slots: 4, Incarnation: "second", NodeId: "n-w1", Addr: "127.0.0.1:9"}
			b.log.before = func(*apiv1.Command) {
				b.log.before = nil
				require.NoError(t, b.register(first, nil))
			}
			err := b.register(second, nil)
			require.Equal(t, apierr.ReasonCopy, apierr.Info(err).GetReason(), "%v", err)
			got, _ := b.l.c.state.View().Host("w1")
			require.Equal(t, "first", got.Incarnation)
		})
	}
}
