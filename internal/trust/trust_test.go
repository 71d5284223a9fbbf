package trust

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func authority(t *testing.T, cluster string) *Authority {
	a, err := NewAuthority(cluster, time.Now())
	require.NoError(t, err)
	return a
}

// holds has an authority give a certificate to a new key.
func holds(t *testing.T, a *Authority, role Role, called string) *Holder {
	key, request, err := Request()
	require.NoError(t, err)
	cert, err := a.Sign(request, Identity{a.Cluster(), role, called}, time.Now(), time.Hour)
	require.NoError(t, err)
	h, err := NewHolder(a.Certificate(), cert, key, nil)
	require.NoError(t, err)
	require.Equal(t, Identity{a.Cluster(), role, called}, h.Identity())
	return h
}

// meet has two ends shake hands and each send a byte, over loopback, and returns what either makes of the other.
func meet(t *testing.T, listens, dials *tls.Config) (who tls.ConnectionState, server, client error) {
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close() //nolint:errcheck // of this test
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	talk := func(c *tls.Conn) error {
		defer c.Close() //nolint:errcheck // of this test
		if err := c.HandshakeContext(ctx); err != nil {
			return err
		}
		if _, err := c.Write([]byte{1}); err != nil {
			return err
		}
		_, err := c.Read(make([]byte, 1))
		return err
	}
	done := make(chan error, 1)
	go func() {
		c, err := l.Accept()
		if err == nil {
			s := tls.Server(c, listens)
			err = talk(s)
			who = s.ConnectionState()
		}
		done <- err
	}()
	c, err := (&net.Dialer{}).DialContext(ctx, "tcp", l.Addr().String())
	require.NoError(t, err)
	client = talk(tls.Client(c, dials))
	server = <-done
	return who, server, client
}

// Who is of a cluster is known by it; a stranger, and one of another cluster, gets nowhere, at either end.
func TestWhoMeets(t *testing.T) {
	ours, others := authority(t, "c1"), authority(t, "c2")
	server, worker, stranger := holds(t, ours, Server, "s1"), holds(t, ours, Worker, "w1"), holds(t, others, Worker, "w1")
	onlyWorkers := func(id Identity) error {
		if id.Role != Worker {
			return fmt.Errorf("%w: %s", ErrRole, id)
		}
		return nil
	}
	serves := server.Listens([]string{"a", "b"}, onlyWorkers)
	who, at, from := meet(t, serves, worker.Dials("b", Server, "s1"))
	require.NoError(t, errors.Join(at, from))
	id, ok := Peer(who)
	require.True(t, ok)
	require.Equal(t, "godwit://c1/worker/w1", id.String())
	require.Equal(t, "b", who.NegotiatedProtocol)

	_, _, from = meet(t, serves, worker.Dials("b", Server, "s2"))
	require.ErrorIs(t, from, ErrRole)
	_, _, from = meet(t, serves, worker.Dials("b", Worker, ""))
	require.ErrorIs(t, from, ErrRole)
	_, _, from = meet(t, serves, worker.Dials("x", Server, ""))
	require.ErrorContains(t, from, "no application protocol")
	_, at, from = meet(t, serves, server.Dials("a", Server, ""))
	require.ErrorIs(t, at, ErrRole)
	require.ErrorContains(t, from, "bad certificate")
	_, _, from = meet(t, serves, stranger.Dials("a", Server, ""))
	require.ErrorIs(t, from, ErrOtherCluster)
	require.ErrorContains(t, from, "c1")

	// one who does not look at who listens is looked at all the same
	reckless := &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"a"}} //nolint:gosec // that is the point
	_, at, _ = meet(t, serves, reckless)
	require.ErrorContains(t, at, "didn't provide a certificate")
	reckless.GetClientCertificate = stranger.Dials("a", Server, "").GetClientCertificate
	_, at, _ = meet(t, serves, reckless)
	require.ErrorIs(t, at, ErrOtherCluster)
	reckless.MinVersion, reckless.MaxVersion = tls.VersionTLS12, tls.VersionTLS12
	_, at, _ = meet(t, serves, reckless)
	require.ErrorContains(t, at, "unsupported versions")

	open := server.Listens([]string{"h2"}, nil) // who has a token needs no certificate; a bad one is refused
	who, at, from = meet(t, open, DialsPinned("h2", ours.Pin(), nil, func([]byte) {}))
	require.NoError(t, errors.Join(at, from))
	_, ok = Peer(who)
	require.False(t, ok)
	reckless = &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}, GetClientCertificate: stranger.Dials("h2", Server, "").GetClientCertificate} //nolint:gosec // that is the point
	_, at, _ = meet(t, open, reckless)
	require.ErrorIs(t, at, ErrOtherCluster)
}

