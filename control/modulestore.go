package control

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"connectrpc.com/connect/v2"

	"github.com/godwit-run/godwit/fsm"
	"github.com/godwit-run/godwit/internal/apierr"
	"github.com/godwit-run/godwit/internal/durable"
)

// uploadPrefix begins the names of files that are not whole yet.
const uploadPrefix = "put-"

// moduleStore holds modules' bytes by digest. A file is whole, checked and on disk before it gets its name. Disks lose bytes: a
// file is checked again when this process first meets it, and each time that it is read for somebody; one that does not hold
// what its name says is removed, so that it comes anew from another server.
type moduleStore struct {
	dir     string
	damaged func(digest string) // told of each file that was removed

	// mu guards what is below, and that a file gets its name or is removed.
	mu     sync.Mutex
	coming map[string]int   // modules on their way into the store or into the state, by digest
	sound  map[string]stamp // files that were found to hold what their names say
}

// stamp is how a file looked when it was checked.
type stamp struct {
	size int64
	at   time.Time
}

func stampOf(info os.FileInfo) stamp { return stamp{info.Size(), info.ModTime()} }

// newModuleStore opens the store; what an earlier process left unfinished goes.
func newModuleStore(dataDir string) (*moduleStore, error) {
	s := &moduleStore{dir: filepath.Join(dataDir, "modules"), coming: map[string]int{}, sound: map[string]stamp{}, damaged: func(string) {}}
	if err := durable.MkdirAll(s.dir, 0o700); err != nil {
		return nil, fmt.Errorf("control: modules: %w", durable.Advise(err))
	}
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return nil, fmt.Errorf("control: modules: %w", durable.Advise(err))
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), uploadPrefix) {
			if err := os.Remove(filepath.Join(s.dir, e.Name())); err != nil {
				return nil, fmt.Errorf("control: modules: %w", durable.Advise(err))
			}
		}
	}
	return s, nil
}

func (s *moduleStore) path(digest string) string { return filepath.Join(s.dir, digest+".wasm") }

// has says whether the store has the module's bytes.
func (s *moduleStore) has(digest string) bool { return s.lacks(digest) == nil }

