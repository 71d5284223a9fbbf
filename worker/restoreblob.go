package worker

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"connectrpc.com/connect/v2"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/internal/archive"
	"github.com/godwit-run/godwit/internal/objects"
)

// Blobs and manifests of checkpoints come to a host where ranks begin: from its own disk, from who holds them, or out of an object store.

// holders are the hosts that may hold a part.
func (r *restoring) holders(p *apiv1.CheckpointPart) (out []holder) {
	names := []string{p.Host, p.Second, p.Third}
	if p.HostGone { // another machine of its name may be among the others
		names = names[1:]
	}
	for i, h := range names {
		if h != "" && h != r.w.hostName() && !slices.Contains(names[:i], h) {
			out = append(out, holder{h, r.addr(h)})
		}
	}
	slices.SortStableFunc(out, func(a, b holder) int { return r.vain[a.host] - r.vain[b.host] })
	return out
}

func (r *restoring) manifest(ctx context.Context, p *apiv1.CheckpointPart) (*apiv1.CheckpointManifest, error) {
	text, err := r.manifestText(ctx, p)
	if err != nil {
		return nil, err
	}
	return r.parsed(text, p)
}

// manifestText is the manifest of a part, as it was made: this host's own, or one that comes.
func (r *restoring) manifestText(ctx context.Context, p *apiv1.CheckpointPart) ([]byte, error) {
	text, err := r.w.checkpoints.manifestText(r.name(p))
	if err == nil && bytes.Equal(sumOf(text), p.Digest) {
		return text, nil
	}
	x := wanted{name: r.name(p), size: apiv1.MaxManifestBytes}
	if err != nil && !errors.Is(err, errNotHeld) && !errors.Is(err, errDamaged) {
		x.own = err
	}
	var buf bytes.Buffer
	begin := func() (io.Writer, error) { buf.Reset(); return &buf, nil }
	err = r.obtain(ctx, x, r.holders(p), begin, func() error {
		if !bytes.Equal(sumOf(buf.Bytes()), p.Digest) {
			return errors.New("its manifest is not the one that was made")
		}
		return nil
	})
	return buf.Bytes(), err
}

// parsed is a manifest that is the one that was made. One that is none, whoever gives it, nobody has otherwise; but a newer build may read what this one does not.
func (r *restoring) parsed(text []byte, p *apiv1.CheckpointPart) (*apiv1.CheckpointManifest, error) {
	m, err := parseManifest(text, r.name(p))
	if err != nil && !errors.Is(err, errVersion) {
		err = fmt.Errorf("%w: %w", errNowhere, err)
	}
	return m, err
}

// obtain has a blob, or a manifest, come from any of the holders that gives the right one, or else from the object store. begin is where it goes to, anew for each.
func (r *restoring) obtain(ctx context.Context, x wanted, from []holder, begin func() (io.Writer, error), right func() error) error {
	unsure, err := r.fromHosts(ctx, x, from, begin, right)
	unsure = unsure || x.own != nil
	if err == nil || ctx.Err() != nil || errors.Is(err, errOwnDisk) {
		return err
	}
	if r.checkpoint.To != "" {
		var to io.Writer
		last := err
		if to, err = begin(); err != nil {
			return err
		}
		if err = r.fromStore(ctx, x, to); err == nil {
			if err = right(); err == nil {
				return nil
			}
		} else if !errors.Is(err, archive.ErrDamaged) && (!errors.Is(err, objects.ErrAbsent) || !r.storeShows(ctx)) {
			unsure = true
		}
		if errors.Is(err, errOwnDisk) {
			return err
		}
		if ctx.Err() == nil {
			r.w.log.Warn("a part of a checkpoint does not come", "checkpoint", x.name.checkpoint, "part", x.name.host, "from", r.checkpoint.To, "err", err)
		}
		err = fmt.Errorf("%s: %w; %w", r.checkpoint.To, err, last) // the store's comes first: it has all, if anybody has
	}
	if !unsure {
		err = fmt.Errorf("%w: %w", errNowhere, err)
	}
	return err
}

// storeShows says whether there is anything in the object store, so that what is absent is absent: one that is not mounted is an empty directory.
func (r *restoring) storeShows(ctx context.Context) bool {
	a, err := archive.Open(ctx, r.checkpoint.To)
	if err != nil {
		return false
	}
	empty, err := a.Empty(ctx)
	return err == nil && !empty
}

// fromStore has it come from the object store.
func (r *restoring) fromStore(ctx context.Context, x wanted, to io.Writer) error {
	a, err := archive.Open(ctx, r.checkpoint.To)
	if err != nil {
		return err
	}
	if x.digest != "" {
		_, err := a.Blob(ctx, r.checkpoint.App, x.digest, x.size, io.MultiWriter(to, told(r.progress(x.digest))))
		return err
	}
	text, err := a.Manifest(ctx, r.checkpoint, r.part(func(p *apiv1.CheckpointPart) bool { return p.Host == x.name.host }))
	if err != nil {
		return err
	}
	_, err = to.Write(text)
	return err
}

