package trust

import (
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"sync/atomic"
	"time"
)

// Errors of whoever is at the other end.
var (
	// ErrStranger is returned when who is at the other end has no certificate of this cluster.
	ErrStranger = errors.New("it has no certificate of this cluster")
	// ErrOtherCluster is returned when it is of another cluster.
	ErrOtherCluster = errors.New("it is of another cluster")
	// ErrRole is returned when it is of this cluster, and not who was expected.
	ErrRole = errors.New("it is somebody else of this cluster")
	// ErrPin is returned when the cluster is not the one that a token names.
	ErrPin = errors.New("it is not the cluster that the token is of: nothing was said to it")
)

// Holder is a certificate with its key, and the cluster whose others it knows. What it holds can be replaced while it is used. It is safe for concurrent use.
type Holder struct {
	id        Identity
	authority *x509.Certificate
	roots     *x509.CertPool
	held      atomic.Pointer[tls.Certificate]
	now       func() time.Time
}

// NewHolder holds a certificate, in DER, that the authority with the given certificate has signed for key. now is the time; nil: the clock's.
func NewHolder(authority, certificate []byte, key *ecdsa.PrivateKey, now func() time.Time) (*Holder, error) {
	root, err := x509.ParseCertificate(authority)
	if err != nil {
		return nil, fmt.Errorf("the authority's certificate: %w", err)
	}
	if clusterOf(root) == "" {
		return nil, fmt.Errorf("the authority's certificate: %w", ErrIdentity)
	}
	h := &Holder{authority: root, roots: x509.NewCertPool(), now: now}
	if h.now == nil {
		h.now = time.Now
	}
	h.roots.AddCert(root)
	return h, h.Replace(certificate, key)
}

// Replace holds another certificate of the same identity from now on: new connections show it, those that there are stay.
func (h *Holder) Replace(certificate []byte, key *ecdsa.PrivateKey) error {
	leaf, err := x509.ParseCertificate(certificate)
	if err != nil {
		return fmt.Errorf("the certificate: %w", err)
	}
	if public, ok := leaf.PublicKey.(*ecdsa.PublicKey); !ok || !public.Equal(key.Public()) {
		return errors.New("the certificate is of another key")
	}
	id, err := h.verify(leaf)
	if err != nil {
		return fmt.Errorf("the certificate: %w", err)
	}
	if h.held.Load() != nil && id != h.id {
		return fmt.Errorf("the certificate is of %s, not of %s", id, h.id)
	}
	h.id = id
	h.held.Store(&tls.Certificate{Certificate: [][]byte{certificate, h.authority.Raw}, PrivateKey: key, Leaf: leaf})
	return nil
}

// Authority is the certificate of the cluster's authority, in DER.
func (h *Holder) Authority() []byte { return h.authority.Raw }

// Identity is whom the certificate names.
func (h *Holder) Identity() Identity { return h.id }

// Expires is when the certificate is worth nothing any more, and Renew when another is due: at two thirds of its time.
func (h *Holder) Expires() time.Time { return h.held.Load().Leaf.NotAfter }

// Renew is when another certificate is due: at two thirds of this one's time.
func (h *Holder) Renew() time.Time {
	leaf := h.held.Load().Leaf
	from := leaf.NotBefore.Add(skew)
	return from.Add(leaf.NotAfter.Sub(from) * 2 / 3)
}