// renew says whether the store has the blob, and makes it as young as this call: it is not collected before somebody can have named it.
func (s *moduleStore) renew(digest string) bool {
	if !s.has(digest) {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if os.Chtimes(s.path(digest), now, now) != nil {
		return false
	}
	info, err := os.Stat(s.path(digest))
	if err != nil {
		return false
	}
	s.sound[digest] = stampOf(info)
	return true
}

// lacks returns nil if the store has the module's bytes, else why not. It reads all of a file that it has not checked yet.
func (s *moduleStore) lacks(digest string) error {
	info, err := os.Stat(s.path(digest))
	switch {
	case errors.Is(err, os.ErrNotExist):
		return noModule(digest)
	case err != nil:
		return storeError(err)
	}
	s.mu.Lock()
	sound := s.sound[digest] == stampOf(info)
	s.mu.Unlock()
	if sound {
		return nil
	}
	return s.read(digest, func([]byte) error { return nil })
}

// errDamaged is returned when a file does not hold what its name says. It is removed by then.
var errDamaged = apierr.New(connect.CodeUnavailable, apierr.ReasonNotFound, "digest", "this server's copy of the module is damaged, and was removed", "try again")

// read calls f with the parts of a module's bytes, which f must not keep, and checks them. Only when it returns nil were they right.
func (s *moduleStore) read(digest string, f func([]byte) error) error {
	file, err := os.Open(s.path(digest))
	if err != nil {
		return storeError(err)
	}
	defer file.Close() //nolint:errcheck // only read
	info, err := file.Stat()
	if err != nil {
		return storeError(err)
	}
	sum := sha256.New()
	err = eachChunk(file, func(part []byte) error {
		sum.Write(part)
		return f(part)
	})
	switch {
	case err != nil:
		return err
	case hex.EncodeToString(sum.Sum(nil)) != digest:
		s.discard(digest, stampOf(info))
		return errDamaged
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sound[digest] = stampOf(info)
	return nil
}

// discard removes a file that was found damaged, unless another has taken its place.
func (s *moduleStore) discard(digest string, bad stamp) {
	s.mu.Lock()
	delete(s.sound, digest)
	info, err := os.Stat(s.path(digest))
	if err == nil && stampOf(info) == bad {
		err = os.Remove(s.path(digest))
	}
	s.mu.Unlock()
	if err == nil {
		s.damaged(digest)
	}
}

// incoming is a module on its way into the store. drop must be called in the end: until then the module is not collected.
type incoming struct {
	store  *moduleStore
	digest string
	file   *os.File
	sum    hash.Hash
	size   int64
}

// begin makes room for a module.
func (s *moduleStore) begin(digest string) (*incoming, error) {
	f, err := os.CreateTemp(s.dir, uploadPrefix+"*")
	if err != nil {
		return nil, storeError(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.coming[digest]++
	return &incoming{store: s, digest: digest, file: f, sum: sha256.New()}, nil
}

// add writes a chunk.
func (m *incoming) add(chunk []byte) error {
	if m.size += int64(len(chunk)); m.size > fsm.MaxModuleBytes {
		return invalid("chunk", fmt.Sprintf("the module is over %d MiB", fsm.MaxModuleBytes>>20), "strip it, or link less")
	}
	m.sum.Write(chunk)
	if _, err := m.file.Write(chunk); err != nil {
		return storeError(err)
	}
	return nil
}

// check compares the digest, once all has come.
func (m *incoming) check() error {
	if got := hex.EncodeToString(m.sum.Sum(nil)); got != m.digest {
		return apierr.New(connect.CodeDataLoss, apierr.ReasonInvalid, "digest",
			fmt.Sprintf("the module arrived with digest %.12s, not %.12s", got, m.digest), "send it again")
	}
	return nil
}

// bytes reads what has come. The caller bounds how many do so at a time.
func (m *incoming) bytes() ([]byte, error) {
	code := make([]byte, m.size)
	if _, err := m.file.ReadAt(code, 0); err != nil && !errors.Is(err, io.EOF) {
		return nil, storeError(err)
	}
	return code, nil
}

// keep makes the module, which was checked, part of the store, durably. It is as young as this call.
func (m *incoming) keep() error {
	name := m.file.Name()
	if err := errors.Join(m.file.Sync(), m.file.Close()); err != nil {
		return storeError(errors.Join(err, os.Remove(name)))
	}
	now := time.Now()
	if err := errors.Join(os.Chtimes(name, now, now), m.store.name(name, m.digest)); err != nil {
		return storeError(errors.Join(err, os.Remove(name)))
	}
	if err := durable.SyncDir(m.store.dir); err != nil {
		return storeError(err)
	}
	return nil
}

// name gives a whole file its name.
func (s *moduleStore) name(file, digest string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return os.Rename(file, s.path(digest))
}

// drop ends it; half a file is worth nothing. What was kept stays.
func (m *incoming) drop() {
	m.store.mu.Lock()
	defer m.store.mu.Unlock()
	if m.store.coming[m.digest]--; m.store.coming[m.digest] <= 0 {
		delete(m.store.coming, m.digest)
	}
	if err := m.file.Close(); err == nil {
		_ = os.Remove(m.file.Name()) // the next start removes what stays
	}
}

// comes says whether somebody brings the module at this moment.
func (s *moduleStore) comes(digest string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.coming[digest] > 0
}

// ownDiskError is what this server's disk refused: the same from another server, whose word it then is, is none.
type ownDiskError struct{ error }

func (e ownDiskError) Unwrap() error { return e.error }

// storeError words what this server's disk refused, and what to do about it: a client may try another server meanwhile.
func storeError(err error) error {
	return ownDiskError{apierr.New(connect.CodeInternal, apierr.ReasonInternal, "", "this server cannot store or read a module: "+err.Error(),
		cmp.Or(durable.Mend(err), "see the server's log"))}
}

// ownDisk says whether err is of this server's disk.
func ownDisk(err error) bool {
	var own ownDiskError
	return errors.As(err, &own)
}