// A token's holder knows the cluster before it says anything.
func TestPinned(t *testing.T) {
	ours, others := authority(t, "c1"), authority(t, "c1")
	learned := []byte(nil)
	pinned := DialsPinned("h2", ours.Pin(), nil, func(der []byte) { learned = der })
	_, at, from := meet(t, holds(t, ours, Server, "s1").Listens([]string{"h2"}, nil), pinned)
	require.NoError(t, errors.Join(at, from))
	require.Equal(t, ours.Certificate(), learned)
	for _, listens := range []*Holder{holds(t, others, Server, "s1"), holds(t, ours, Worker, "w1")} {
		learned = nil
		_, at, from = meet(t, listens.Listens([]string{"h2"}, nil), pinned)
		require.Error(t, at)
		require.Error(t, from)
		require.Nil(t, learned)
	}
	// one that shows the right authority and a certificate that it has not signed
	liar := holds(t, others, Server, "s1").Listens([]string{"h2"}, nil)
	get := liar.GetCertificate
	liar.GetCertificate = func(h *tls.ClientHelloInfo) (*tls.Certificate, error) {
		c, err := get(h)
		lie := *c
		lie.Certificate = [][]byte{c.Certificate[0], ours.Certificate()}
		return &lie, err
	}
	_, _, from = meet(t, liar, pinned)
	require.ErrorIs(t, from, ErrStranger)
}

// A certificate that is over opens nothing, and another one is shown from when it is there, by listeners and dialers that there are.
func TestExpiryAndRenewal(t *testing.T) {
	a := authority(t, "c1")
	server := holds(t, a, Server, "s1")
	now := time.Now()
	later := func() time.Time { return now.Add(2 * time.Hour) }
	server.now = later
	worker := holds(t, a, Worker, "w1")
	require.WithinDuration(t, now.Add(40*time.Minute), worker.Renew(), time.Minute)
	serves, dials := server.Listens([]string{"a"}, func(Identity) error { return nil }), worker.Dials("a", Server, "")
	_, at, _ := meet(t, serves, dials)
	require.ErrorContains(t, at, "is not valid at")
	require.ErrorContains(t, at, "godwit://c1/worker/w1")

	key, request, err := Request()
	require.NoError(t, err)
	sign := func(id Identity) []byte {
		cert, err := a.Sign(request, id, now, 3*time.Hour)
		require.NoError(t, err)
		return cert
	}
	require.ErrorContains(t, worker.Replace(sign(Identity{"c1", Worker, "w2"}), key), "is of godwit://c1/worker/w2")
	other, _, err := Request()
	require.NoError(t, err)
	require.ErrorContains(t, worker.Replace(sign(worker.Identity()), other), "of another key")
	require.NoError(t, worker.Replace(sign(worker.Identity()), key))
	_, at, from := meet(t, serves, dials)
	require.NoError(t, errors.Join(at, from))
	require.WithinDuration(t, now.Add(3*time.Hour), worker.Expires(), time.Second)
}

// What is sealed only its key opens, whole.
func TestSeal(t *testing.T) {
	a := authority(t, "c1")
	key := [KeySize]byte{1, 2, 3}
	sealed, err := a.Seal(key)
	require.NoError(t, err)
	again, err := OpenAuthority(a.Certificate(), sealed, key)
	require.NoError(t, err)
	require.Equal(t, a.Pin(), again.Pin())
	holds(t, again, Worker, "w1")
	for i := range sealed {
		damaged := append([]byte(nil), sealed...)
		damaged[i] ^= 1
		_, err := OpenAuthority(a.Certificate(), damaged, key)
		require.ErrorIs(t, err, ErrSealed)
	}
	_, err = OpenAuthority(a.Certificate(), sealed[:5], key)
	require.ErrorIs(t, err, ErrSealed)
	_, err = OpenAuthority(a.Certificate(), sealed, [KeySize]byte{})
	require.ErrorIs(t, err, ErrSealed)
	_, err = OpenAuthority(authority(t, "c1").Certificate(), sealed, key)
	require.ErrorIs(t, err, ErrSealed)
}