// told is a writer that only tells how much is written.
type told func(n int)

// Write implements io.Writer.
func (t told) Write(p []byte) (int, error) {
	t(len(p))
	return len(p), nil
}

// fromHosts has it come from a host; or says why the last one did not give it, and whether one of them may have it that does not answer.
func (r *restoring) fromHosts(ctx context.Context, x wanted, from []holder, begin func() (io.Writer, error), right func() error) (unsure bool, err error) {
	last := fmt.Errorf("no host holds the part of host %s of checkpoint %s", x.name.host, x.name.checkpoint)
	for _, h := range from {
		if h.addr == "" {
			last, unsure = fmt.Errorf("host %s, which holds it, is gone", h.host), true
			continue
		}
		to, err := begin()
		if err != nil {
			return unsure, err
		}
		if err = r.w.obtainFrom(ctx, x, h, to, r.progress(x.name.host+x.digest)); err == nil {
			err = right()
		} else if connect.CodeOf(err) != connect.CodeNotFound {
			unsure = true
		}
		if err == nil || ctx.Err() != nil || errors.Is(err, errOwnDisk) {
			return unsure, err
		}
		last = fmt.Errorf("host %s: %w", h.host, err)
		r.vain[h.host]++
		r.w.log.Warn("a part of a checkpoint does not come", "checkpoint", x.name.checkpoint, "part", x.name.host, "from", h.host, "err", err)
	}
	return unsure, last
}

// blob is the path of a blob of a part: this host's own, if it is what it was, or one that has come.
func (r *restoring) blob(ctx context.Context, p *apiv1.CheckpointPart, b *apiv1.Blob) (string, error) {
	own, path := r.w.checkpoints.blobPath(b.Digest), filepath.Join(r.dir, b.Digest)
	x := wanted{name: r.name(p), digest: b.Digest, size: b.Size}
	if r.w.checkpoints.named(b.Digest) { // what nobody names may go any time
		switch err := r.w.checkpoints.verify(ctx, b.Digest, func(f *os.File) (string, int64, error) { return sumFile(ctx, f, told(r.progress(own)).each) }); {
		case err == nil:
			return own, nil
		case ctx.Err() != nil:
			return "", ctx.Err()
		case !errors.Is(err, errNotHeld):
			r.w.log.Warn("a blob of a checkpoint is not whole here, or cannot be read", "checkpoint", r.checkpoint.Id, "blob", b.Digest, "err", err)
			if !errors.Is(err, errDamaged) {
				x.own = err
			}
		}
	}
	if err := r.came(ctx, path, b); err == nil || ctx.Err() != nil {
		return path, ctx.Err()
	}
	if why := r.w.checkpoints.room(b.Size, r.w.keepFree()); why != "" {
		return "", fmt.Errorf("%w: %s", errOwnDisk, why)
	}
	var to *blobWriter
	begin := func() (_ io.Writer, err error) {
		if to != nil {
			to.drop()
		}
		if to, err = r.w.checkpoints.newBlob(); err != nil {
			return nil, fmt.Errorf("%w: %w", errOwnDisk, err)
		}
		return ownDisk{to}, nil
	}
	err := r.obtain(ctx, x, r.holders(p), begin, func() error { return to.is(b) })
	if err != nil {
		if to != nil {
			to.drop()
		}
		return "", err
	}
	if err := errors.Join(to.file.Close(), os.Rename(to.file.Name(), path)); err != nil {
		return "", fmt.Errorf("%w: %w", errOwnDisk, err)
	}
	if err := r.w.checkpoints.mend(b.Digest, path); err != nil {
		r.w.log.Warn("a blob of a checkpoint stays damaged here", "checkpoint", r.checkpoint.Id, "blob", b.Digest, "err", err)
	}
	return path, nil
}

// ownDisk tells errors of this host's disk from others'.
type ownDisk struct{ *blobWriter }

// Write implements io.Writer.
func (w ownDisk) Write(p []byte) (int, error) {
	n, err := w.blobWriter.Write(p)
	if err != nil {
		err = fmt.Errorf("%w: %w", errOwnDisk, err)
	}
	return n, err
}

// came says why what has come before, and lies in a directory of this restore's own, is not a blob.
func (r *restoring) came(ctx context.Context, path string, b *apiv1.Blob) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close() //nolint:errcheck // only read
	digest, size, err := sumFile(ctx, f, told(r.progress(path)).each)
	if err == nil && (digest != b.Digest || size != b.Size) {
		err = fmt.Errorf("%w: it is %.12s, of %d bytes", errDamaged, digest, size)
	}
	return err
}

// is says whether what was written is a blob.
func (b *blobWriter) is(want *apiv1.Blob) error {
	if got := fmt.Sprintf("%x", b.sum.Sum(nil)); got != want.Digest || b.size != want.Size {
		return fmt.Errorf("what came as blob %.12s is %.12s", want.Digest, got)
	}
	return nil
}
