// Package identity lets a server prove who it is. A server's id is made from the public half of a key that lies beside it in
// the data directory; so whoever knows the id can tell an answer of that server, or of a copy of its directory, from one of
// a stranger, without having met it before and without a list of keys.
package identity

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"

	"github.com/google/uuid"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

const (
	// SeedSize is the size of a key's seed in bytes.
	SeedSize = ed25519.SeedSize
	// space makes server ids from public keys.
	space = "4a0a1ff0-3d0d-4c55-9b0f-6a0a7b1d52c4"
	// purpose keeps a signature from being taken for one of another kind.
	purpose = "godwit discover 1"
	// MaxNonce bounds what a caller can have signed, in bytes.
	MaxNonce = 64
)

// ErrUnproved is returned for an answer that does not prove that the server it names has given it.
var ErrUnproved = errors.New("the answer proves nothing")

// Key is the secret of one server. The zero Key signs nothing.
type Key struct{ private ed25519.PrivateKey }

// New makes a key.
func New() Key { return FromSeed([SeedSize]byte(Nonce())) }

// FromSeed makes the key again that Seed came from.
func FromSeed(seed [SeedSize]byte) Key { return Key{ed25519.NewKeyFromSeed(seed[:])} }

// Seed is what must be kept of the key, and kept secret.
func (k Key) Seed() [SeedSize]byte { return [SeedSize]byte(k.private.Seed()) }

// ID is the id of the server that has the key.
func (k Key) ID() string { return idOf(k.public()) }

func (k Key) public() ed25519.PublicKey { return ed25519.PublicKey(k.private[ed25519.SeedSize:]) }

func idOf(public ed25519.PublicKey) string {
	return uuid.NewHash(sha256.New(), uuid.MustParse(space), public, 8).String()
}

// Nonce is fresh, so that what is signed with it was signed afterwards.
func Nonce() []byte {
	b := make([]byte, 32)
	_, _ = rand.Read(b) // it never fails
	return b
}

// Sign proves that the answer comes from the key's server, to the caller who chose the nonce.
func (k Key) Sign(nonce []byte, res *apiv1.DiscoverResponse) {
	if len(nonce) == 0 || len(nonce) > MaxNonce || k.private == nil {
		return
	}
	res.PublicKey = k.public()
	res.Signature = ed25519.Sign(k.private, statement(nonce, res))
}

// Verify returns ErrUnproved unless the server that the answer names has signed it with the nonce.
func Verify(nonce []byte, res *apiv1.DiscoverResponse) error {
	switch {
	case res.GetServerId() == "" || len(res.PublicKey) != ed25519.PublicKeySize || len(res.Signature) == 0:
		return fmt.Errorf("%w: it is not signed", ErrUnproved)
	case idOf(res.PublicKey) != res.ServerId:
		return fmt.Errorf("%w: it names server %.64q, and is signed with another server's key", ErrUnproved, res.ServerId)
	case len(nonce) == 0 || !ed25519.Verify(res.PublicKey, statement(nonce, res), res.Signature):
		return fmt.Errorf("%w: its signature is wrong", ErrUnproved)
	}
	return nil
}

// statement is what is signed: who says it, where, of which cluster, how far it is, what its build knows, and which cluster it seeks.
func statement(nonce []byte, res *apiv1.DiscoverResponse) []byte {
	var b bytes.Buffer
	for _, part := range [][]byte{
		[]byte(purpose), nonce, []byte(res.ServerId), []byte(res.ClusterId), []byte(res.Addr), []byte(res.ProcessId),
	} {
		b.Write(binary.AppendUvarint(nil, uint64(len(part))))
		b.Write(part)
	}
	for _, n := range []uint64{res.Term, res.LastLogTerm, res.LastLogIndex, uint64(res.Standing), uint64(res.FeatureLevel)} { //nolint:gosec // bits alone count
		b.Write(binary.BigEndian.AppendUint64(nil, n))
	}
	if res.SeeksCluster != "" || res.SeeksAny { // members seek nothing
		b.Write(binary.AppendUvarint(nil, uint64(len(res.SeeksCluster))))
		b.WriteString(res.SeeksCluster)
		b.Write(strconv.AppendBool(nil, res.SeeksAny))
	}
	return b.Bytes()
}
