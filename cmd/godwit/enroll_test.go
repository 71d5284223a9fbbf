package main

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"connectrpc.com/connect/v2"
	"github.com/stretchr/testify/require"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/api/v1/apiv1connect"
	"github.com/godwit-run/godwit/internal/apierr"
	"github.com/godwit-run/godwit/internal/listen"
	"github.com/godwit-run/godwit/internal/transport"
	"github.com/godwit-run/godwit/internal/trust"
)

// signing is a server that gives certificates.
type signing struct {
	apiv1connect.UnimplementedControlHandler

	authority *trust.Authority
	token     trust.Token
	lasts     time.Duration
	asked     atomic.Int32
	later     atomic.Int32 // so many are told to come again
}

// Enroll implements the Control service.
func (s *signing) Enroll(ctx context.Context, req *apiv1.EnrollRequest) (*apiv1.EnrollResponse, error) {
	s.asked.Add(1)
	if s.later.Add(-1) >= 0 {
		return nil, apierr.New(connect.CodeUnavailable, apierr.ReasonNoLeader, "", "no leader", "try again")
	}
	id, ok := transport.Peer(ctx)
	if req.Token != "" {
		token, err := trust.ParseToken(req.Token)
		if err != nil || !token.Is(s.token.Hash()) {
			return nil, apierr.New(connect.CodeUnauthenticated, apierr.ReasonForbidden, "token", "it is worth nothing", "")
		}
		id, ok = trust.Identity{Cluster: "c1", Role: trust.Worker, Name: req.Name}, true
	}
	if !ok {
		return nil, apierr.New(connect.CodeUnauthenticated, apierr.ReasonForbidden, "token", "nobody", "")
	}
	cert, err := s.authority.Sign(req.Request, id, time.Now(), s.lasts)
	return &apiv1.EnrollResponse{Certificate: cert, Authority: s.authority.Certificate(), GossipKeys: [][]byte{make([]byte, 32)}}, err
}

// serveSigning serves it at an address until the test ends.
func serveSigning(t *testing.T) (s *signing, addr string) {
	t.Helper()
	a, err := trust.NewAuthority("c1", time.Now())
	require.NoError(t, err)
	s = &signing{authority: a, token: trust.NewToken(a.Pin()), lasts: time.Hour}
	key, request, err := trust.Request()
	require.NoError(t, err)
	cert, err := a.Sign(request, trust.Identity{Cluster: "c1", Role: trust.Server, Name: "s1"}, time.Now(), time.Hour)
	require.NoError(t, err)
	h, err := trust.NewHolder(a.Certificate(), cert, key, nil)
	require.NoError(t, err)
	l, err := listen.New("127.0.0.1:0")
	require.NoError(t, err)
	web := l.HTTP()
	l.Secure(h, map[string]func(trust.Identity) error{"": nil})
	api := connect.NewServer()
	apiv1connect.RegisterControlHandler(api, s)
	mux := http.NewServeMux()
	transport.Mount(mux, api)
	listening, deafen := context.WithCancel(context.Background())
	serving, stop := context.WithCancel(listening)
	listens, serves := make(chan error, 1), make(chan error, 1)
	go func() { listens <- l.Run(listening) }()
	go func() { serves <- transport.Serve(serving, web, mux) }()
	t.Cleanup(func() { // first what is served, whose listener would be gone
		stop()
		require.NoError(t, <-serves)
		deafen()
		require.NoError(t, <-listens)
	})
	return s, l.Addr().String()
}

