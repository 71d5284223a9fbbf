package worker

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"google.golang.org/protobuf/proto"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/internal/durable"
	"github.com/godwit-run/godwit/internal/name"
	"github.com/godwit-run/godwit/worker/part"
)

// checkpointVersion is of a CheckpointManifest that has an app's files in pieces. Those of version 1 have them in one blob, or none: so a worker that knows no other holds what has no files.
const checkpointVersion = 2

// versionOf is the least version of which a manifest can be.
func versionOf(m *apiv1.CheckpointManifest) uint32 {
	if len(m.FilesPieces) > 0 {
		return checkpointVersion
	}
	return 1
}

// checkpointStore holds the parts of checkpoints that are on this host: for each a manifest, and the blobs that manifests name, each once. What the log does not
// name any more goes. The log decides what is held; this only holds it.
//
//	blobs/DIGEST      bytes, by their SHA-256
//	parts/ID@HOST     the manifest of the part that a host has made
//	making/ID/        what executors write for a checkpoint that is being made; nothing of it outlives the worker
//	coming/           blobs on their way here
type checkpointStore struct {
	dir    string
	log    *slog.Logger
	slow   *pacer // for who reads what is held only to know whether it is whole
	looked func() // for tests: called by hold when it has looked at the blobs; nil: nothing is

	mu      sync.Mutex                   // guards the fields below; files are made and removed under it, but none is read or written
	known   map[string]*apiv1.Checkpoint // those of which this host holds a part, or is to hold one
	parts   map[partName]*heldPart
	torn    map[partName]*heldPart       // parts of which a blob lacks, or cannot be looked at: what is here of them may be what the other holder lacks
	unread  map[partName]bool            // parts whose manifest was here when it began, and could not be read; of another version where that is true
	rereads map[partName]int             // how many tasks read a part again, of which a file was damaged
	absent  map[partName]bool            // parts that are here, as the log has it, and of which not even the manifest is
	heard   bool                         // the leader has said all that is to be held
	swept   bool                         // nothing is here that nobody names, but for what could not be removed
	claims  map[partName]map[string]bool // by part that is coming: the blobs that are here for it
	pins    map[string][]string          // by app that runs here: blobs of which its next checkpoint is made, too
	refs    map[string]int               // how many parts, claims and pins name a blob

	doubted map[string]bool   // blobs that are named, and damaged
	spoilt  map[partName]bool // parts that are here, and whose manifest is damaged
	unsaid  bool              // what is damaged is another than the leader was told
	news    func()            // called under mu when unsaid is set; must not block
}

// partName names a part: a checkpoint, and the host that has made it.
type partName struct{ checkpoint, host string }

func (n partName) file() string { return n.checkpoint + "@" + n.host }

// heldPart is a part that is here.
type heldPart struct {
	digest   []byte // SHA-256 of the manifest
	manifest *apiv1.CheckpointManifest
	blobs    []string // that it keeps here
	lacks    []string // blobs that were not here, or could not be looked at, when it was found
}

// errNotHeld is of what is not here.
var errNotHeld = errors.New("this host does not hold it")

// errDamaged is of what is here, and is not what it was.
var errDamaged = errors.New("damaged")

// errVersion is of a manifest that another build of godwit may be able to read.
var errVersion = errors.New("another version")

// newCheckpointStore finds what an earlier life of the worker held. What is damaged is not held; of a part that lacks a blob, or whose manifest is gone, what is here stays as long as the log
// names the checkpoint.
func newCheckpointStore(dir string, log *slog.Logger) (*checkpointStore, error) {
	s := &checkpointStore{
		dir: dir, log: log, slow: &pacer{rate: scrubRate}, known: map[string]*apiv1.Checkpoint{}, parts: map[partName]*heldPart{}, torn: map[partName]*heldPart{}, unread: map[partName]bool{}, absent: map[partName]bool{}, rereads: map[partName]int{},
		claims: map[partName]map[string]bool{}, refs: map[string]int{}, pins: map[string][]string{}, doubted: map[string]bool{}, spoilt: map[partName]bool{}, news: func() {},
	}
	for _, part := range []string{"making", "coming"} {
		if err := os.RemoveAll(filepath.Join(dir, part)); err != nil {
			return nil, fmt.Errorf("worker: checkpoints: %w", err)
		}
	}
	for _, part := range []string{"blobs", "parts", "making", "coming"} {
		if err := durable.MkdirAll(filepath.Join(dir, part), 0o700); err != nil {
			return nil, fmt.Errorf("worker: checkpoints: %w", err)
		}
	}
	entries, err := os.ReadDir(filepath.Join(dir, "parts"))
	if err != nil {
		return nil, fmt.Errorf("worker: checkpoints: %w", err)
	}
	for _, e := range entries {
		if id, host, ok := strings.Cut(e.Name(), "@"); ok {
			s.find(partName{id, host})
		} else {
			s.log.Warn("what is no part of a checkpoint lies among them", "part", e.Name())
		}
	}
	return s, nil
}

