package trust

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/godwit-run/godwit/internal/durable"
)

const (
	// keptDir is the directory, in a data directory, of what its process is known by, and keptFile the file there that has it all: it changes as one.
	keptDir  = "tls"
	keptFile = "identity.pem"
	maxKept  = 64 << 10 // bytes of it

	ownDir  fs.FileMode = 0o700
	ownFile fs.FileMode = 0o600
)

// The blocks of that file.
const (
	blockCertificate = "CERTIFICATE" // its own, then the authority's
	blockKey         = "PRIVATE KEY"
	blockSeal        = "GODWIT SEAL"
	blockGossip      = "GODWIT GOSSIP KEY"
)

// ErrWide is returned when others than their owner may read, or change, what only he may.
var ErrWide = errors.New("it holds secrets, and others may get at it")

// Kept is what a server or a worker keeps of who it is, and of whom it knows.
type Kept struct {
	Certificate, Authority []byte // in DER
	Key                    *ecdsa.PrivateKey
	Gossip                 [][]byte // what gossip is encrypted with, the key in use first
	Seal                   []byte   // what opens the cluster's sealed authority; nil: it is no server's
}

// Holder holds what is kept.
func (k *Kept) Holder() (*Holder, error) {
	return NewHolder(k.Authority, k.Certificate, k.Key, nil)
}

// Load reads what is kept in a data directory; nil: nothing is. It returns ErrWide if others may read it.
func Load(dataDir string) (*Kept, error) {
	path := filepath.Join(dataDir, keptDir, keptFile)
	if err := narrow(filepath.Dir(path), ownDir); err != nil {
		return nil, missing(err)
	}
	if err := narrow(path, ownFile); err != nil {
		return nil, missing(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	k, err := decode(b)
	if err != nil {
		return nil, fmt.Errorf("%s is damaged: %w. Restore it, or remove it and join the cluster anew with a token", path, err)
	}
	return k, nil
}

func missing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// narrow says whether none but the owner, who is this process's user, may get at a file or directory.
func narrow(path string, most fs.FileMode) error {
	st, err := os.Lstat(path)
	if err != nil {
		return err
	}
	if mode := st.Mode(); mode.Perm()&^most != 0 || mode&fs.ModeSymlink != 0 {
		return fmt.Errorf("%s has mode %v: %w: chmod %o it, or if others were there, remove it and join anew", path, mode, ErrWide, most)
	}
	return nil
}

// Save writes what is kept into a data directory, all of it or nothing.
func (k *Kept) Save(dataDir string) error {
	dir := filepath.Join(dataDir, keptDir)
	if err := durable.MkdirAll(dir, ownDir); err != nil {
		return err
	}
	if err := narrow(dir, ownDir); err != nil {
		return err
	}
	b, err := k.encode()
	if err != nil {
		return err
	}
	return durable.WriteFile(filepath.Join(dir, keptFile), b, ownFile)
}

func (k *Kept) encode() ([]byte, error) {
	key, err := x509.MarshalPKCS8PrivateKey(k.Key)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	put := func(kind string, data []byte) {
		b.Write(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: data}))
	}
	put(blockCertificate, k.Certificate)
	put(blockCertificate, k.Authority)
	put(blockKey, key)
	for _, g := range k.Gossip {
		put(blockGossip, g)
	}
	if k.Seal != nil {
		put(blockSeal, k.Seal)
	}
	return b.Bytes(), nil
}

func decode(b []byte) (*Kept, error) {
	if len(b) > maxKept {
		return nil, fmt.Errorf("it has %d bytes", len(b))
	}
	k := &Kept{}
	for {
		block, rest := pem.Decode(b)
		if block == nil {
			break
		}
		b = rest
		switch block.Type {
		case blockCertificate:
			if k.Certificate == nil {
				k.Certificate = block.Bytes
			} else {
				k.Authority = block.Bytes
			}
		case blockKey:
			key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
			if err != nil {
				return nil, err
			}
			k.Key, _ = key.(*ecdsa.PrivateKey)
		case blockGossip:
			k.Gossip = append(k.Gossip, block.Bytes)
		case blockSeal:
			k.Seal = block.Bytes
		}
	}
	if k.Certificate == nil || k.Authority == nil || k.Key == nil || k.Seal != nil && len(k.Seal) != KeySize {
		return nil, errors.New("it lacks a certificate, the authority's or the key")
	}
	return k, nil
}

// Derive is a key for one purpose, made of what opens the sealed authority: servers know it without being told, others are told the key alone.
func Derive(seal []byte, purpose string) ([]byte, error) {
	return hkdf.Key(sha256.New, seal, nil, "godwit "+purpose, KeySize)
}
