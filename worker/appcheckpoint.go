package worker

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/protobuf/encoding/protodelim"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

// saving is what is done here for the checkpoint under way. The app's goroutine owns it, but for what has a comment.
type saving struct {
	id       string
	dir      string
	stood    map[int32]outputEnd
	next     map[int32]*savedChain // what follows from it if it is kept
	progress atomic.Int64          // bytes hashed and sent: the task adds to it

	ctx   context.Context //nolint:containedctx // of what is done for it: over with it
	end   context.CancelFunc
	tasks sync.WaitGroup // what is done for it; dir is there as long
}

// do has a task be done for it, and its progress be told meanwhile.
func (sv *saving) do(a *app, task func()) {
	sv.tasks.Add(1)
	ctx, over := context.WithCancel(sv.ctx)
	a.host.tasks.Go(func() error { a.tellProgress(ctx, saveLook, &sv.progress); return nil })
	a.host.tasks.Go(func() error {
		defer sv.tasks.Done()
		defer over()
		task()
		return nil
	})
}

// saveLook is how often the progress of a checkpoint's part is told: it has to be several times within the shortest deadline of the leader's.
const saveLook = 500 * time.Millisecond

// tellProgress has the app tell how far something is whenever it has grown, as long as ctx lasts: the leader ends what stands still.
func (a *app) tellProgress(ctx context.Context, each time.Duration, of *atomic.Int64) {
	for last := int64(0); ; {
		if sleep(ctx, each) != nil {
			return
		}
		if now := of.Load(); now != last {
			last = now
			a.post(func() {})
		}
	}
}

// outputEnd is where the output of a rank ends that stands still for a checkpoint.
type outputEnd struct {
	size   int64
	notice *apiv1.LogLine // belongs at the end; nil: none does
}

// savedChain is what of a rank was written for checkpoints that are kept, and need not be again.
type savedChain struct {
	memory map[string]*apiv1.Blob // by checkpoint
	log    []logPiece
}

// logPiece is a run of bytes of a rank's log.
type logPiece struct {
	from, to int64
	blob     *apiv1.Blob
}

// keepSaved notes what the next checkpoint need not write again.
func (a *app) keepSaved(sv *saving) {
	for id := range a.chains {
		if sv.next[id] == nil { // it has left, or ended
			delete(a.chains, id)
		}
	}
	maps.Copy(a.chains, sv.next)
	a.keepChains()
}

// keepChains has the store keep what later checkpoints of the app are made of, too, also when nobody wants the earlier ones any more.
func (a *app) keepChains() {
	var all []string
	for _, c := range a.chains {
		for _, b := range c.memory {
			all = append(all, b.Digest)
		}
		for _, piece := range c.log {
			all = append(all, piece.blob.Digest)
		}
	}
	a.host.checkpoints.pin(a.id, all)
}

// torn are ranks of whose memory earlier checkpoints have not all that the next would be made of: a file of theirs is gone, cannot be looked at, or was found damaged, or there is none.
func (a *app) torn(ranks []int32) (out []int32) {
	for _, id := range ranks {
		c := a.chains[id]
		if c == nil || len(c.memory) == 0 || !a.host.checkpoints.sound(slices.Collect(maps.Values(c.memory))...) {
			out = append(out, id)
		}
	}
	return out
}

// packFiles writes what the app's directory has. Nobody changes it meanwhile: all ranks stand still.
func (a *app) packFiles(sv *saving) {
	h := a.home
	path := filepath.Join(sv.dir, "files")
	sv.do(a, func() {
		err := os.MkdirAll(sv.dir, 0o700)
		if err == nil {
			err = packHome(sv.ctx, h, path, a.unseal, func(n int) error {
				sv.progress.Add(int64(n))
				return a.host.checkpoints.roomFor(a.host.keepFree())
			})
		}
		a.post(func() {
			switch {
			case err == nil:
				a.part.Packed(sv.id)
			case sv.ctx.Err() == nil:
				a.part.SaveFault(sv.id, fmt.Sprintf("the app's files on %s cannot be saved: %s", a.host.cfg.Name, reasonOf(err)), false)
			}
		})
	})
}

// packHome writes all that a home has to a file, as a sequence of parts.
func packHome(ctx context.Context, h *home, path string, unseal func(*home), progress func(int) error) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer f.Close() //nolint:errcheck // adopt syncs it
	w := bufio.NewWriterSize(f, 256<<10)
	var full error // the first of as many as there are files
	sum, err := h.server.Sum(ctx, func(*apiv1.FileSum) {
		if full == nil {
			full = progress(1)
		}
	})
	if err = errors.Join(err, full); err != nil {
		return err
	}
	h.server.Seal()
	defer unseal(h)
	if err := h.server.Quiet(ctx); err != nil {
		return err
	}
	err = h.server.Pack(ctx, sum, func(p *apiv1.FilePart) error {
		n, err := protodelim.MarshalTo(w, p)
		return errors.Join(err, progress(n))
	})
	return errors.Join(err, w.Flush())
}

// storePart makes what was written a part that this host holds, and has the second host hold it.
func (a *app) storePart(sv *saving, c *apiv1.Checkpoint, part *apiv1.CheckpointPart, saved map[int32]*apiv1.ExecSaved, packed bool) {
	p := &partMaker{
		store: a.host.checkpoints, keepFree: a.host.keepFree(), sv: sv, name: partName{c.Id, a.host.cfg.Name}, files: packed,
		manifest: &apiv1.CheckpointManifest{Checkpoint: c.Id, App: a.id, Host: a.host.cfg.Name},
		part:     &apiv1.CheckpointPart{Host: part.Host, Second: part.Second, Files: part.Files},
	}
	if a.output == nil { // of ranks that had ended before this worker's time
		out, err := a.host.logs.app(a.id)
		if err != nil {
			a.host.suspectDisk()
			a.part.SaveFault(sv.id, fmt.Sprintf("host %s cannot read the output of its ranks: %s", a.host.cfg.Name, reasonOf(err)), false)
			return
		}
		a.output = out
	}
	for id := range a.part.Record().App.Size {
		r := &rankPart{id: id, saved: saved[id], output: sv.stood[id], chain: a.chains[id], log: a.output.path(id)}
		switch {
		case r.saved != nil:
		case a.isHere(c, id): // it has ended: its output is all that there is
			r.output.size, r.output.notice = a.output.outgoing(id)
		default:
			continue
		}
		p.ranks = append(p.ranks, r)
	}
	addr := a.part.Record().Addrs[part.Second]
	progress := func(n int) { sv.progress.Add(int64(n)) }
	trouble := func(why string) {
		a.post(func() { a.part.SaveTrouble(sv.id, fmt.Sprintf("host %s does not take its copy: %s", part.Second, why)) })
	}
	sv.do(a, func() {
		text, err := p.make(sv.ctx)
		if err == nil && part.Second != "" {
			err = a.host.give(sv.ctx, p.name, text, p.manifest, addr, trouble, progress)
		}
		a.post(func() {
			switch {
			case err == nil:
				sv.next = p.next
				a.part.Held(sv.id, p.part)
			case sv.ctx.Err() == nil:
				a.host.suspectDisk()
				a.part.SaveFault(sv.id, fmt.Sprintf("host %s cannot store its part: %s", a.host.cfg.Name, reasonOf(err)), anotherMayDo(err))
			}
		})
	})
}

// isHere says whether a rank was on this host when the checkpoint was begun.
func (a *app) isHere(c *apiv1.Checkpoint, id int32) bool {
	return apiv1.HostAt(c.Runs, id) == a.host.cfg.Name
}
