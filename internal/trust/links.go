package trust

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// PurposeLinks is what Derive makes the key of an app's links for, as the app is placed at an epoch.
func PurposeLinks(cluster, app string, epoch uint64) string {
	return fmt.Sprintf("links of %s/%s/%d", cluster, app, epoch)
}

// nameOfLinks is what a greeting says of whom it is for: an app's executor, with the key of an epoch.
func nameOfLinks(app string, epoch uint64) string { return app + "." + strconv.FormatUint(epoch, 10) }

// AppOfLinks is the app of such a name; empty: it is none.
func AppOfLinks(called string) string {
	if i := strings.LastIndexByte(called, '.'); i > 0 {
		return called[:i]
	}
	return ""
}

// Links is how the executors of one app know each other at an epoch, and the workers them: by a key that all of them have, and nobody else but the workers of their hosts and
// the servers. An executor has nothing of the cluster's, and nobody signs for it.
type Links struct {
	called       string
	cluster, app string
	private      ed25519.PrivateKey
	cert         tls.Certificate
	workers      *Holder // knows the cluster's others, and is nobody
}

// NewLinks makes the links of an app by their key, for an executor in the cluster of an authority whose certificate is given in DER.
func NewLinks(key []byte, app string, epoch uint64, authority []byte) (*Links, error) {
	root, err := x509.ParseCertificate(authority)
	if err != nil {
		return nil, fmt.Errorf("the authority's certificate: %w", err)
	}
	if len(key) != KeySize || clusterOf(root) == "" {
		return nil, fmt.Errorf("%w: a key of %d bytes for the links of app %s", ErrIdentity, len(key), app)
	}
	l := &Links{called: nameOfLinks(app, epoch), cluster: clusterOf(root), app: app, private: ed25519.NewKeyFromSeed(key), workers: &Holder{authority: root, roots: x509.NewCertPool(), now: time.Now}}
	l.workers.roots.AddCert(root)
	id := Identity{l.cluster, Executor, app}
	if err := id.check(); err != nil {
		return nil, err
	}
	template := &x509.Certificate{SerialNumber: serial(), URIs: []*url.URL{id.url()}, NotBefore: time.Now().Add(-skew), NotAfter: time.Now().Add(authorityLife)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, l.private.Public(), l.private)
	if err != nil {
		return nil, err
	}
	l.cert = tls.Certificate{Certificate: [][]byte{der}, PrivateKey: l.private}
	return l, nil
}

// OfApp is whom a certificate names that an executor of an app has made for itself by the key of the app's links; it does not say whether it has the key's other half,
// which TLS does.
func OfApp(leaf *x509.Certificate, key []byte) (Identity, error) {
	id, err := IdentityOf(leaf)
	if err != nil {
		return Identity{}, err
	}
	public, ok := leaf.PublicKey.(ed25519.PublicKey)
	if len(key) != KeySize || id.Role != Executor || !ok || !public.Equal(ed25519.NewKeyFromSeed(key).Public()) {
		return Identity{}, fmt.Errorf("%w: %s has not the key of its app's links", ErrStranger, id)
	}
	return id, nil
}

// config is what an executor says at either end. Whoever has the key is of the app: when a certificate was made says nothing.
func (l *Links) config(alpn string, verify func(leaf *x509.Certificate) error) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13, NextProtos: []string{alpn}, SessionTicketsDisabled: true, Certificates: []tls.Certificate{l.cert},
		InsecureSkipVerify: true, // VerifyConnection verifies
		VerifyConnection: func(s tls.ConnectionState) error {
			if len(s.PeerCertificates) == 0 {
				return ErrStranger
			}
			return verify(s.PeerCertificates[0])
		},
	}
}

func (l *Links) mine(leaf *x509.Certificate) error {
	public, ok := leaf.PublicKey.(ed25519.PublicKey)
	if !ok || !public.Equal(l.private.Public()) {
		return fmt.Errorf("%w: it is no executor of app %s", ErrStranger, l.app)
	}
	return nil
}

// Called is what a greeting says that is for these links.
func (l *Links) Called() string { return l.called }

// Listens is TLS for a connection that another executor of the app has made.
func (l *Links) Listens(alpn string) *tls.Config {
	c := l.config(alpn, l.mine)
	c.ClientAuth = tls.RequireAnyClientCert
	return c
}

// Dials is TLS for a connection to another executor of the app: its worker reads the app's id from the greeting, and hands the connection over as it is.
func (l *Links) Dials(alpn string) *tls.Config {
	c := l.config(alpn, l.mine)
	c.ServerName = l.called
	return c
}

// DialsWorker is TLS for a connection to a worker of the cluster.
func (l *Links) DialsWorker(alpn string) *tls.Config {
	return l.config(alpn, func(leaf *x509.Certificate) error {
		id, err := l.workers.verify(leaf)
		if err == nil && id.Role != Worker {
			err = fmt.Errorf("%w: %s", ErrRole, id)
		}
		return err
	})
}
