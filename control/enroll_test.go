package control

import (
	"context"
	"crypto/x509"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect/v2"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/fsm"
	"github.com/godwit-run/godwit/internal/transport"
	"github.com/godwit-run/godwit/internal/trust"
)

// securedBed is a server of a secured cluster, with the tokens that there are.
type securedBed struct {
	*Control
	t      *testing.T
	tokens map[string]trust.Token // by what they are for
	seal   [trust.KeySize]byte
	signs  *trust.Authority
}

func newSecured(t *testing.T) *securedBed {
	t.Helper()
	a, err := trust.NewAuthority("c1", time.Now())
	require.NoError(t, err)
	b := &securedBed{t: t, tokens: map[string]trust.Token{}, seal: [trust.KeySize]byte{7}, signs: a}
	sealed, err := a.Seal(b.seal)
	require.NoError(t, err)
	first := &apiv1.Trust{Authority: a.Certificate(), Sealed: sealed}
	add := func(what string, t *apiv1.Token) {
		token := trust.NewToken(a.Pin())
		b.tokens[what] = token
		first.Tokens = append(first.Tokens, &apiv1.Token{Id: token.ID, Hash: token.Hash(), Role: t.Role, ExpiresMs: t.ExpiresMs, Most: t.Most})
	}
	add("worker", &apiv1.Token{Role: "worker"})
	add("server", &apiv1.Token{Role: "server"})
	add("admin", &apiv1.Token{Role: "admin"})
	add("once", &apiv1.Token{Role: "worker", Most: 1})
	add("over", &apiv1.Token{Role: "worker", ExpiresMs: 1})
	slices.SortFunc(first.Tokens, func(a, b *apiv1.Token) int { return strings.Compare(a.Id, b.Id) })
	b.Control = b.server(fsm.New(), b.seal[:])
	b.log = &memoryLog{machine: b.state}
	for _, cmd := range []*apiv1.Command{
		{Op: &apiv1.Command_SetFeatureLevel{SetFeatureLevel: &apiv1.SetFeatureLevel{Level: fsm.FeatureLevel}}},
		{Op: &apiv1.Command_SetTrust{SetTrust: &apiv1.SetTrust{Trust: first}}},
	} {
		cmd.At = timestamppb.Now()
		_, err := b.mutate(t.Context(), cmd)
		require.NoError(t, err)
	}
	return b
}

// server is one of the cluster, with a state and what is to open the authority.
func (b *securedBed) server(state *fsm.Machine, seal []byte) *Control {
	h := b.holds(trust.Server, "s1")
	return &Control{cfg: Config{Security: Security{Holder: h, Seal: seal}}, state: state, slog: slog.New(slog.DiscardHandler)}
}

func (b *securedBed) holds(role trust.Role, called string) *trust.Holder {
	b.t.Helper()
	key, request, err := trust.Request()
	require.NoError(b.t, err)
	cert, err := b.signs.Sign(request, trust.Identity{Cluster: "c1", Role: role, Name: called}, time.Now(), time.Hour)
	require.NoError(b.t, err)
	h, err := trust.NewHolder(b.signs.Certificate(), cert, key, nil)
	require.NoError(b.t, err)
	return h
}

// enroll asks for a certificate, and says whom it names.
func (b *securedBed) enroll(ctx context.Context, c *Control, token, called string) (id string, res *apiv1.EnrollResponse, err error) {
	b.t.Helper()
	_, request, err := trust.Request()
	require.NoError(b.t, err)
	res, err = c.Enroll(ctx, &apiv1.EnrollRequest{Token: token, Request: request, Name: called})
	if err != nil {
		return "", nil, err
	}
	cert, err := x509.ParseCertificate(res.Certificate)
	require.NoError(b.t, err)
	who, err := trust.IdentityOf(cert)
	require.NoError(b.t, err)
	return who.String(), res, nil
}

func (b *securedBed) secret(what string) string { return b.tokens[what].Secret() }

// as is a request of whom a certificate names.
func as(ctx context.Context, role trust.Role, called string) context.Context {
	return context.WithValue(ctx, principalKey{}, &principal{role: role, name: called})
}