func (s *checkpointStore) partPath(n partName) string {
	return filepath.Join(s.dir, "parts", n.file())
}

// makingDir is where what is made for a checkpoint is written. Who writes there makes it.
func (s *checkpointStore) makingDir(checkpoint string) string {
	return filepath.Join(s.dir, "making", checkpoint)
}

// parseManifest reads a manifest, and says what is wrong with it.
func parseManifest(b []byte, part partName) (*apiv1.CheckpointManifest, error) {
	m := &apiv1.CheckpointManifest{}
	if err := proto.Unmarshal(b, m); err != nil {
		return nil, fmt.Errorf("it is no manifest: %w", err)
	}
	if m.Version < 1 || m.Version > checkpointVersion {
		return nil, fmt.Errorf("%w: it is version %d, and this worker's godwit knows versions 1 to %d", errVersion, m.Version, checkpointVersion)
	}
	if m.Checkpoint != part.checkpoint || m.Host != part.host {
		return nil, fmt.Errorf("it is of checkpoint %.80q, host %.80q; want checkpoint %s, host %s", m.Checkpoint, m.Host, part.checkpoint, part.host)
	}
	last := int32(-1)
	for _, r := range m.Ranks {
		if r.Rank <= last || (r.State == nil) != (len(r.Memory) == 0) {
			return nil, fmt.Errorf("rank %d stands behind rank %d, or has only a part of an image", r.Rank, last)
		}
		last = r.Rank
	}
	for _, blob := range m.Blobs() {
		if !name.Digest(blob.Digest) || blob.Size < 0 {
			return nil, fmt.Errorf("%.80q is no digest, or %d no size", blob.Digest, blob.Size)
		}
	}
	return m, nil
}

// keep notes that a part is here, and whole. Holds mu, or is alone.
func (s *checkpointStore) keep(name partName, b []byte, m *apiv1.CheckpointManifest) {
	was := []*heldPart{s.parts[name], s.torn[name]}
	if was[0] != nil && bytes.Equal(was[0].digest, sumOf(b)) {
		return
	}
	var blobs []string
	for _, blob := range m.Blobs() {
		blobs = append(blobs, blob.Digest)
	}
	s.keepIn(s.parts, name, b, m, blobs)
	s.respect(name)
	if was[1] != nil || s.absent[name] { // it is whole again
		s.tell()
	}
	delete(s.torn, name)
	delete(s.absent, name)
	delete(s.unread, name)
	for _, p := range was {
		if p == nil {
			continue
		}
		for _, digest := range p.blobs {
			s.letGo(digest)
		}
	}
}

// keepIn notes in parts, or torn, what is here of a part. Holds mu, or is alone.
func (s *checkpointStore) keepIn(in map[partName]*heldPart, name partName, b []byte, m *apiv1.CheckpointManifest, blobs []string) {
	sum := sha256.Sum256(b)
	in[name] = &heldPart{digest: sum[:], manifest: m, blobs: blobs}
	for _, digest := range blobs {
		s.refs[digest]++
	}
}

// follow takes the leader's word on what is to be held.
func (s *checkpointStore) follow(h *apiv1.Holdings) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if h.Whole {
		named := map[string]bool{}
		for _, c := range h.Hold {
			named[c.Id] = true
		}
		for id := range s.known {
			if !named[id] {
				s.forget(id)
			}
		}
		for _, in := range []map[partName]*heldPart{s.parts, s.torn} {
			for name := range in {
				if !named[name.checkpoint] {
					s.forget(name.checkpoint)
				}
			}
		}
		for name := range s.unread {
			if !named[name.checkpoint] {
				s.forget(name.checkpoint)
			}
		}
	}
	for _, c := range h.Hold {
		if checkID("checkpoint", c.Id) == nil {
			s.known[c.Id] = c
			s.compare(c)
		}
	}
	for _, id := range h.Drop {
		s.forget(id)
	}
	s.heard = s.heard || h.Whole
}

// know notes that this host makes a part of a checkpoint, of which the leader's word on what is held may not have come yet.
func (s *checkpointStore) know(c *apiv1.Checkpoint) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.known[c.Id] = c
}

