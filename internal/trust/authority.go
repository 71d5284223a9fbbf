package trust

import (
	"bytes"
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base32"
	"errors"
	"fmt"
	"math/big"
	"net/url"
	"strings"
	"time"
)

const (
	authorityLife = 10 * 365 * 24 * time.Hour
	// skew is how far a machine's clock may be behind the server's that has signed its certificate.
	skew = time.Hour
	// KeySize is the size of the key that an authority is sealed with, in bytes.
	KeySize = 32
	// pinSize is how much of a hash a pin has, in bytes: 160 bits, which nobody finds a second key for.
	pinSize = 20
	// maxRequest bounds a request for a certificate, in bytes.
	maxRequest = 4 << 10
)

// Errors of an authority.
var (
	// ErrSealed is returned when a key does not open what an authority was sealed to, or that is damaged.
	ErrSealed = errors.New("the sealed authority cannot be opened: the key is another one, or it is damaged")
	// ErrRequest is returned for a request for a certificate that is none, or that whoever made it has not signed.
	ErrRequest = errors.New("no request for a certificate")
)

// Authority signs the certificates of one cluster. It is safe for concurrent use.
type Authority struct {
	cert *x509.Certificate
	key  crypto.Signer
}

// NewAuthority makes the authority of a cluster, with a new key.
func NewAuthority(cluster string, now time.Time) (*Authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	id := Identity{cluster, Server, "authority"}
	if err := id.check(); err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: "godwit authority of " + cluster}, URIs: []*url.URL{{Scheme: scheme, Host: cluster}},
		NotBefore: now.Add(-skew), NotAfter: now.Add(authorityLife),
		KeyUsage: x509.KeyUsageCertSign, BasicConstraintsValid: true, IsCA: true, MaxPathLenZero: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(der)
	return &Authority{cert, key}, err
}

// serial is a certificate's number: random, so that no two servers need to agree on it.
func serial() *big.Int {
	b := make([]byte, 16)
	_, _ = rand.Read(b) // it never fails
	b[0] &= 0x7f
	return new(big.Int).SetBytes(b)
}

// Certificate is the authority's own, in DER: whom all of the cluster trust.
func (a *Authority) Certificate() []byte { return a.cert.Raw }

// Cluster is the id of the cluster that the authority is of.
func (a *Authority) Cluster() string { return clusterOf(a.cert) }

// clusterOf is which cluster an authority's certificate is of; empty: it is none's.
func clusterOf(cert *x509.Certificate) string {
	if len(cert.URIs) != 1 || cert.URIs[0].Scheme != scheme {
		return ""
	}
	return cert.URIs[0].Host
}

// Pin is a hash of the authority's key, by which a token names it.
func (a *Authority) Pin() string { return pinOf(a.cert) }

func pinOf(cert *x509.Certificate) string {
	sum := sha256.Sum256(cert.RawSubjectPublicKeyInfo)
	return lower(sum[:pinSize])
}

// encoding is of what people copy: letters and digits that are not taken for each other.
var encoding = base32.StdEncoding.WithPadding(base32.NoPadding) //nolint:gochecknoglobals // immutable

func lower(b []byte) string { return strings.ToLower(encoding.EncodeToString(b)) }

// Request asks for a certificate: it makes a key, and has what Sign wants of its public half, in DER.
func Request() (key *ecdsa.PrivateKey, request []byte, err error) {
	if key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		return nil, nil, err
	}
	request, err = x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	return key, request, err
}

// Sign gives whoever has made a request a certificate as id, which lasts for a time from now on. Nothing that the request says is believed but that its key is the one that has signed it.
func (a *Authority) Sign(request []byte, id Identity, now time.Time, lasts time.Duration) (der []byte, err error) {
	if err := id.check(); err != nil {
		return nil, err
	}
	if id.Cluster != a.Cluster() {
		return nil, fmt.Errorf("%w: the authority is of cluster %s, not of %s", ErrIdentity, a.Cluster(), id.Cluster)
	}
	if len(request) > maxRequest {
		return nil, fmt.Errorf("%w: it has %d bytes, at most %d", ErrRequest, len(request), maxRequest)
	}
	asked, err := x509.ParseCertificateRequest(request)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRequest, err)
	}
	if key, ok := asked.PublicKey.(*ecdsa.PublicKey); !ok || key.Curve != elliptic.P256() {
		return nil, fmt.Errorf("%w: its key is none of P-256", ErrRequest)
	}
	if err := asked.CheckSignature(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRequest, err)
	}
	template := &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: id.Name}, URIs: []*url.URL{id.url()},
		NotBefore: now.Add(-skew), NotAfter: earlier(now.Add(lasts), a.cert.NotAfter),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
	}
	return x509.CreateCertificate(rand.Reader, template, a.cert, asked.PublicKey, a.key)
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// Seal is the authority, its key too, as only who has key opens it: to be kept where others may read it.
func (a *Authority) Seal(key [KeySize]byte) ([]byte, error) {
	private, err := x509.MarshalPKCS8PrivateKey(a.key)
	if err != nil {
		return nil, err
	}
	aead, err := sealing(key)
	if err != nil {
		return nil, err
	}
	nonce := make([]byte, aead.NonceSize())
	_, _ = rand.Read(nonce)
	return append(nonce, aead.Seal(nil, nonce, private, a.cert.Raw)...), nil
}

// OpenAuthority opens what Seal has made, of the authority with this certificate.
func OpenAuthority(certificate, sealed []byte, key [KeySize]byte) (*Authority, error) {
	cert, err := x509.ParseCertificate(certificate)
	if err != nil {
		return nil, fmt.Errorf("the authority's certificate: %w", err)
	}
	aead, err := sealing(key)
	if err != nil {
		return nil, err
	}
	if len(sealed) < aead.NonceSize() {
		return nil, ErrSealed
	}
	private, err := aead.Open(nil, sealed[:aead.NonceSize()], sealed[aead.NonceSize():], certificate)
	if err != nil {
		return nil, ErrSealed
	}
	parsed, err := x509.ParsePKCS8PrivateKey(private)
	if err != nil {
		return nil, ErrSealed
	}
	signer, ok := parsed.(*ecdsa.PrivateKey)
	if !ok {
		return nil, ErrSealed
	}
	public, err := x509.MarshalPKIXPublicKey(signer.Public())
	if err != nil || !bytes.Equal(public, cert.RawSubjectPublicKeyInfo) {
		return nil, ErrSealed
	}
	return &Authority{cert, signer}, nil
}

func sealing(key [KeySize]byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key[:])
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}
