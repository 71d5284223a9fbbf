package executor

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"google.golang.org/protobuf/encoding/protodelim"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/mpi"
)

// imageVersion is the version of image files; it counts up when old ones can no longer be read.
const imageVersion = 1

// maxHeaderBytes bounds an image's header, which holds the rank's MPI state with its buffered messages.
const maxHeaderBytes = 1 << 30

// freeze asks ranks to stop at their next control point.
func (e *Executor) freeze(f *apiv1.ExecFreeze) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, id := range f.Ranks {
		r := e.ranks[mpi.Rank(id)]
		switch {
		case r == nil || r.state == rankEnded:
			e.frozen(f, id, time.Now(), nil, fmt.Errorf("rank %d has ended", id))
		case r.state == rankRunning:
			r.freeze = f
			r.proc.Freeze()
		default:
			e.frozen(f, id, time.Now(), nil, fmt.Errorf("rank %d does not run", id))
		}
	}
}

// stopped is called by a rank's goroutine when its guest stands still.
func (e *Executor) stopped(ctx context.Context, r *rank) {
	since := time.Now()
	e.mu.Lock()
	f := r.freeze
	if f == nil { // withdrawn meanwhile
		e.launch(ctx, r)
		e.mu.Unlock()
		return
	}
	r.state = rankCapturing
	e.mu.Unlock()
	e.frozen(f, int32(r.id), since, &image{}, nil) // it stands still; the image follows
	img, err := e.capture(r, f)
	if e.stays(ctx, r) {
		e.frozen(f, int32(r.id), since, img, err)
	}
}

// stays makes a rank frozen whose image is written, unless something else was decided meanwhile.
func (e *Executor) stays(ctx context.Context, r *rank) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	r.state = rankFrozen
	switch {
	case e.cancelled != nil:
		e.endStill(ctx, r)
		return false
	case r.freeze == nil: // withdrawn
		e.goOn(ctx, r)
		return false
	}
	return true
}

// image is an image file as written.
type image struct {
	path   string
	bytes  int64
	digest string
}

func (e *Executor) frozen(f *apiv1.ExecFreeze, id int32, since time.Time, img *image, err error) {
	ev := &apiv1.ExecFrozen{Migration: f.Migration, Rank: id}
	if err != nil {
		ev.Error = err.Error()
	} else {
		ev.Path, ev.ImageBytes, ev.Digest = img.path, img.bytes, img.digest
	}
	ev.SinceMs = float64(time.Since(since)) / float64(time.Millisecond)
	e.emit(&apiv1.ExecEvent{Msg: &apiv1.ExecEvent_Frozen{Frozen: ev}})
}

// capture takes a rank that stands still out of the world and writes its image.
func (e *Executor) capture(r *rank, f *apiv1.ExecFreeze) (img *image, err error) {
	state, err := e.world.Capture(r.id)
	if err != nil {
		return nil, fmt.Errorf("executor: rank %d: %w", r.id, err)
	}
	h := &apiv1.ImageHeader{Version: imageVersion, App: e.start.App, Rank: int32(r.id), MpiState: state}
	r.out.state(h)
	if err := os.MkdirAll(f.Dir, 0o700); err != nil {
		return nil, imageFault(r.id, err)
	}
	path := filepath.Join(f.Dir, fmt.Sprintf("%s-%d.image", f.Migration, r.id))
	file, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, imageFault(r.id, err)
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	sum := sha256.New()
	w := bufio.NewWriterSize(io.MultiWriter(file, sum), 1<<20)
	if _, err := protodelim.MarshalTo(w, h); err != nil {
		return nil, imageFault(r.id, err)
	}
	if err := r.guest.Capture(w); err != nil {
		return nil, imageFault(r.id, err)
	}
	if err := w.Flush(); err != nil {
		return nil, imageFault(r.id, err)
	}
	st, err := file.Stat()
	if err != nil {
		return nil, imageFault(r.id, err)
	}
	return &image{path: path, bytes: st.Size(), digest: hex.EncodeToString(sum.Sum(nil))}, nil
}

// imageFault says that an image could not be written, without the names of this host's files.
func imageFault(id mpi.Rank, err error) error {
	var of *fs.PathError
	if errors.As(err, &of) {
		err = of.Err
	}
	return fmt.Errorf("executor: rank %d: write the image: %w", id, err)
}

// resume runs frozen ranks again, or takes back a freeze that has not happened yet: the migration was aborted.
func (e *Executor) resume(ctx context.Context, c *apiv1.ExecResume) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, id := range c.Ranks {
		r := e.ranks[mpi.Rank(id)]
		if r == nil || r.state == rankStaged || r.state == rankEnded {
			continue
		}
		r.freeze = nil
		if r.state == rankFrozen {
			e.goOn(ctx, r)
			continue
		}
		r.proc.Unfreeze() // a rank whose image is being written goes on when it is done
	}
}

