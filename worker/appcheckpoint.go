package worker

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"google.golang.org/protobuf/encoding/protodelim"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

// saving is this host's part of the checkpoint under way. The app's goroutine owns it, but for what has a comment.
type saving struct {
	id    string
	part  *apiv1.CheckpointPart
	dir   string
	ranks map[int32]*savedRank

	told    bool // the executor, which runs: what is to be written
	frozen  bool // it was asked to have the ranks stop
	resumed bool // and to have them go on
	taken   bool // all ranks, of all hosts
	packing bool // the app's files
	packed  bool
	storing bool

	held     *apiv1.CheckpointPart // all of it is where it is to be
	next     map[int32]*savedChain // what follows from it if it is kept
	pause    time.Duration         // the longest of a rank
	fault    string
	trouble  string
	progress atomic.Int64 // bytes hashed and sent: the task adds to it

	ctx context.Context //nolint:containedctx // of what is done for it: over with it
	end context.CancelFunc
}

// savedRank is how a rank is saved.
type savedRank struct {
	ahead  *apiv1.ExecAhead
	stood  time.Time        // since when it stands still; zero: it does not
	end    int64            // bytes of its log that belong to it
	notice *apiv1.LogLine   // belongs at the end of the log; nil: none does
	saved  *apiv1.ExecSaved // nil: not yet
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

// checkpointPart is the host's part of a checkpoint; nil: it has none.
func (a *app) checkpointPart(c *apiv1.Checkpoint) *apiv1.CheckpointPart {
	for _, p := range c.GetParts() {
		if p.Host == a.host.cfg.Name {
			return p
		}
	}
	return nil
}

// save does this host's part of the checkpoint under way, and ends what is over.
func (a *app) save(ctx context.Context) {
	c := a.rec.Checkpoint
	if a.saving != nil && (c == nil || c.Id != a.saving.id || apiv1.CheckpointOver(c.Phase)) {
		a.endSaving()
	}
	part := a.checkpointPart(c)
	if part == nil || apiv1.CheckpointOver(c.Phase) || a.stopping {
		return
	}
	if a.saving == nil {
		a.beginSaving(ctx, c, part)
	}
	sv := a.saving
	sv.part = part // that the files are here may have been learned since
	if sv.fault == "" && a.exec == execGone {
		sv.fault = fmt.Sprintf("no executor on %s: %s", a.host.cfg.Name, a.execErr)
	}
	if sv.fault != "" {
		return
	}
	switch c.Phase {
	case apiv1.CheckpointPending:
		a.tellSaving(sv)
	case apiv1.CheckpointAnnounced:
		a.stopForSaving(sv)
		if c.Still && part.Files && !sv.packing && a.home != nil && a.filled && a.home.server != nil {
			a.packFiles(sv)
		}
	case apiv1.CheckpointTaken:
		sv.taken = true
		if c.Then == apiv1.AfterCheckpoint_AFTER_CHECKPOINT_UNSPECIFIED {
			a.resumeSaved(sv)
		}
		a.storePart(sv, c)
	}
}

func (a *app) beginSaving(ctx context.Context, c *apiv1.Checkpoint, part *apiv1.CheckpointPart) {
	sv := &saving{id: c.Id, part: part, dir: a.host.checkpoints.makingDir(c.Id), ranks: map[int32]*savedRank{}, next: map[int32]*savedChain{}}
	sv.ctx, sv.end = context.WithCancel(ctx)
	a.saving = sv
	a.host.checkpoints.know(c)
	switch {
	case c.Id == a.severed[1]:
		sv.fault = fmt.Sprintf(severed, a.host.cfg.Name)
	case c.Phase != apiv1.CheckpointPending:
		sv.fault = fmt.Sprintf("host %s has not heard of it before its ranks were to stop", a.host.cfg.Name)
	}
}

// tellSaving has the executor write the memory of the ranks that run here.
func (a *app) tellSaving(sv *saving) {
	if sv.told || a.exec != execRunning || len(a.restoring) > 0 {
		return
	}
	sv.told = true
	if err := os.MkdirAll(sv.dir, 0o700); err != nil {
		a.host.suspectDisk()
		sv.fault = fmt.Sprintf("host %s cannot store it (%s)", a.host.cfg.Name, reasonOf(err))
		return
	}
	var ids []int32
	for id := range a.mine() {
		if r := a.ranks[id]; r != nil && r.state == apiv1.RankRunning {
			sv.ranks[id] = &savedRank{ahead: &apiv1.ExecAhead{}}
			ids = append(ids, id)
		}
	}
	if len(ids) > 0 {
		a.say(&apiv1.ExecCommand{Msg: &apiv1.ExecCommand_Checkpoint{Checkpoint: &apiv1.ExecCheckpoint{Id: sv.id, Dir: sv.dir, Ranks: ids, KeepFree: a.host.keepFree()}}})
	}
}

// stopForSaving has the ranks stop.
func (a *app) stopForSaving(sv *saving) {
	if sv.frozen || !sv.told && len(sv.ranks) > 0 {
		return
	}
	sv.frozen = true
	var ids []int32
	for id := range a.rec.App.Size {
		if sv.ranks[id] != nil {
			ids = append(ids, id)
		}
	}
	if len(ids) > 0 {
		a.say(&apiv1.ExecCommand{Msg: &apiv1.ExecCommand_Freeze{Freeze: &apiv1.ExecFreeze{Migration: sv.id, Ranks: ids}}})
	}
}

// ready says whether so much of the ranks here is written that the rest is short.
func (a *app) readyToSave(sv *saving) bool {
	for id := range a.mine() {
		r := sv.ranks[id]
		if a.ranks[id] != nil && a.ranks[id].state == apiv1.RankEnded {
			continue // the log will say so
		}
		if r == nil || !r.ahead.Ready {
			return false
		}
	}
	return true
}

// still says whether every rank that the log has here stands still, and is written.
func (a *app) still(sv *saving) bool {
	if !sv.frozen {
		return false
	}
	for id := range a.mine() {
		if r := sv.ranks[id]; r == nil || r.saved == nil {
			return false
		}
	}
	return true
}

// savingOf is the checkpoint under way if it has this id; nil: it is over.
func (a *app) savingOf(id string) *saving {
	if a.saving == nil || a.saving.id != id {
		return nil
	}
	return a.saving
}

// savedAhead says how far a rank's memory is written, and whether it is of a checkpoint at all.
func (a *app) savedAhead(x *apiv1.ExecAhead) bool {
	sv := a.savingOf(x.Migration)
	if sv == nil {
		return false
	}
	if r := sv.ranks[x.Rank]; r != nil {
		r.ahead = x
	}
	return true
}

// savedFrozen notes that a rank stands still for a checkpoint: its output up to here goes with it.
func (a *app) savedFrozen(f *apiv1.ExecFrozen) bool {
	sv := a.savingOf(f.Migration)
	if sv == nil {
		return false
	}
	r := sv.ranks[f.Rank]
	switch {
	case r == nil:
	case f.Error != "":
		a.saveFailed(sv, f.Rank, f.Error)
	case r.stood.IsZero():
		r.stood = before(time.Now(), f.SinceMs)
		r.end, r.notice = a.output.outgoing(f.Rank)
	}
	return true
}

// saveFailed notes that a rank cannot be saved. One that has ended need not be.
func (a *app) saveFailed(sv *saving, id int32, why string) {
	if r := a.ranks[id]; r != nil && r.state == apiv1.RankEnded {
		delete(sv.ranks, id)
		return
	}
	if sv.fault == "" {
		sv.fault = clean(why)
	}
}

// rankSaved notes that a rank is written.
func (a *app) rankSaved(x *apiv1.ExecSaved) {
	sv := a.savingOf(x.Checkpoint)
	if sv == nil || sv.ranks[x.Rank] == nil {
		return
	}
	switch {
	case x.Ended: // the log will say so; until then not all is still
		delete(sv.ranks, x.Rank)
		return
	case x.Error != "":
		a.saveFailed(sv, x.Rank, x.Error)
		return
	}
	sv.ranks[x.Rank].saved = x
}

// resumeSaved has ranks go on that stand still.
func (a *app) resumeSaved(sv *saving) {
	if sv.resumed {
		return
	}
	sv.resumed = true
	var ids []int32
	for id := range a.rec.App.Size {
		if r := sv.ranks[id]; r != nil {
			ids = append(ids, id)
			if !r.stood.IsZero() {
				sv.pause = max(sv.pause, time.Since(r.stood))
			}
		}
	}
	if len(ids) > 0 && sv.told {
		a.say(&apiv1.ExecCommand{Msg: &apiv1.ExecCommand_Resume{Resume: &apiv1.ExecResume{Ranks: ids}}})
	}
}

// endSaving ends what was done for a checkpoint that is over.
func (a *app) endSaving() {
	sv := a.saving
	a.saving = nil
	sv.end()
	if !sv.taken { // nobody holds anything of it
		a.host.checkpoints.follow(&apiv1.Holdings{Drop: []string{sv.id}})
	}
	if a.rec.App.Verdict == "" { // else they stop where they are
		a.resumeSaved(sv)
	}
	kept := a.rec.App.LastCheckpoint == sv.id && sv.held != nil
	if sv.told {
		a.say(&apiv1.ExecCommand{Msg: &apiv1.ExecCommand_CheckpointEnd{CheckpointEnd: &apiv1.ExecCheckpointEnd{Id: sv.id, Kept: kept}}})
	}
	if kept {
		for id := range a.chains {
			if sv.next[id] == nil { // it has left, or ended
				delete(a.chains, id)
			}
		}
		maps.Copy(a.chains, sv.next)
		a.keepChains()
	}
	a.host.tasks.Go(func() error {
		if err := os.RemoveAll(sv.dir); err != nil {
			a.log.Warn("what was written for a checkpoint is left", "dir", sv.dir, "err", err)
		}
		return nil
	})
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

// packFiles writes what the app's directory has. Nobody changes it meanwhile: all ranks stand still.
func (a *app) packFiles(sv *saving) {
	sv.packing = true
	h := a.home
	path := filepath.Join(sv.dir, "files")
	a.host.tasks.Go(func() error {
		err := os.MkdirAll(sv.dir, 0o700)
		if err == nil {
			err = packHome(sv.ctx, h, path, a.unseal, func(n int) error {
				sv.progress.Add(int64(n))
				return a.host.checkpoints.roomFor(a.host.keepFree())
			})
		}
		a.post(func() {
			sv.packed = err == nil
			if err != nil && sv.fault == "" && sv.ctx.Err() == nil {
				sv.fault = clean(fmt.Sprintf("the app's files on %s cannot be saved: %s", a.host.cfg.Name, reasonOf(err)))
			}
		})
		return nil
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
	sum, err := h.server.Sum(ctx, func(*apiv1.FileSum) {})
	if err != nil {
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
func (a *app) storePart(sv *saving, c *apiv1.Checkpoint) {
	if sv.storing {
		return
	}
	sv.storing = true
	if !a.wasTaken(sv) {
		sv.fault = fmt.Sprintf("host %s has no image of one of its ranks", a.host.cfg.Name)
		return
	}
	p := &partMaker{
		store: a.host.checkpoints, keepFree: a.host.keepFree(), sv: sv, name: partName{c.Id, a.host.cfg.Name}, files: sv.packed,
		manifest: &apiv1.CheckpointManifest{Version: checkpointVersion, Checkpoint: c.Id, App: a.id, Host: a.host.cfg.Name},
		part:     &apiv1.CheckpointPart{Host: sv.part.Host, Second: sv.part.Second, Files: sv.part.Files},
	}
	if a.output == nil { // of ranks that had ended before this worker's time
		out, err := a.host.logs.app(a.id)
		if err != nil {
			a.host.suspectDisk()
			sv.fault = clean(fmt.Sprintf("host %s cannot read the output of its ranks: %s", a.host.cfg.Name, reasonOf(err)))
			return
		}
		a.output = out
	}
	for id := range a.rec.App.Size {
		r := sv.ranks[id]
		switch {
		case r != nil && r.saved != nil:
			p.ranks = append(p.ranks, &rankPart{id: id, savedRank: r, chain: a.chains[id], log: a.output.path(id)})
		case a.isHere(c, id): // it has ended: its output is all that there is
			end, notice := a.output.outgoing(id)
			p.ranks = append(p.ranks, &rankPart{id: id, savedRank: &savedRank{end: end, notice: notice}, chain: a.chains[id], log: a.output.path(id)})
		}
	}
	addr := a.rec.Addrs[sv.part.Second]
	progress := func(n int) { sv.progress.Add(int64(n)) }
	trouble := func(why string) {
		a.post(func() { sv.trouble = clean(fmt.Sprintf("host %s does not take its copy: %s", sv.part.Second, why)) })
	}
	a.host.tasks.Go(func() error {
		text, err := p.make(sv.ctx)
		if err == nil && sv.part.Second != "" {
			err = a.host.give(sv.ctx, p.name, text, p.manifest, addr, trouble, progress)
		}
		a.post(func() {
			switch {
			case err == nil:
				p.part.PauseMs = milliseconds(sv.pause) // 0: they have not gone on
				sv.held, sv.next, sv.trouble = p.part, p.next, ""
			case sv.ctx.Err() == nil && sv.fault == "":
				a.host.suspectDisk()
				sv.fault = clean(fmt.Sprintf("host %s cannot store its part: %s", a.host.cfg.Name, reasonOf(err)))
			}
		})
		return nil
	})
}

// isHere says whether a rank was on this host when the checkpoint was begun.
func (a *app) isHere(c *apiv1.Checkpoint, id int32) bool {
	return apiv1.HostAt(c.Runs, id) == a.host.cfg.Name
}

// wasTaken says whether what the log calls taken is here.
func (a *app) wasTaken(sv *saving) bool {
	for _, r := range sv.ranks {
		if r.saved == nil && !r.stood.IsZero() {
			return false
		}
	}
	return !sv.part.Files || sv.packed
}

// savingStatus is what the leader is told; nil: nothing.
func (a *app) savingStatus() *apiv1.CheckpointStatus {
	sv := a.saving
	if sv == nil {
		return nil
	}
	s := &apiv1.CheckpointStatus{Id: sv.id, Fault: sv.fault, Trouble: sv.trouble, Progress: sv.progress.Load(), Held: sv.held}
	for _, r := range sv.ranks {
		s.Progress += r.ahead.Bytes
		if r.ahead.Trouble != "" && s.Trouble == "" {
			s.Trouble = clean(r.ahead.Trouble)
		}
	}
	none := len(sv.ranks) == 0 && a.noneHere()
	s.Ready = (sv.told || none) && a.readyToSave(sv)
	s.Still = a.still(sv)
	if s.Still && (!sv.part.Files || sv.packed) {
		s.Taken = &apiv1.CheckpointPart{Host: sv.part.Host, Files: sv.part.Files}
	}
	return s
}

// noneHere says whether the log has no live rank here.
func (a *app) noneHere() bool {
	for range a.mine() {
		return false
	}
	return true
}