// The authority signs only what was asked for by who has the key, and only names.
func TestRequests(t *testing.T) {
	a := authority(t, "c1")
	_, request, err := Request()
	require.NoError(t, err)
	for want, id := range map[string]Identity{
		"is no role": {"c1", "god", "w1"}, "is no name": {"c1", Worker, "w/1"}, "is no cluster": {"", Worker, "w1"}, "of cluster c1": {"c2", Worker, "w1"},
		"is no name ": {"c1", Worker, strings.Repeat("w", 200)},
	} {
		_, err := a.Sign(request, id, time.Now(), time.Hour)
		require.ErrorIs(t, err, ErrIdentity)
		require.ErrorContains(t, err, strings.TrimSpace(want))
	}
	id := Identity{"c1", Worker, "w1"}
	for i := range request {
		damaged := append([]byte(nil), request...)
		damaged[i] ^= 1
		_, err := a.Sign(damaged, id, time.Now(), time.Hour)
		require.ErrorIs(t, err, ErrRequest, "byte %d", i)
	}
	large, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	require.NoError(t, err)
	of384, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, large)
	require.NoError(t, err)
	_, err = a.Sign(of384, id, time.Now(), time.Hour)
	require.ErrorIs(t, err, ErrRequest)
	_, err = a.Sign(make([]byte, maxRequest+1), id, time.Now(), time.Hour)
	require.ErrorIs(t, err, ErrRequest)

	// what the request says beside its key is nothing
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	wishes, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{URIs: []*url.URL{{Scheme: scheme, Host: "c1", Path: "/server/s1"}}, DNSNames: []string{"x"}}, key)
	require.NoError(t, err)
	der, err := a.Sign(wishes, id, time.Now(), 2*authorityLife)
	require.NoError(t, err)
	cert, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	got, err := IdentityOf(cert)
	require.NoError(t, err)
	require.Equal(t, id, got)
	require.Empty(t, cert.DNSNames)
	require.False(t, cert.IsCA)
	require.False(t, cert.NotAfter.After(time.Now().Add(authorityLife)), "not longer than the authority")
}

// A certificate that is signed by a holder of one is worth nothing.
func TestHoldersSignNothing(t *testing.T) {
	a := authority(t, "c1")
	key, request, err := Request()
	require.NoError(t, err)
	der, err := a.Sign(request, Identity{"c1", Worker, "w1"}, time.Now(), time.Hour)
	require.NoError(t, err)
	cert, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	forger := &Authority{cert, key}
	_, err = forger.Sign(request, Identity{"c1", Server, "s1"}, time.Now(), time.Hour)
	require.NoError(t, err, "it can sign")
	forged, err := forger.Sign(request, Identity{"c1", Server, "s1"}, time.Now(), time.Hour)
	require.NoError(t, err)
	_, err = NewHolder(a.Certificate(), forged, key, nil)
	require.ErrorIs(t, err, ErrStranger)
}

func TestTokens(t *testing.T) {
	a := authority(t, "c1")
	token := NewToken(a.Pin())
	got, err := ParseToken(" " + strings.ToLower(token.Secret()) + "\n")
	require.NoError(t, err)
	require.Equal(t, token, got)
	require.True(t, got.Is(token.Hash()))
	require.False(t, NewToken(a.Pin()).Is(token.Hash()))
	require.False(t, got.Is(nil))
	for _, shown := range []string{fmt.Sprint(token), fmt.Sprintf("%v %+v %#v %s %q", token, token, token, token, token), fmt.Sprintf("%+v %#v", []Token{token}, &token), fmt.Sprintf("%x", token.Hash())} {
		require.NotContains(t, shown, token.secret)
	}
	for _, bad := range []string{"", "GW1", "GW2" + token.Secret()[3:], token.Secret()[1:], token.Secret() + "a", token.Secret() + "-a", strings.Replace(token.Secret(), "-"+token.ID, "-"+token.ID[1:], 1), "GW1-*-*-*"} {
		_, err := ParseToken(bad)
		require.ErrorIs(t, err, ErrToken, bad)
		require.NotContains(t, err.Error(), token.secret)
	}
}

func FuzzParseToken(f *testing.F) {
	f.Add("GW1-a-b-c")
	f.Fuzz(func(t *testing.T, word string) {
		token, err := ParseToken(word)
		if err == nil {
			require.Equal(t, strings.ToLower(strings.TrimSpace(word)), strings.ToLower(token.Secret()))
		}
	})
}