// goOn runs a frozen rank again. Holds mu.
func (e *Executor) goOn(ctx context.Context, r *rank) {
	if err := e.world.Resume(r.id); err != nil {
		e.emit(failed(fmt.Errorf("executor: rank %d cannot go on: %w", r.id, err)))
		return
	}
	r.proc.Unfreeze()
	e.launch(ctx, r)
}

func failed(err error) *apiv1.ExecEvent {
	return &apiv1.ExecEvent{Msg: &apiv1.ExecEvent_Failed{Failed: &apiv1.ExecFailed{Reason: err.Error()}}}
}

// stage makes a rank of an image, not running yet: whatever could fail is done here, where it aborts the migration.
func (e *Executor) stage(ctx context.Context, s *apiv1.ExecStage) {
	ev := &apiv1.ExecStaged{Migration: s.Migration, Rank: s.Rank}
	r, err := e.load(ctx, s)
	if err == nil {
		e.mu.Lock()
		old := e.ranks[r.id]
		switch {
		case e.cancelled != nil:
			err = e.cancelled
			e.discard(ctx, r)
		case old != nil && (old.state == rankRunning || old.state == rankFrozen):
			err = fmt.Errorf("executor: rank %d is here already", r.id)
			e.discard(ctx, r)
		default:
			if old != nil && old.state == rankStaged {
				e.discard(ctx, old)
			}
			e.ranks[r.id] = r
		}
		e.mu.Unlock()
	}
	if err != nil {
		ev.Error = err.Error()
	}
	e.emit(&apiv1.ExecEvent{Msg: &apiv1.ExecEvent_Staged{Staged: ev}})
}

func (e *Executor) load(ctx context.Context, s *apiv1.ExecStage) (*rank, error) {
	file, err := os.Open(s.Path)
	if err != nil {
		return nil, fmt.Errorf("executor: rank %d: read the image: %w", s.Rank, err)
	}
	defer func() {
		_ = file.Close()                          // read only
		if err := os.Remove(s.Path); err != nil { // it is here, or of no use
			e.log.Warn("an image is left until the app's end", "rank", s.Rank, "err", err)
		}
	}()
	br := bufio.NewReaderSize(file, 1<<20)
	var h apiv1.ImageHeader
	if err := (protodelim.UnmarshalOptions{MaxSize: maxHeaderBytes}).UnmarshalFrom(br, &h); err != nil {
		return nil, fmt.Errorf("executor: rank %d: read the image: %w", s.Rank, err)
	}
	if h.Version != imageVersion || h.App != e.start.App || h.Rank != s.Rank {
		return nil, fmt.Errorf("executor: image %s is version %d, app %s, rank %d; want version %d, app %s, rank %d",
			filepath.Base(s.Path), h.Version, h.App, h.Rank, imageVersion, e.start.App, s.Rank)
	}
	out := e.newOutput(mpi.Rank(h.Rank))
	out.restore(&h)
	p, err := e.programOf(mpi.Rank(h.Rank))
	if err != nil {
		return nil, err
	}
	guest, err := p.module.Restore(ctx, e.guestConfig(p, mpi.Rank(h.Rank), out), br)
	if err != nil {
		return nil, fmt.Errorf("executor: rank %d: %w", s.Rank, err)
	}
	proc, err := e.world.Decode(mpi.Rank(h.Rank), guest.Memory(), h.MpiState)
	if err == nil && proc.Ended() != guest.Ended() {
		err = fmt.Errorf("%w: the program has ended, and has not", mpi.ErrState)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("executor: image %s: %w", filepath.Base(s.Path), err), guest.Close(ctx))
	}
	guest.Bind(proc)
	return &rank{id: mpi.Rank(h.Rank), guest: guest, proc: proc, out: out, state: rankStaged}, nil
}

// thaw runs a staged rank: the migration is committed, and the routes are those of the new epoch.
func (e *Executor) thaw(ctx context.Context, t *apiv1.ExecThaw) {
	e.mu.Lock()
	defer e.mu.Unlock()
	r := e.ranks[mpi.Rank(t.Rank)]
	if r == nil || r.state != rankStaged {
		e.log.Warn("asked to thaw a rank that is not staged", "rank", t.Rank)
		return
	}
	if err := e.world.Join(r.proc, t.Epoch); err != nil {
		e.emit(failed(fmt.Errorf("executor: thaw rank %d: %w", t.Rank, err)))
		return
	}
	e.launch(ctx, r)
	e.emit(&apiv1.ExecEvent{Msg: &apiv1.ExecEvent_Thawed{Thawed: &apiv1.ExecThawed{Rank: t.Rank}}})
}

// drop destroys ranks that moved away or were staged in vain.
func (e *Executor) drop(ctx context.Context, d *apiv1.ExecDrop) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, id := range d.Ranks {
		r := e.ranks[mpi.Rank(id)]
		if r == nil || (r.state != rankFrozen && r.state != rankStaged) {
			continue
		}
		if r.state == rankFrozen {
			e.world.Remove(r.id)
		}
		e.discard(ctx, r)
		delete(e.ranks, r.id)
	}
}
