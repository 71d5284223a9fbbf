package worker

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

// mend makes anew what is damaged of parts that this host holds. What cannot be had now does not keep the rest from it.
func (s *storing) mend(ctx context.Context, e *errand) error {
	if e.Checkpoint == nil {
		return errors.New("what is to be mended is not said")
	}
	r := &restoring{
		w: s.w, checkpoint: e.Checkpoint, addrs: e.From, vain: map[string]int{}, most: map[string]int64{}, dir: filepath.Join(s.w.checkpoints.dir, "coming", "mend-"+rand.Text()),
	}
	if err := os.MkdirAll(r.dir, 0o700); err != nil {
		return fmt.Errorf("%w: %w", errOwnDisk, err)
	}
	defer r.drop()
	var bad error
	for _, host := range e.Parts {
		p := r.part(func(p *apiv1.CheckpointPart) bool { return p.Host == host })
		if p == nil {
			return fmt.Errorf("checkpoint %s has no part of host %.80q", e.Checkpoint.Id, host)
		}
		if held := r.w.checkpoints.part(r.name(p)); held == nil || !bytes.Equal(held.digest, p.Digest) {
			if err := r.remake(ctx, p); err != nil {
				bad = errors.Join(bad, fmt.Errorf("the part of host %s of checkpoint %s is not whole here yet: %w", p.Host, r.checkpoint.Id, err))
			}
			continue
		}
		bad = errors.Join(bad, r.mend(ctx, p))
	}
	return errors.Join(bad, s.w.sweepCheckpoints())
}

// remake makes a part whole of which the manifest, or a blob, is not here. What is here of it stays, as when a worker starts, until somebody has read it; what has come stays for the next try.
func (r *restoring) remake(ctx context.Context, p *apiv1.CheckpointPart) error {
	store, name := r.w.checkpoints, r.name(p)
	text, err := r.manifestText(ctx, p)
	if err != nil {
		return err
	}
	m, err := r.parsed(text, p)
	if err != nil {
		return err
	}
	for _, b := range m.Blobs() {
		if store.reclaims(name, b) {
			continue
		}
		path, err := r.blob(ctx, p, b)
		if err == nil && path != store.blobPath(b.Digest) {
			err = store.bring(name, path, b.Digest)
		}
		if err != nil {
			return fmt.Errorf("file %s: %w", blobFile(b.Digest), err)
		}
	}
	if err := store.hold(name, text, m); err != nil {
		return err
	}
	r.w.log.Info("a part of a checkpoint is whole again", "checkpoint", name.checkpoint, "part", name.host)
	return nil
}

// rereads notes which parts are mended, and read again.
func (e *errand) rereads() (over func()) {
	if !e.Mend || e.Checkpoint == nil {
		return func() {}
	}
	var names []partName
	for _, host := range e.Parts {
		names = append(names, partName{e.Checkpoint.Id, host})
	}
	return e.s.w.checkpoints.reread(names)
}

// lookThrough reads all that is here of the parts that are mended, no faster than the scrub, and notes what is damaged: where one file is, others may be. What is tried again does not read all again. It is no
// work for which others would have to wait. It says whether it has read all, now.
func (s *storing) lookThrough(ctx context.Context, e *errand) bool {
	if e.looked {
		return false
	}
	store := s.w.checkpoints
	for _, host := range e.Parts {
		held := store.part(partName{e.Checkpoint.Id, host})
		if held == nil { // it is when it is whole
			return false
		}
		for _, b := range held.manifest.Blobs() {
			if ctx.Err() != nil {
				return false
			}
			_ = store.verify(ctx, b.Digest, func(f *os.File) (string, int64, error) { // which notes what it finds
				return sumDisk(ctx, f, func(n int) error { return store.slow.wait(ctx, n) })
			})
		}
	}
	e.looked = true
	return true
}

// mend makes anew what is damaged here of a part, and returns why the first of what is left is not.
func (r *restoring) mend(ctx context.Context, p *apiv1.CheckpointPart) (bad error) {
	store, name := r.w.checkpoints, r.name(p)
	manifest, blobs := store.ill(name)
	tell := func(file string, err error) {
		if err == nil {
			r.w.log.Info("a file of checkpoints is whole again", "file", file, "checkpoint", name.checkpoint, "part", name.host)
		} else if bad == nil {
			bad = fmt.Errorf("file %s, of the part of host %s of checkpoint %s, stays damaged: %w", file, name.host, name.checkpoint, err)
		}
	}
	if manifest {
		text, err := r.manifestText(ctx, p)
		if err == nil {
			err = store.mendManifest(name, text)
		}
		tell(partFile(name), err)
	}
	for _, b := range blobs {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		tell(blobFile(b.Digest), r.mendBlob(ctx, p, b))
	}
	return bad
}

func (r *restoring) mendBlob(ctx context.Context, p *apiv1.CheckpointPart, b *apiv1.Blob) error {
	path, err := r.blob(ctx, p, b)
	if err != nil {
		return err
	}
	if path == r.w.checkpoints.blobPath(b.Digest) { // as it was read now
		r.w.checkpoints.trusts(b.Digest)
		return nil
	}
	defer os.Remove(path) //nolint:errcheck // else it goes with its directory
	return r.w.checkpoints.mend(b.Digest, path)
}