// forget removes all that is here of a checkpoint. Holds mu.
func (s *checkpointStore) forget(id string) {
	delete(s.known, id)
	s.forgetAbsent(id)
	var gone []string
	for _, in := range []map[partName]*heldPart{s.parts, s.torn} {
		for name, p := range in {
			if name.checkpoint != id {
				continue
			}
			s.removePart(name)
			if delete(in, name); len(p.lacks) > 0 {
				s.tell()
			}
			s.respect(name)
			gone = append(gone, p.blobs...)
		}
	}
	for name, digests := range s.claims {
		if name.checkpoint == id {
			gone = slices.AppendSeq(gone, maps.Keys(digests))
			delete(s.claims, name)
		}
	}
	for _, digest := range gone {
		s.letGo(digest)
	}
}

// removePart removes a part's manifest. Holds mu.
func (s *checkpointStore) removePart(name partName) {
	if err := os.Remove(s.partPath(name)); err != nil && !errors.Is(err, os.ErrNotExist) {
		s.log.Warn("a part of a checkpoint is left", "part", name.file(), "err", err) // the next life asks about it anew
	}
}

// expects says why a part is not taken from the host that has made it; nil: it is.
func (s *checkpointStore) expects(name partName, here string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.known[name.checkpoint]
	if c == nil {
		return fmt.Errorf("host %s does not know checkpoint %s (%w)", here, name.checkpoint, part.ErrNotYet)
	}
	for _, p := range c.Parts {
		if p.Host == name.host && slices.ContainsFunc(p.Holders(), func(h apiv1.Holder) bool { return h.Host == here }) {
			return nil
		}
	}
	return fmt.Errorf("host %s is not to hold the part of host %s of checkpoint %s", here, name.host, name.checkpoint)
}

// hold makes a part one that this host has: its manifest is on the disk when it returns, and so are all the blobs, which are here.
func (s *checkpointStore) hold(name partName, b []byte, m *apiv1.CheckpointManifest) error {
	if _, _, err := s.here(m); err != nil {
		return fmt.Errorf("worker: checkpoints: what it is made of is not here: %w", err)
	}
	if err := durable.SyncDir(filepath.Join(s.dir, "blobs")); err != nil {
		return fmt.Errorf("worker: checkpoints: %w", err)
	}
	s.clear(s.partPath(name))
	if err := durable.WriteFile(s.partPath(name), b, 0o600); err != nil {
		return fmt.Errorf("worker: checkpoints: %w", err)
	}
	if s.looked != nil {
		s.looked()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	gone := func(b *apiv1.Blob) bool { return s.refs[b.Digest] == 0 }
	if s.known[name.checkpoint] == nil || slices.ContainsFunc(m.Blobs(), gone) { // it was forgotten meanwhile, if only for a moment
		_ = os.Remove(s.partPath(name))
		return fmt.Errorf("checkpoint %s is not wanted any more", name.checkpoint)
	}
	s.keep(name, b, m)
	for digest := range s.claims[name] { // the part names them
		s.unclaim(name, digest)
	}
	delete(s.claims, name)
	return nil
}

// part is a part that is here, and whole; nil: it is not.
func (s *checkpointStore) part(name partName) *heldPart {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.parts[name]
}

// manifestText is the manifest of a part as it is on the disk: what its digest is of. Some of what it names may lack here.
func (s *checkpointStore) manifestText(name partName) ([]byte, error) {
	s.mu.Lock()
	p := s.parts[name]
	if p == nil {
		p = s.torn[name]
	}
	_, unread := s.unread[name]
	s.mu.Unlock()
	if p == nil && unread {
		return nil, fmt.Errorf("worker: checkpoints: file %s could not be read when this host's worker began", partFile(name))
	}
	if p == nil {
		return nil, errNotHeld
	}
	b, err := os.ReadFile(s.partPath(name))
	if errors.Is(err, os.ErrNotExist) {
		return nil, errNotHeld
	}
	if err != nil {
		return nil, fmt.Errorf("worker: checkpoints: %w", err)
	}
	if sum := sha256.Sum256(b); !bytes.Equal(sum[:], p.digest) {
		return nil, fmt.Errorf("worker: checkpoints: the manifest of %s is %w", name.file(), errDamaged)
	}
	return b, nil
}

// roomFor says that the disk has less than is to be kept free.
func (s *checkpointStore) roomFor(keep int64) error {
	if why := s.room(0, keep); why != "" {
		return errors.New(why)
	}
	return nil
}

// keepFree is how much of the disk checkpoints leave to others: enough for the host to take ranks.
func (w *Worker) keepFree() int64 { return 2 * w.cfg.MinFreeBytes }
