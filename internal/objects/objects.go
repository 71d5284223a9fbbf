// Package objects keeps objects by key where they outlive the hosts: in a directory that hosts share, or in a bucket of S3
// or what speaks like it. Keys are relative paths with slashes. An object is there whole, or it is not there.
package objects

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"strings"
	"time"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

// ErrAbsent is returned for an object that is not there.
var ErrAbsent = errors.New("it is not in the object store")

// ErrDamaged is returned for what is in the object store, and is not what it should be.
var ErrDamaged = errors.New("damaged")

// ErrDamagedHere is returned for what is to be stored, and is not what it should be. A store that says so does not know whether it became that on the way.
var ErrDamagedHere = errors.New("damaged here")

// silence is for how long nothing of an object may come, or be taken, and how long other answers may take.
const silence = time.Minute

// Store is an object store. Its methods may be called from any goroutine.
type Store interface {
	// Put makes an object of size bytes whose SHA-256 is digest, and says whether it was sent: one of that key and size that is there already stays.
	Put(ctx context.Context, key string, o Object) (sent bool, err error)
	// Get gives an object's bytes, and how many they are. Nothing says that they are what was put: see Read and Copy.
	Get(ctx context.Context, key string) (io.ReadCloser, int64, error)
	// List gives all objects whose keys begin with prefix, which is empty or ends in a slash, in any order.
	List(ctx context.Context, prefix string, each func(key string, size int64) error) error
	// Remove removes an object. One that is not there is no error.
	Remove(ctx context.Context, key string) error
	// Tidy removes what is no object and never will be, of those whose keys begin with prefix: pieces that were sent before their sender ended. No object of that prefix may be on its way.
	Tidy(ctx context.Context, prefix string) error
}

// Body is what an object is made of. It is read from its beginning, maybe more than once.
type Body interface {
	io.ReadSeeker
	io.ReaderAt
}

// Object is one to be put.
type Object struct {
	Body   Body
	Size   int64
	Digest string // hex SHA-256
	// Progress, if set, hears of bytes that were read.
	Progress func(n int)
}

// Text is an object that is in memory.
func Text(b []byte) Object {
	sum := sha256.Sum256(b)
	return Object{Body: strings.NewReader(string(b)), Size: int64(len(b)), Digest: hex.EncodeToString(sum[:])}
}

// Open opens the object store of an URL. It asks nobody.
func Open(ctx context.Context, url string) (Store, error) {
	place, err := apiv1.ParseStore(url)
	if err != nil {
		return nil, err
	}
	if place.Bucket == "" {
		return directory{place.Path, silence}, nil
	}
	return openS3(ctx, place)
}

// Read is all of an object of at most limit bytes.
func Read(ctx context.Context, s Store, key string, limit int64) ([]byte, error) {
	from, size, err := s.Get(ctx, key)
	if err != nil {
		return nil, err
	}
	defer from.Close() //nolint:errcheck // only read
	if size > limit {
		return nil, fmt.Errorf("%s has %d bytes; at most %d are possible", key, size, limit)
	}
	b, err := io.ReadAll(io.LimitReader(from, limit+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("%s: %w", key, err)
	case int64(len(b)) != size:
		return nil, fmt.Errorf("%s is cut short, or longer than its store says", key)
	}
	return b, nil
}

// Copy writes an object whose SHA-256 is digest, and which has size bytes, or any number if that is negative, to a writer. What was written counts only if it returns nil.
func Copy(ctx context.Context, s Store, key, digest string, size int64, to io.Writer) (int64, error) {
	from, has, err := s.Get(ctx, key)
	if err != nil {
		return 0, err
	}
	defer from.Close() //nolint:errcheck // only read
	if size < 0 {
		size = has
	}
	if has != size {
		return 0, fmt.Errorf("%s is %w: it has %d bytes, not %d", key, ErrDamaged, has, size)
	}
	sum := sha256.New()
	n, err := io.Copy(to, io.TeeReader(io.LimitReader(from, size+1), sum))
	if err != nil {
		return n, fmt.Errorf("%s: %w", key, err)
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != digest || n != size {
		return n, fmt.Errorf("%s is %w: its SHA-256 is %.12s, not %.12s", key, ErrDamaged, got, digest)
	}
	return n, nil
}

// watched is a reader that tells how far it is, and that something is read from it.
type watched struct {
	Body

	alive    func()
	progress func(int)
}

func (w watched) Read(p []byte) (int, error) {
	n, err := w.Body.Read(p)
	w.tell(n)
	return n, err
}

func (w watched) tell(n int) {
	w.alive()
	if w.progress != nil {
		w.progress(n)
	}
}

// checked hashes what is read.
type checked struct {
	from io.Reader
	sum  hash.Hash
	n    int64
}

func (c *checked) Read(p []byte) (int, error) {
	n, err := c.from.Read(p)
	c.sum.Write(p[:n])
	c.n += int64(n)
	return n, err
}

// is says whether what was read is an object.
func (c *checked) is(o Object) error {
	if got := hex.EncodeToString(c.sum.Sum(nil)); got != o.Digest || c.n != o.Size {
		return fmt.Errorf("what is to be stored as %.12s is %.12s: it is %w", o.Digest, got, ErrDamagedHere)
	}
	return nil
}
