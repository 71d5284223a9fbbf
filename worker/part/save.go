package part

import (
	"fmt"
	"time"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

// saving is this host's part of the checkpoint under way.
type saving struct {
	id    string
	part  *apiv1.CheckpointPart
	ranks map[int32]*savedRank

	told    bool // the executor, which runs: what is to be written
	frozen  bool // it was asked to have the ranks stop
	resumed bool // and to have them go on
	taken   bool // all ranks, of all hosts
	packing bool // the app's files
	packed  bool
	storing bool

	held    *apiv1.CheckpointPart // all of it is where it is to be
	pause   time.Duration         // the longest of a rank
	fault   string
	retry   bool // that is of this checkpoint alone: another one may be made
	trouble string
}

// savedRank is how a rank is saved.
type savedRank struct {
	ahead *apiv1.ExecAhead
	still bool // it stands still, since stood
	stood time.Time
	saved *apiv1.ExecSaved // nil: not yet
}

// checkpointPart is the host's part of a checkpoint; nil: it has none.
func (p *Part) checkpointPart(c *apiv1.Checkpoint) *apiv1.CheckpointPart {
	for _, part := range c.GetParts() {
		if part.Host == p.host {
			return part
		}
	}
	return nil
}

// still are ranks that stand still for a checkpoint with which their app is to leave its hosts.
type still struct {
	checkpoint string
	ranks      []int32
}

// leavesWith says whether the app is to leave its hosts with this checkpoint, which has all of its ranks: none goes on unless it is aborted.
func (p *Part) leavesWith(checkpoint string) bool {
	c := p.rec.Checkpoint
	return c != nil && c.Id == checkpoint && c.Phase == apiv1.CheckpointTaken && c.Then != apiv1.AfterCheckpoint_AFTER_CHECKPOINT_UNSPECIFIED
}

// save does this host's part of the checkpoint under way.
func (p *Part) save(h Hands) {
	c := p.rec.Checkpoint
	part := p.checkpointPart(c)
	if part == nil || apiv1.CheckpointOver(c.Phase) || p.stopping {
		return
	}
	if p.saving == nil {
		p.beginSaving(h, c)
	}
	sv := p.saving
	sv.part = part // that the files are here may have been learned since
	if sv.fault == "" && p.exec == Gone {
		sv.fault = fmt.Sprintf("no executor on %s: %s", p.host, p.why)
	}
	if sv.fault != "" {
		return
	}
	switch c.Phase {
	case apiv1.CheckpointPending:
		p.tellSaving(h, sv)
	case apiv1.CheckpointAnnounced:
		p.stopForSaving(h, sv)
		if c.Still && part.Files && !sv.packing && h.CanPack() {
			sv.packing = true
			h.Pack(sv.id)
		}
	case apiv1.CheckpointTaken:
		sv.taken = true
		if c.Then == apiv1.AfterCheckpoint_AFTER_CHECKPOINT_UNSPECIFIED {
			p.resumeSaved(h, sv)
		}
		p.storePart(h, sv, c)
	}
}

func (p *Part) beginSaving(h Hands, c *apiv1.Checkpoint) {
	sv := &saving{id: c.Id, ranks: map[int32]*savedRank{}}
	p.saving = sv
	h.BeginSaving(c)
	switch {
	case c.Id == p.severed[1]:
		sv.fault, sv.retry = fmt.Sprintf(severedText, p.host), true
	case c.Phase != apiv1.CheckpointPending:
		sv.fault, sv.retry = fmt.Sprintf("host %s has not heard of it before its ranks were to stop", p.host), true
	}
}

// tellSaving has the executor write the memory of the ranks that run here.
func (p *Part) tellSaving(h Hands, sv *saving) {
	if sv.told || p.exec != Running || len(p.restoring) > 0 {
		return
	}
	sv.told = true
	var ids []int32
	for id := range p.Mine() {
		if r := p.ranks[id]; r != nil && r.State == apiv1.RankRunning {
			sv.ranks[id] = &savedRank{ahead: &apiv1.ExecAhead{}}
			ids = append(ids, id)
		}
	}
	if err := h.Write(sv.id, ids); err != nil {
		sv.fault = err.Error()
	}
}

// stopForSaving has the ranks stop.
func (p *Part) stopForSaving(h Hands, sv *saving) {
	if sv.frozen || !sv.told && len(sv.ranks) > 0 {
		return
	}
	sv.frozen = true
	if ids := p.saved(sv); len(ids) > 0 {
		h.Say(&apiv1.ExecCommand{Msg: &apiv1.ExecCommand_Freeze{Freeze: &apiv1.ExecFreeze{Migration: sv.id, Ranks: ids}}})
	}
}

// saved are the ranks that are saved, in order.
func (p *Part) saved(sv *saving) (ids []int32) {
	for id := range p.rec.App.Size {
		if sv.ranks[id] != nil {
			ids = append(ids, id)
		}
	}
	return ids
}

// readyToSave says whether so much of the ranks here is written that the rest is short.
func (p *Part) readyToSave(sv *saving) bool {
	for id := range p.Mine() {
		r := sv.ranks[id]
		if p.ranks[id] != nil && p.ranks[id].State == apiv1.RankEnded {
			continue // the log will say so
		}
		if r == nil || !r.ahead.Ready {
			return false
		}
	}
	return true
}

// still says whether every rank that the log has here stands still, and is written.
func (p *Part) still(sv *saving) bool {
	if !sv.frozen {
		return false
	}
	for id := range p.Mine() {
		if r := sv.ranks[id]; r == nil || r.saved == nil {
			return false
		}
	}
	return true
}

// savingOf is the checkpoint under way if it has this id; nil: it is over.
func (p *Part) savingOf(id string) *saving {
	if p.saving == nil || p.saving.id != id {
		return nil
	}
	return p.saving
}

// savedAhead says how far a rank's memory is written, and whether it is of a checkpoint at all.
func (p *Part) savedAhead(x *apiv1.ExecAhead) bool {
	sv := p.savingOf(x.Migration)
	if sv == nil {
		return false
	}
	if r := sv.ranks[x.Rank]; r != nil {
		r.ahead = x
	}
	return true
}

// savedFrozen notes that a rank stands still for a checkpoint: its output up to here goes with it.
func (p *Part) savedFrozen(h Hands, f *apiv1.ExecFrozen) bool {
	sv := p.savingOf(f.Migration)
	if sv == nil {
		return false
	}
	r := sv.ranks[f.Rank]
	switch {
	case r == nil:
	case f.Error != "":
		p.saveFailed(sv, f.Rank, f.Error)
	case !r.still:
		r.still, r.stood = true, before(h.Now(), f.SinceMs)
		h.Stood(sv.id, f.Rank)
	}
	return true
}

// saveFailed notes that a rank cannot be saved. One that has ended need not be.
func (p *Part) saveFailed(sv *saving, id int32, why string) {
	if r := p.ranks[id]; r != nil && r.State == apiv1.RankEnded {
		delete(sv.ranks, id)
		return
	}
	p.SaveFault(sv.id, why, false)
}

// SaveFault takes it that this host's part of a checkpoint cannot be made, why, and whether that of another one may be.
func (p *Part) SaveFault(checkpoint, why string, retry bool) {
	if sv := p.savingOf(checkpoint); sv != nil && sv.fault == "" {
		sv.fault, sv.retry = Clean(why), retry
	}
}

// SaveTrouble takes what keeps this host's part of a checkpoint, for now, from where it is to be.
func (p *Part) SaveTrouble(checkpoint, why string) {
	if sv := p.savingOf(checkpoint); sv != nil {
		sv.trouble = Clean(why)
	}
}

// Saved takes it that a rank is written.
func (p *Part) Saved(x *apiv1.ExecSaved) {
	sv := p.savingOf(x.Checkpoint)
	if sv == nil || sv.ranks[x.Rank] == nil {
		return
	}
	switch {
	case x.Ended: // the log will say so; until then not all is still
		delete(sv.ranks, x.Rank)
	case x.Error != "":
		p.saveFailed(sv, x.Rank, x.Error)
	default:
		sv.ranks[x.Rank].saved = x
	}
}

// Packed takes it that the app's files are written.
func (p *Part) Packed(checkpoint string) {
	if sv := p.savingOf(checkpoint); sv != nil {
		sv.packed = true
	}
}

// Held takes it that this host's part of a checkpoint is where it is to be.
func (p *Part) Held(checkpoint string, part *apiv1.CheckpointPart) {
	if sv := p.savingOf(checkpoint); sv != nil {
		part.PauseMs = milliseconds(sv.pause) // 0: they have not gone on
		sv.held, sv.trouble = part, ""
	}
}

// resumeSaved has ranks go on that stand still.
func (p *Part) resumeSaved(h Hands, sv *saving) {
	if sv.resumed {
		return
	}
	sv.resumed = true
	ids := p.saved(sv)
	for _, id := range ids {
		if r := sv.ranks[id]; r.still {
			sv.pause = max(sv.pause, h.Now().Sub(r.stood))
		}
	}
	if len(ids) > 0 && sv.told {
		h.Say(&apiv1.ExecCommand{Msg: &apiv1.ExecCommand_Resume{Resume: &apiv1.ExecResume{Ranks: ids}}})
	}
}

// endSaving ends what was done for a checkpoint that is over.
func (p *Part) endSaving(h Hands) {
	sv := p.saving
	p.saving = nil
	if !p.standsWhereItIs() {
		p.resumeSaved(h, sv)
	}
	kept := p.rec.App.LastCheckpoint == sv.id && sv.held != nil
	if sv.told {
		h.Say(&apiv1.ExecCommand{Msg: &apiv1.ExecCommand_CheckpointEnd{CheckpointEnd: &apiv1.ExecCheckpointEnd{Id: sv.id, Kept: kept}}})
	}
	h.EndSaving(sv.id, sv.taken, kept)
}

// storePart makes what was written a part that this host holds, and has the second host hold it.
func (p *Part) storePart(h Hands, sv *saving, c *apiv1.Checkpoint) {
	if sv.storing {
		return
	}
	sv.storing = true
	if !sv.wasTaken() {
		sv.fault = fmt.Sprintf("host %s has no image of one of its ranks", p.host)
		return
	}
	saved := map[int32]*apiv1.ExecSaved{}
	for id, r := range sv.ranks {
		if r.saved != nil {
			saved[id] = r.saved
		}
	}
	h.Store(c, sv.part, saved, sv.packed)
}

// wasTaken says whether what the log calls taken is here.
func (sv *saving) wasTaken() bool {
	for _, r := range sv.ranks {
		if r.saved == nil && r.still {
			return false
		}
	}
	return !sv.part.Files || sv.packed
}