// TestEnroll: a token for joining gives a certificate of its role, as often and as long as it may; a certificate gives another of the same.
func TestEnroll(t *testing.T) {
	b := newSecured(t)
	id, res, err := b.enroll(t.Context(), b.Control, b.secret("worker"), "w1")
	require.NoError(t, err)
	require.Equal(t, "godwit://c1/worker/w1", id)
	require.Len(t, res.GossipKeys, 1)
	require.Nil(t, res.Seal, "it is for servers alone")
	require.EqualValues(t, 1, b.state.View().Token(b.tokens["worker"].ID).Used)
	id, res, err = b.enroll(t.Context(), b.Control, b.secret("server"), "s2")
	require.NoError(t, err)
	require.Equal(t, "godwit://c1/server/s2", id)
	require.Equal(t, b.seal[:], res.Seal)

	_, _, err = b.enroll(t.Context(), b.Control, b.secret("once"), "no/name")
	require.ErrorContains(t, err, "no name")
	_, _, err = b.enroll(t.Context(), b.Control, b.secret("once"), "w2")
	require.NoError(t, err, "a mistake does not use it up")
	for what, word := range map[string]string{
		"used up": b.secret("once"), "expired": b.secret("over"), "unknown": trust.NewToken(b.signs.Pin()).Secret(),
	} {
		_, _, err = b.enroll(t.Context(), b.Control, word, "w3")
		require.Equal(t, connect.CodeUnauthenticated, connect.CodeOf(err), what)
		require.ErrorContains(t, err, "worth nothing here", what)
	}
	_, _, err = b.enroll(t.Context(), b.Control, b.secret("admin"), "w3")
	require.ErrorContains(t, err, "nobody joins by it")
	_, err = b.RevokeToken(t.Context(), &apiv1.RevokeTokenRequest{IdempotencyKey: "k", Id: b.tokens["worker"].ID})
	require.NoError(t, err)
	_, _, err = b.enroll(t.Context(), b.Control, b.secret("worker"), "w3")
	require.ErrorContains(t, err, "worth nothing here", "it was revoked")

	id, _, err = b.enroll(as(t.Context(), trust.Worker, "w1"), b.Control, "", "w2")
	require.NoError(t, err)
	require.Equal(t, "godwit://c1/worker/w1", id, "whoever renews says not who he is")
	for _, ctx := range []context.Context{t.Context(), as(t.Context(), trust.Admin, "token x"), as(t.Context(), nobody, "")} {
		_, _, err = b.enroll(ctx, b.Control, "", "w1")
		require.Equal(t, connect.CodeUnauthenticated, connect.CodeOf(err))
	}
	_, err = (&Control{}).Enroll(t.Context(), &apiv1.EnrollRequest{})
	require.ErrorContains(t, err, "not secured")
}

// TestAnyServerSigns: after a failover another server gives certificates, of the same authority; one with another seal cannot.
func TestAnyServerSigns(t *testing.T) {
	b := newSecured(t)
	next := b.server(b.state, b.seal[:])
	next.log = b.log
	id, res, err := b.enroll(t.Context(), next, b.secret("worker"), "w1")
	require.NoError(t, err)
	require.Equal(t, "godwit://c1/worker/w1", id)
	require.Equal(t, b.signs.Certificate(), res.Authority)
	other := b.server(b.state, make([]byte, trust.KeySize))
	_, _, err = b.enroll(t.Context(), other, b.secret("worker"), "w1")
	require.ErrorIs(t, err, trust.ErrSealed)
}

// TestJoinRate: one address has few tries in a second.
func TestJoinRate(t *testing.T) {
	b := newSecured(t)
	for range joinBurst {
		_, _, err := b.enroll(t.Context(), b.Control, "", "w1")
		require.Equal(t, connect.CodeUnauthenticated, connect.CodeOf(err))
	}
	var err error
	for i := 0; i < 3 && connect.CodeOf(err) != connect.CodeResourceExhausted; i++ {
		_, _, err = b.enroll(t.Context(), b.Control, b.secret("worker"), "w1")
	}
	require.Equal(t, connect.CodeResourceExhausted, connect.CodeOf(err))

	var j joining
	now := time.Now()
	from := transport.From(t.Context())
	n := 0
	for j.may(from, now) {
		n++
	}
	require.Equal(t, joinBurst+1, n)
	require.False(t, j.may(from, now.Add(time.Second/joinRate-1)))
	require.True(t, j.may(from, now.Add(time.Second/joinRate)))
}

