package worker

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/internal/durable"
)

// What is held, and is not what it was: whoever reads it finds that, and the scrub. The leader is told, and has it mended.

// errOwnCopy is of what this host holds, and cannot give: it is damaged, or cannot be read.
var errOwnCopy = fmt.Errorf("this host's own copy is %w", errDamaged)

// ownCopy says which file of this host's is not what it was.
func ownCopy(digest string, why error) error {
	return fmt.Errorf("%w: file %s: %w", errOwnCopy, blobFile(digest), why)
}

// blobFile is where a blob is within the data directory.
func blobFile(digest string) string { return filepath.Join("checkpoints", "blobs", digest) }

// errAnother is of bytes that are not those that the digest says.
var errAnother = errors.New("its bytes are others than they were")

// verify says why a blob is not what it was, or cannot be read, and notes that. read is told to read its file.
func (s *checkpointStore) verify(ctx context.Context, digest string, read func(f *os.File) (digest string, size int64, err error)) error {
	f, err := s.open(digest)
	if err != nil {
		if was, gone := os.Lstat(s.blobPath(digest)); gone == nil {
			s.doubtWas(digest, was)
		}
		return err
	}
	defer f.Close() //nolint:errcheck // only read
	got, size, err := read(f)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err == nil && got != digest {
		err = fmt.Errorf("%w: it is %.12s, of %d bytes", errDamaged, got, size)
	}
	if err != nil {
		s.doubtFile(digest, f)
	}
	return err
}

// doubtFile is doubtWas for who has read the file.
func (s *checkpointStore) doubtFile(digest string, f *os.File) {
	if was, err := f.Stat(); err == nil {
		s.doubtWas(digest, was)
	}
}

// doubtWas notes that a blob is not what it was, or cannot be read, by the file that it was then; nil: there was none. If there is another one by now it was brought anew meanwhile.
func (s *checkpointStore) doubtWas(digest string, was os.FileInfo) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now, _ := os.Lstat(s.blobPath(digest))
	if (was == nil) == (now == nil) && (was == nil || os.SameFile(was, now)) {
		s.distrust(digest)
	}
}

// doubt notes that a blob that is here is not what it was, or cannot be read, as somebody has found who has tried: who has its bytes brings it anew.
func (s *checkpointStore) doubt(digest string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.distrust(digest)
}

// distrust is doubt, for who holds mu.
func (s *checkpointStore) distrust(digest string) {
	if s.refs[digest] == 0 || s.doubted[digest] {
		return
	}
	s.doubted[digest] = true
	s.log.Warn("a file of checkpoints is damaged", "file", blobFile(digest))
	s.tell()
}

// trust notes that a blob is whole again, or nobody's any more. Holds mu.
func (s *checkpointStore) trust(digest string) {
	if s.doubted[digest] {
		delete(s.doubted, digest)
		s.tell()
	}
}

// suspect notes that the manifest of a part that is here is damaged.
func (s *checkpointStore) suspect(name partName) {
	s.mu.Lock()
	defer s.mu.Unlock()
	held := cmp.Or(s.parts[name], s.torn[name])
	if held == nil {
		return
	}
	if b, err := os.ReadFile(s.partPath(name)); err == nil && bytes.Equal(sumOf(b), held.digest) { // it was made anew meanwhile; under mu as mendManifest
		return
	}
	s.spoil(name)
}

// spoil is suspect, for who holds mu.
func (s *checkpointStore) spoil(name partName) {
	if s.spoilt[name] {
		return
	}
	s.spoilt[name] = true
	s.log.Warn("a file of checkpoints is damaged", "file", partFile(name))
	s.tell()
}

// respect notes that a part's manifest is whole again, or the part is not here any more. Holds mu.
func (s *checkpointStore) respect(name partName) {
	if s.spoilt[name] {
		delete(s.spoilt, name)
		s.tell()
	}
}

func partFile(name partName) string { return filepath.Join("checkpoints", "parts", name.file()) }

// tell has the leader be told anew. Holds mu.
func (s *checkpointStore) tell() {
	s.unsaid = true
	s.news()
}

