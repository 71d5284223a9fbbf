package worker

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

// What an earlier life of the worker has left of checkpoints. The leader says what this host holds, as the log has it: what is not here, or not whole, is told as damaged, and is made anew.

// find takes up a part that lies here. It is alone.
func (s *checkpointStore) find(name partName) {
	b, err := os.ReadFile(s.partPath(name))
	if err != nil {
		s.log.Warn("a part of a checkpoint cannot be read", "part", name.file(), "err", err)
		s.unread[name] = false
		return
	}
	m, err := parseManifest(b, name)
	if errors.Is(err, errVersion) {
		s.log.Warn("a part of a checkpoint was written by a newer worker", "part", name.file(), "err", err)
		s.unread[name] = true
		return
	}
	if err != nil {
		s.log.Warn("a part of a checkpoint is not held", "part", name.file(), "err", err)
		_ = os.Remove(s.partPath(name))
		return
	}
	here, lacks, err := s.here(m)
	if err == nil {
		s.keep(name, b, m)
		return
	}
	s.log.Warn("a part of a checkpoint is not whole", "part", name.file(), "err", err)
	s.keepIn(s.torn, name, b, m, here)
	s.torn[name].lacks = lacks
	s.unsaid = true
}

// here are the blobs of a manifest that are here, or may be, for all that is known of a disk that does not say; and those that are not there, or cannot be looked at, with the first reason.
func (s *checkpointStore) here(m *apiv1.CheckpointManifest) (here, lacks []string, why error) {
	for _, b := range m.Blobs() {
		err := s.lookAt(b)
		if err == nil || !errors.Is(err, os.ErrNotExist) {
			here = append(here, b.Digest)
		}
		if err != nil {
			lacks = append(lacks, b.Digest)
		}
		why = cmp.Or(why, err)
	}
	return here, lacks, why
}

// lookAt says what is wrong with a blob, for all that is known without reading it. A file that is not there, or is none, or of another size, is os.ErrNotExist.
func (s *checkpointStore) lookAt(b *apiv1.Blob) error {
	info, err := os.Stat(s.blobPath(b.Digest))
	switch {
	case err != nil:
		return err
	case info.IsDir():
		return fmt.Errorf("%w: %w", errDirectory(blobFile(b.Digest)), os.ErrNotExist)
	case info.Size() != b.Size:
		return fmt.Errorf("file %s has %d bytes of %d: %w", blobFile(b.Digest), info.Size(), b.Size, os.ErrNotExist)
	}
	return nil
}

// compare notes what is not here of a checkpoint of which this host holds parts: only of these the leader says the digest. Holds mu.
func (s *checkpointStore) compare(c *apiv1.Checkpoint) {
	for _, p := range c.Parts {
		name := partName{c.Id, p.Host}
		if len(p.Digest) == 0 || checkID("host", p.Host) != nil || s.torn[name] != nil {
			continue
		}
		if held := s.parts[name]; held != nil {
			if !bytes.Equal(held.digest, p.Digest) {
				s.spoil(name) // its manifest reads well, and is another one all the same
			}
			continue
		}
		if _, known := s.absent[name]; known {
			continue
		}
		newer := s.unread[name]
		if s.absent[name] = !newer; !newer {
			s.log.Warn("a part of a checkpoint that this host holds is gone, or cannot be read", "file", partFile(name))
			s.tell()
		}
	}
}

// forgetAbsent forgets what is not here of a checkpoint that nobody wants. Holds mu.
func (s *checkpointStore) forgetAbsent(id string) {
	for name, told := range s.absent {
		if name.checkpoint == id {
			if delete(s.absent, name); told {
				s.tell()
			}
		}
	}
	for name := range s.unread {
		if name.checkpoint == id {
			s.removePart(name)
			delete(s.unread, name)
		}
	}
}

// sweepable says whether what nobody names is known, and lies here perhaps: the leader has said what is to be held, and all of that is here. Until then a blob may be of a part whose manifest is gone.
func (s *checkpointStore) sweepable() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.heard && !s.swept && len(s.absent) == 0 && len(s.unread) == 0
}

// sweep removes blobs that nothing names, once.
func (s *checkpointStore) sweep() error {
	if !s.sweepable() {
		return nil
	}
	entries, err := os.ReadDir(filepath.Join(s.dir, "blobs"))
	if err != nil {
		return fmt.Errorf("worker: checkpoints: %w", err)
	}
	for _, e := range entries {
		s.mu.Lock()
		if s.refs[e.Name()] == 0 {
			_ = os.Remove(s.blobPath(e.Name())) // the next life tries again
		}
		s.mu.Unlock()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.swept = true
	return nil
}

// sweepCheckpoints removes what nobody names, when that is known.
func (w *Worker) sweepCheckpoints() error {
	if err := w.checkpoints.sweep(); err != nil {
		w.log.Warn("blobs of checkpoints that nobody wants are left", "err", err)
	}
	return nil
}