// TestWhoCalls: a caller is whom the certificate names, or who has the token; for somebody else speaks a server that passes a request on, and nobody else.
func TestWhoCalls(t *testing.T) {
	b := newSecured(t)
	worker, server := trust.Identity{Cluster: "c1", Role: trust.Worker, Name: "w1"}, trust.Identity{Cluster: "c1", Role: trust.Server, Name: "s2"}
	for _, tt := range []struct {
		what    string
		peer    *trust.Identity
		headers map[string]string
		want    string
	}{
		{"nobody", nil, nil, nobodyText},
		{"a worker", &worker, nil, "worker w1"},
		{"a server", &server, nil, "server s2"},
		{"a token", nil, map[string]string{tokenHeader: tokenScheme + b.secret("admin")}, "admin token " + b.tokens["admin"].ID},
		{"a server, for a worker", &server, map[string]string{hopHeader: "1", forHeader: worker.String()}, "worker w1"},
		{"a server, for a token", &server, map[string]string{hopHeader: "1", tokenHeader: tokenScheme + b.secret("admin")}, "admin token " + b.tokens["admin"].ID},
		{"a server, for nobody", &server, map[string]string{hopHeader: "1"}, nobodyText},
		{"a worker that says it is passed on", &worker, map[string]string{hopHeader: "1", forHeader: server.String()}, "worker w1"},
		{"nobody, who says so", nil, map[string]string{hopHeader: "1", forHeader: server.String()}, nobodyText},
	} {
		ctx := t.Context()
		if tt.peer != nil {
			ctx = transport.WithPeer(ctx, *tt.peer)
		}
		p, err := b.whoCalls(ctx, func(h string) string { return tt.headers[h] })
		require.NoError(t, err, tt.what)
		require.Equal(t, tt.want, p.String(), tt.what)
	}
	for _, word := range []string{b.secret("worker"), b.secret("over"), "x", trust.NewToken(b.signs.Pin()).Secret()} {
		_, err := b.whoCalls(t.Context(), func(h string) string { return map[string]string{tokenHeader: tokenScheme + word}[h] })
		require.Error(t, err)
		if len(word) > 1 {
			require.NotContains(t, err.Error(), word)
		}
	}
	require.NoError(t, speaksFor(as(t.Context(), trust.Worker, "w1"), "w1"))
	require.ErrorContains(t, speaksFor(as(t.Context(), trust.Worker, "w1"), "w2"), "speaks for, host w2")
	require.NoError(t, speaksFor(as(t.Context(), trust.Operator, "token x"), "w2"))
	require.NoError(t, speaksFor(t.Context(), "w2"), "a cluster that is not secured")
}

const nobodyText = "somebody who has not said who he is"

// TestCreateToken: the cluster keeps a hash, and shows none; of one for joining it bounds how long and how often.
func TestCreateToken(t *testing.T) {
	b := newSecured(t)
	token := trust.NewToken(b.signs.Pin())
	ask := &apiv1.CreateTokenRequest{IdempotencyKey: "k1", Token: &apiv1.Token{Id: token.ID, Hash: token.Hash(), Role: "worker", Note: "rack 4"}}
	ctx := as(t.Context(), trust.Admin, "token a")
	res, err := b.CreateToken(ctx, ask)
	require.NoError(t, err)
	require.EqualValues(t, mostWorkers, res.Token.Most)
	require.Equal(t, joinToken.Milliseconds(), res.Token.ExpiresMs-res.Token.MadeMs)
	require.Equal(t, "admin token a", res.Token.MadeBy)
	require.Empty(t, res.Token.Hash)
	_, _, err = b.enroll(t.Context(), b.Control, token.Secret(), "w9")
	require.NoError(t, err)
	for wrong, change := range map[string]func(*apiv1.Token){
		"is no role that a token may have": func(t *apiv1.Token) { t.Role = "submitter" },
		"it has to have 32":                func(t *apiv1.Token) { t.Hash = nil },
		"token.id":                         func(t *apiv1.Token) { t.Id = "" },
	} {
		bad := &apiv1.Token{Id: "x1", Hash: token.Hash(), Role: "admin"}
		change(bad)
		_, err := b.CreateToken(ctx, &apiv1.CreateTokenRequest{IdempotencyKey: wrong, Token: bad})
		require.ErrorContains(t, err, wrong)
	}
	list, err := b.ListTokens(ctx, &apiv1.ListTokensRequest{})
	require.NoError(t, err)
	require.Len(t, list.Tokens, 6)
	for _, l := range list.Tokens {
		require.Empty(t, l.Hash)
	}
}

