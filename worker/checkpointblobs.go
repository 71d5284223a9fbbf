package worker

import (
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/internal/name"
)

// The blobs that parts of checkpoints are made of: each is here once, whatever names it, and goes with the last that does.

func (s *checkpointStore) blobPath(digest string) string {
	return filepath.Join(s.dir, "blobs", digest)
}

// coming makes a file for what is on its way to be a blob.
func (s *checkpointStore) coming() (*os.File, error) {
	f, err := os.CreateTemp(filepath.Join(s.dir, "coming"), "blob-*")
	if err != nil {
		return nil, fmt.Errorf("worker: checkpoints: %w", err)
	}
	return f, nil
}

// errDirectory says that a directory has a file's place.
func errDirectory(file string) error {
	return fmt.Errorf("in the place of file %s there is a directory", file)
}

// clear moves a directory that has a file's place aside, for a file to be put there. What it is nobody knows here: it stays until somebody removes it.
func (s *checkpointStore) clear(path string) {
	info, err := os.Lstat(path)
	if err != nil || !info.IsDir() {
		return
	}
	aside := filepath.Join(s.dir, "aside")
	to := filepath.Join(aside, filepath.Base(path)+"-"+rand.Text())
	if err := errors.Join(os.MkdirAll(aside, 0o700), os.Rename(path, to)); err != nil { // what is put there says that it cannot be
		s.log.Warn("a directory has the place of a file of checkpoints", "path", path, "err", err)
		return
	}
	s.log.Warn("a directory had the place of a file of checkpoints, and was moved aside", "path", path, "to", to)
}

// letGo removes a blob that nothing names any more. Holds mu.
func (s *checkpointStore) letGo(digest string) {
	if s.refs[digest]--; s.refs[digest] > 0 {
		return
	}
	delete(s.refs, digest)
	s.trust(digest)
	if err := os.Remove(s.blobPath(digest)); err != nil && !errors.Is(err, os.ErrNotExist) {
		s.log.Warn("a blob of a checkpoint is left", "blob", digest, "err", err)
	}
}

// take makes a file that was made by coming, and holds what the digest says, a blob for a part. It is on the disk then.
func (s *checkpointStore) take(part partName, from, digest string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.known[part.checkpoint] == nil { // it was forgotten meanwhile
		return fmt.Errorf("checkpoint %s is not wanted any more", part.checkpoint)
	}
	s.clear(s.blobPath(digest))
	if err := os.Rename(from, s.blobPath(digest)); err != nil { // also in the place of one that is here, and may be damaged
		return fmt.Errorf("worker: checkpoints: %w", err)
	}
	s.claim(part, digest)
	s.trust(digest)
	return nil
}

// bring is take for a file that may not be on the disk yet.
func (s *checkpointStore) bring(part partName, from, digest string) error {
	if err := syncFile(from); err != nil {
		return err
	}
	return s.take(part, from, digest)
}

func syncFile(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("worker: checkpoints: %w", err)
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("worker: checkpoints: %w", err)
	}
	return nil
}

// mend has a file that was made by coming, and is what a damaged blob was, in the place of that, too. It is on the disk then.
func (s *checkpointStore) mend(digest, from string) error {
	s.mu.Lock()
	damaged := s.doubted[digest]
	s.mu.Unlock()
	if !damaged {
		return nil
	}
	link := from + ".whole"
	if err := os.Link(from, link); err != nil {
		return fmt.Errorf("worker: checkpoints: %w", err)
	}
	defer os.Remove(link) //nolint:errcheck // it has become the blob, or goes with its directory
	if err := syncFile(link); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.doubted[digest] { // it is nobody's any more, or was brought anew
		return nil
	}
	s.clear(s.blobPath(digest))
	if err := os.Rename(link, s.blobPath(digest)); err != nil {
		return fmt.Errorf("worker: checkpoints: %w", err)
	}
	s.trust(digest)
	return nil
}

// named says whether anything here names a blob, so that it stays.
func (s *checkpointStore) named(digest string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.refs[digest] > 0
}

// reclaims has a part that is not whole have a blob that lies here, and is whole for all that is known without reading it; and says whether it does.
func (s *checkpointStore) reclaims(part partName, b *apiv1.Blob) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.known[part.checkpoint] == nil || s.doubted[b.Digest] || s.lookAt(b) != nil {
		return false
	}
	s.claim(part, b.Digest)
	return true
}

// has says whether a blob is here, for all that is known without reading it. Holds mu.
func (s *checkpointStore) has(b *apiv1.Blob) bool {
	if s.refs[b.Digest] == 0 || s.doubted[b.Digest] {
		return false
	}
	err := s.lookAt(b)
	return err == nil || !errors.Is(err, os.ErrNotExist)
}

// sound says whether blobs are here, and whole, for all that is known without reading them. Unlike has it takes what cannot be looked at for gone.
func (s *checkpointStore) sound(blobs ...*apiv1.Blob) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !slices.ContainsFunc(blobs, func(b *apiv1.Blob) bool {
		return s.lookAt(b) != nil || s.refs[b.Digest] == 0 || s.doubted[b.Digest]
	})
}

// claim notes that a part will have a blob. Holds mu.
func (s *checkpointStore) claim(part partName, digest string) {
	if s.claims[part] == nil {
		s.claims[part] = map[string]bool{}
	}
	if !s.claims[part][digest] {
		s.claims[part][digest] = true
		s.refs[digest]++
	}
}

func (s *checkpointStore) unclaim(part partName, digest string) {
	delete(s.claims[part], digest)
	s.letGo(digest)
}

// pin keeps blobs that are here, in the place of those that it has kept for the app before.
func (s *checkpointStore) pin(app string, digests []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.pins[app]
	for _, digest := range digests {
		s.refs[digest]++
	}
	for _, digest := range old {
		s.letGo(digest)
	}
	if s.pins[app] = digests; len(digests) == 0 {
		delete(s.pins, app)
	}
}

// lacking are the blobs of a manifest that are not here. Those that are stay for as long as the checkpoint is known.
func (s *checkpointStore) lacking(m *apiv1.CheckpointManifest) (out []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, b := range m.Blobs() {
		if s.has(b) {
			s.claim(partName{m.Checkpoint, m.Host}, b.Digest)
		} else {
			out = append(out, b.Digest)
		}
	}
	return out
}

// open opens a blob for reading.
func (s *checkpointStore) open(digest string) (*os.File, error) {
	if !name.Digest(digest) {
		return nil, errNotHeld
	}
	f, err := os.Open(s.blobPath(digest))
	if errors.Is(err, os.ErrNotExist) {
		s.doubtWas(digest, nil) // unless nothing names it
		return nil, errNotHeld
	}
	if err != nil {
		return nil, err
	}
	if info, err := f.Stat(); err == nil && info.IsDir() {
		s.doubtWas(digest, info)
		_ = f.Close()
		return nil, fmt.Errorf("%w: %w", errOwnCopy, errDirectory(blobFile(digest)))
	}
	return f, nil
}

// room says why a blob of that size has none on the disk; empty: it has.
func (s *checkpointStore) room(size, keep int64) string {
	var st unix.Statfs_t
	if err := unix.Statfs(s.dir, &st); err != nil {
		return ""
	}
	if free := int64(st.Bavail) * st.Bsize; free-size < keep {
		return fmt.Sprintf("its disk has room for %d MiB, and %d MiB of a checkpoint are to come", max(0, free-keep)>>20, size>>20)
	}
	return ""
}