// verify says who a certificate of this cluster names.
func (h *Holder) verify(leaf *x509.Certificate) (Identity, error) {
	id, err := IdentityOf(leaf)
	if err != nil {
		return Identity{}, fmt.Errorf("%w (%w)", ErrStranger, err)
	}
	_, err = leaf.Verify(x509.VerifyOptions{Roots: h.roots, CurrentTime: h.now(), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
	var wrong x509.CertificateInvalidError
	switch {
	case errors.As(err, &wrong) && wrong.Reason == x509.Expired:
		return Identity{}, fmt.Errorf("%s: its certificate is not valid at %s, by this machine's clock: it is from %s to %s", id, h.now().UTC().Format(time.DateTime), leaf.NotBefore.UTC().Format(time.DateTime), leaf.NotAfter.UTC().Format(time.DateTime))
	case err != nil && id.Cluster != clusterOf(h.authority):
		return Identity{}, fmt.Errorf("%w: it says %s, and this is %s", ErrOtherCluster, id.Cluster, clusterOf(h.authority))
	case err != nil:
		return Identity{}, fmt.Errorf("%w: %w", ErrStranger, err)
	case id.Cluster != clusterOf(h.authority):
		return Identity{}, fmt.Errorf("%w: %s", ErrOtherCluster, id.Cluster)
	}
	return id, nil
}

// config is what both ends have. Sessions are not resumed: whoever is not trusted any more is so at the next connection.
func (h *Holder) config(protocols []string) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13, NextProtos: protocols, SessionTicketsDisabled: true, ClientSessionCache: nil,
		GetCertificate:       func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return h.held.Load(), nil },
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return h.held.Load(), nil },
	}
}

// Listens is TLS for whoever listens, by one of the protocols (ALPN). admits decides about who connects, by who that is; nil: it need not say who it is (it may have a token), and if it does it is of this cluster.
func (h *Holder) Listens(protocols []string, admits func(Identity) error) *tls.Config {
	c := h.config(protocols)
	c.ClientAuth = tls.RequireAnyClientCert
	if admits == nil {
		c.ClientAuth = tls.RequestClientCert
	}
	c.VerifyConnection = func(s tls.ConnectionState) error {
		if len(s.PeerCertificates) == 0 && admits == nil {
			return nil
		}
		id, err := h.peer(s)
		if err == nil && admits != nil {
			err = admits(id)
		}
		return err
	}
	return c
}

// Dials is TLS for whoever connects, by a protocol (ALPN), to somebody of a role; with a name, to that one.
func (h *Holder) Dials(protocol string, role Role, called string) *tls.Config {
	c := h.config([]string{protocol})
	c.InsecureSkipVerify = true // names are not hosts': VerifyConnection verifies
	c.VerifyConnection = func(s tls.ConnectionState) error {
		id, err := h.peer(s)
		switch {
		case err != nil:
			return err
		case id.Role != role || called != "" && id.Name != called:
			return fmt.Errorf("%w: %s", ErrRole, id)
		}
		return nil
	}
	return c
}

// peer is who is at the other end.
func (h *Holder) peer(s tls.ConnectionState) (Identity, error) {
	if len(s.PeerCertificates) == 0 {
		return Identity{}, ErrStranger
	}
	return h.verify(s.PeerCertificates[0])
}

// Peer is who is at the other end of a connection that Listens or Dials has made; ok: it has said so.
func Peer(s tls.ConnectionState) (id Identity, ok bool) {
	if len(s.PeerCertificates) == 0 {
		return Identity{}, false
	}
	id, err := IdentityOf(s.PeerCertificates[0])
	return id, err == nil
}

// DialsPinned is TLS for whoever has nothing but a token: to a server of the cluster that the token names. authority gets the certificate of its authority, in DER, before anything is said.
func DialsPinned(protocol, pin string, now func() time.Time, authority func(der []byte)) *tls.Config {
	if now == nil {
		now = time.Now
	}
	return &tls.Config{
		MinVersion: tls.VersionTLS13, NextProtos: []string{protocol},
		InsecureSkipVerify: true, // VerifyConnection verifies
		VerifyConnection: func(s tls.ConnectionState) error {
			if len(s.PeerCertificates) != 2 {
				return ErrPin
			}
			root := s.PeerCertificates[1]
			if pinOf(root) != pin || !root.IsCA {
				return ErrPin
			}
			h := &Holder{authority: root, roots: x509.NewCertPool(), now: now}
			h.roots.AddCert(root)
			id, err := h.verify(s.PeerCertificates[0])
			switch {
			case err != nil:
				return err
			case id.Role != Server:
				return fmt.Errorf("%w: %s", ErrRole, id)
			}
			authority(root.Raw)
			return nil
		},
	}
}