// TestRevokedStream: a stream that goes on ends when the token is revoked that it was asked for with, or its time is over, and not before.
func TestRevokedStream(t *testing.T) {
	b := newSecured(t)
	ctx, end := b.whileTrusted(t.Context(), b.tokens["admin"].ID)
	defer end()
	_, err := b.RevokeToken(t.Context(), &apiv1.RevokeTokenRequest{IdempotencyKey: "k1", Id: b.tokens["server"].ID})
	require.NoError(t, err)
	require.NoError(t, ctx.Err(), "it was another's")
	_, err = b.RevokeToken(t.Context(), &apiv1.RevokeTokenRequest{IdempotencyKey: "k2", Id: b.tokens["admin"].ID})
	require.NoError(t, err)
	select {
	case <-ctx.Done():
		require.ErrorContains(t, context.Cause(ctx), "worth nothing here")
	case <-time.After(10 * time.Second):
		require.Fail(t, "the stream goes on")
	}
	token := trust.NewToken(b.signs.Pin())
	_, err = b.CreateToken(as(t.Context(), trust.Admin, "x"), &apiv1.CreateTokenRequest{
		IdempotencyKey: "k3", Token: &apiv1.Token{Id: token.ID, Hash: token.Hash(), Role: "reader"}, TtlMs: 50,
	})
	require.NoError(t, err)
	short, endShort := b.whileTrusted(t.Context(), token.ID)
	defer endShort()
	select {
	case <-short.Done():
		require.ErrorContains(t, context.Cause(short), "worth nothing here")
	case <-time.After(10 * time.Second):
		require.Fail(t, "the stream goes on")
	}
}

// TestRenewIn: all are renewed before two thirds of their time are over, and not all at once.
func TestRenewIn(t *testing.T) {
	b := newSecured(t)
	h := b.holds(trust.Worker, "w1") // for an hour
	waits := map[time.Duration]bool{}
	for range 50 {
		in := RenewIn(h, time.Now())
		require.LessOrEqual(t, in, 40*time.Minute)
		require.GreaterOrEqual(t, in, 34*time.Minute)
		waits[in.Truncate(time.Second)] = true
	}
	require.Greater(t, len(waits), 10)
	require.Zero(t, RenewIn(h, time.Now().Add(time.Hour)))
}

// TestLinkKey: the executors of an app have one key at an epoch, whoever leads; others have another, and an app that is over has none.
func TestLinkKey(t *testing.T) {
	b := newSecured(t)
	derive := func(app string, epoch uint64) []byte {
		key, err := trust.Derive(b.seal[:], trust.PurposeLinks("c1", app, epoch))
		require.NoError(t, err)
		return key
	}
	require.NotEqual(t, derive("a", 1), derive("a", 2))
	require.NotEqual(t, derive("a", 1), derive("b", 1))
	app := &apiv1.App{Id: "a", Phase: "running", Epoch: 4}
	whole := &apiv1.AppRecord{
		Index: 3, Term: 2, App: app, Migration: &apiv1.Migration{Id: "m"}, Addrs: map[string]string{"h1": "a:1"}, Amends: 1, Checkpoint: &apiv1.Checkpoint{Id: "c"},
		Restore: &apiv1.Checkpoint{Id: "r"}, Moved: []*apiv1.MovedRank{{Rank: 1, Host: "h1"}},
	}
	keyed, err := b.withLinkKey(whole)
	require.NoError(t, err)
	require.Equal(t, derive("a", 4), keyed.LinkKey)
	require.Same(t, app, keyed.App)
	require.Nil(t, whole.LinkKey, "others share it")
	keyed.LinkKey = nil
	require.True(t, proto.Equal(whole, keyed))

	rec := &apiv1.AppRecord{App: &apiv1.App{Id: "a", Phase: "succeeded"}}
	got, err := b.withLinkKey(rec)
	require.NoError(t, err)
	require.Same(t, rec, got)
	got, err = (&Control{}).withLinkKey(rec)
	require.NoError(t, err)
	require.Same(t, rec, got)
}