// TestBadge: a machine joins by a token, is known by what it keeps from then on, renews it without a restart, and comes back by the token when its time is over.
func TestBadge(t *testing.T) {
	s, addr := serveSigning(t)
	s.later.Store(2)
	dir := t.TempDir()
	servers := func() []string { return []string{"127.0.0.1:1", addr} }
	b := &badge{dataDir: dir, token: s.token.Secret(), servers: servers, log: slog.New(slog.DiscardHandler)}
	known, err := b.load()
	require.NoError(t, err)
	require.False(t, known)
	require.NoError(t, b.join(t.Context(), servers(), "w1"))
	require.Equal(t, "godwit://c1/worker/w1", b.holder.Identity().String())
	require.EqualValues(t, 3, s.asked.Load())

	again := &badge{dataDir: dir, servers: servers, log: b.log}
	known, err = again.load()
	require.NoError(t, err)
	require.True(t, known)
	before, holder := again.holder.Expires(), again.holder
	s.lasts = 2 * time.Hour
	h := transport.NewHTTPClientBy(listen.To(again.holder, trust.Server))
	defer h.CloseIdleConnections()
	require.NoError(t, again.renewOnce(t.Context(), h))
	require.Same(t, holder, again.holder, "whoever uses it goes on with it")
	require.Greater(t, holder.Expires(), before.Add(30*time.Minute))
	kept, err := trust.Load(dir)
	require.NoError(t, err)
	require.Equal(t, again.kept, kept)

	s.lasts = -time.Minute // over before it is there
	require.ErrorContains(t, again.renewOnce(t.Context(), h), "is not valid at")
	require.Equal(t, again.kept, kept, "what was good stays")

	// One that is over by the time of its next start.
	over := *kept
	key, request, err := trust.Request()
	require.NoError(t, err)
	over.Key = key
	over.Certificate, err = s.authority.Sign(request, holder.Identity(), time.Now().Add(-2*time.Hour), time.Hour)
	require.NoError(t, err)
	require.NoError(t, over.Save(dir))
	late := &badge{dataDir: dir, servers: servers, log: b.log}
	_, err = late.load()
	require.ErrorContains(t, err, "give --join-token")
	late.token, s.lasts = s.token.Secret(), time.Hour
	known, err = late.load()
	require.NoError(t, err)
	require.False(t, known)
	require.NoError(t, late.join(t.Context(), servers(), "w1"))
	require.Equal(t, "godwit://c1/worker/w1", late.holder.Identity().String())
}

// TestJoinIsPinned: a token's secret is said to nobody but its cluster, and nobody is asked in vain for ever.
func TestJoinIsPinned(t *testing.T) {
	s, addr := serveSigning(t)
	other, err := trust.NewAuthority("c1", time.Now())
	require.NoError(t, err)
	b := &badge{dataDir: t.TempDir(), token: trust.NewToken(other.Pin()).Secret(), log: slog.New(slog.DiscardHandler)}
	err = b.join(t.Context(), []string{addr}, "w1")
	require.ErrorIs(t, err, trust.ErrPin)
	require.Zero(t, s.asked.Load(), "nothing was said")
	b.token = trust.NewToken(s.authority.Pin()).Secret()
	require.ErrorContains(t, b.join(t.Context(), []string{addr}, "w1"), "it is worth nothing")
	require.EqualValues(t, 1, s.asked.Load())
	b.token = "GW1-x"
	var usage usageError
	require.True(t, errors.As(b.join(t.Context(), []string{addr}, "w1"), &usage))
	s.later.Store(1 << 20)
	b.token = s.token.Secret()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	require.Error(t, b.join(ctx, []string{addr}, "w1"))
	_, err = os.Stat(filepath.Join(b.dataDir, "tls"))
	require.ErrorIs(t, err, os.ErrNotExist)
}

// TestJoinTokenFrom: the token may be in a file, or the environment, from which it is gone then.
func TestJoinTokenFrom(t *testing.T) {
	path := filepath.Join(t.TempDir(), "token")
	require.NoError(t, os.WriteFile(path, []byte("word\n"), 0o600))
	t.Setenv(tokenEnv, "@"+path)
	for _, tt := range []struct{ flag, want string }{{"direct", "direct"}, {"", ""}} {
		got, err := joinToken(tt.flag)
		require.NoError(t, err)
		require.Equal(t, tt.want, got)
		_, there := os.LookupEnv(tokenEnv)
		require.False(t, there)
	}
	t.Setenv(tokenEnv, "@"+path)
	got, err := joinToken("")
	require.NoError(t, err)
	require.Equal(t, "word", got)
	_, err = joinToken("@" + path + ".none")
	require.ErrorContains(t, err, "--join-token")
}