// tellAgain has the next leader be told, who knows of nothing damaged.
func (s *checkpointStore) tellAgain() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.doubted)+len(s.spoilt)+len(s.torn)+len(s.absent) > 0 {
		s.tell()
	}
}

// reread notes that a task begins to mend parts, and to read all that is here of them, for where one file is damaged others may be: until over is called the leader hears of them, though nothing is damaged any more.
func (s *checkpointStore) reread(names []partName) (over func()) {
	add := func(n int) {
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, name := range names {
			if s.rereads[name] += n; s.rereads[name] == 0 {
				delete(s.rereads, name)
				s.tell()
			}
		}
	}
	add(1)
	return sync.OnceFunc(func() { add(-1) })
}

// anyDamaged says whether something here is damaged.
func (s *checkpointStore) anyDamaged() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.doubted)+len(s.spoilt) > 0
}

// takeDamage is all that is damaged here, if that is another than was taken last; nil: it is not.
func (s *checkpointStore) takeDamage() *apiv1.DamagedParts {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.unsaid {
		return nil
	}
	s.unsaid = false
	out := &apiv1.DamagedParts{}
	for _, in := range []map[partName]*heldPart{s.parts, s.torn} {
		for name := range in {
			if d := s.damageOf(name); d.Files > 0 || s.rereads[name] > 0 {
				out.Parts = append(out.Parts, d)
			}
		}
	}
	for name, told := range s.absent {
		if told {
			out.Parts = append(out.Parts, &apiv1.DamagedPart{Checkpoint: name.checkpoint, Host: name.host, Files: 1, File: partFile(name)})
		}
	}
	slices.SortFunc(out.Parts, func(a, b *apiv1.DamagedPart) int {
		return cmp.Or(cmp.Compare(a.Checkpoint, b.Checkpoint), cmp.Compare(a.Host, b.Host))
	})
	out.Parts = out.Parts[:min(len(out.Parts), apiv1.MaxDamagedParts)]
	return out
}

// damageOf is what is damaged of a part whose manifest is here, or was when it was found. Holds mu.
func (s *checkpointStore) damageOf(name partName) *apiv1.DamagedPart {
	d := &apiv1.DamagedPart{Checkpoint: name.checkpoint, Host: name.host}
	if s.spoilt[name] {
		d.Files, d.File = 1, partFile(name)
	}
	for _, b := range s.doubtedOf(name) {
		d.Files++
		d.File = cmp.Or(d.File, blobFile(b.Digest))
	}
	return d
}

// doubtedOf are the blobs of a part that are damaged here, or lack. Holds mu.
func (s *checkpointStore) doubtedOf(name partName) (out []*apiv1.Blob) {
	p := cmp.Or(s.parts[name], s.torn[name])
	if p == nil || len(s.doubted)+len(p.lacks) == 0 {
		return nil
	}
	seen := map[string]bool{}
	for _, b := range p.manifest.Blobs() {
		if (s.doubted[b.Digest] || slices.Contains(p.lacks, b.Digest)) && !seen[b.Digest] {
			seen[b.Digest] = true
			out = append(out, b)
		}
	}
	return out
}

// ill is what is damaged of a part.
func (s *checkpointStore) ill(name partName) (manifest bool, blobs []*apiv1.Blob) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.spoilt[name], s.doubtedOf(name)
}

// trusts notes that a blob that was doubted was read, and is whole.
func (s *checkpointStore) trusts(digest string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.trust(digest)
}

// mendManifest puts a part's manifest, as it was made, in the place of a damaged one.
func (s *checkpointStore) mendManifest(name partName, text []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.spoilt[name] { // it is not held any more
		return nil
	}
	s.clear(s.partPath(name))
	if err := durable.WriteFile(s.partPath(name), text, 0o600); err != nil { // under mu, so that nobody removes the part meanwhile: it is rare, and small
		return fmt.Errorf("worker: checkpoints: %w", err)
	}
	s.respect(name)
	return nil
}
