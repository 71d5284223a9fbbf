package part

import (
	"errors"
	"fmt"
	"time"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

// moving is this host's part of the migration under way.
type moving struct {
	id      string
	leaving map[int32]*leaving
	coming  map[int32]*comingRank

	told   bool // the executor, which runs: what is to come, and what is to go
	frozen bool // it was asked to freeze
	guests bool // it has made the guests for what is to come
}

// leaving is a rank that is about to leave this host.
type leaving struct {
	to    string
	ahead *apiv1.ExecAhead // what was last said of its memory
	log   bool             // its log is on its way
	kept  bool             // what there was of its log has gone ahead
}

// comingRank is a rank that is about to come.
type comingRank struct {
	from   string
	memory *apiv1.ExecStaged // it is here whole; nil: not yet
	stood  time.Time         // since when it stands still, on this host's clock
	log    bool              // its log is here, in its place
	kept   bool              // and on the disk
}

// severedText is what became of what an executor was in the midst of when its worker ended.
const severedText = "the worker of host %s was started again in its midst"

// endOver ends what was done for a migration, or a checkpoint, that is over.
func (p *Part) endOver(h Hands) {
	if m := p.pending(); p.move != nil && (m == nil || m.Id != p.move.id) {
		p.endMove(h)
	}
	c := p.rec.Checkpoint
	if p.saving != nil && (c == nil || c.Id != p.saving.id || apiv1.CheckpointOver(c.Phase)) {
		p.endSaving(h)
	}
	if s := p.standing; s.ranks != nil && (c == nil || c.Id != s.checkpoint || apiv1.CheckpointOver(c.Phase)) {
		p.standing = still{}
		h.Say(&apiv1.ExecCommand{Msg: &apiv1.ExecCommand_Resume{Resume: &apiv1.ExecResume{Ranks: s.ranks}}})
	}
}

// migrate does this host's part of the migration under way.
func (p *Part) migrate(h Hands) {
	m := p.pending()
	if m == nil {
		return
	}
	if p.move == nil {
		p.beginMove(m)
	}
	mv := p.move
	if m.Id == p.severed[0] && len(mv.leaving)+len(mv.coming) > 0 && p.failed != m.Id {
		mv.told, mv.frozen, mv.guests = true, true, true
		p.failed, p.failure = m.Id, fmt.Sprintf(severedText, p.host)
	}
	if len(mv.leaving)+len(mv.coming) > 0 && p.exec == Gone && p.failed != m.Id {
		p.failed, p.failure = m.Id, fmt.Sprintf("no executor on %s: %s", p.host, p.why)
	}
	if p.exec == Running && !mv.told {
		p.tellMove(h)
	}
	if m.Phase == apiv1.MigrationPending {
		switch ready := p.prepared(); {
		case ready:
			p.acked = m.Id
		case p.acked == m.Id: // what was ahead is to be sent again
			p.acked = ""
		}
	}
	if m.Phase == apiv1.MigrationAnnounced {
		p.acked = m.Id // it was counted, whatever is to be sent again
		if mv.told && !mv.frozen {
			p.freeze(h)
		}
	}
}

func (p *Part) beginMove(m *apiv1.Migration) {
	mv := &moving{id: m.Id, leaving: map[int32]*leaving{}, coming: map[int32]*comingRank{}}
	for _, x := range m.Moves {
		if x.From == p.host {
			mv.leaving[x.Rank] = &leaving{to: x.To, ahead: &apiv1.ExecAhead{}}
		}
		if x.To == p.host {
			mv.coming[x.Rank] = &comingRank{from: x.From}
		}
	}
	p.move = mv
}

// tellMove tells the executor what is to come, and what is to go.
func (p *Part) tellMove(h Hands) {
	mv := p.move
	mv.told = true
	var come []int32
	var leave []*apiv1.PrecopyTarget
	for id := range p.rec.App.Size { // in order
		if mv.coming[id] != nil {
			come = append(come, id)
		}
		if l := mv.leaving[id]; l != nil {
			leave = append(leave, &apiv1.PrecopyTarget{Rank: id, Host: l.to, Addr: p.rec.Addrs[l.to]})
		}
	}
	if len(come) > 0 {
		h.Say(&apiv1.ExecCommand{Msg: &apiv1.ExecCommand_Expect{Expect: &apiv1.ExecExpect{Migration: mv.id, Ranks: come}}})
	}
	if len(leave) > 0 {
		h.Say(&apiv1.ExecCommand{Msg: &apiv1.ExecCommand_Precopy{Precopy: &apiv1.ExecPrecopy{Migration: mv.id, Ranks: leave}}})
	}
}

// prepared says whether this host is ready for the freeze: what is to come has its guest, and of what is to go so much is ahead that the rest is short.
func (p *Part) prepared() bool {
	mv := p.move
	if len(mv.leaving)+len(mv.coming) == 0 {
		return true
	}
	if !mv.told || len(mv.coming) > 0 && !mv.guests {
		return false
	}
	for id, l := range mv.leaving {
		r := p.ranks[id]
		if r != nil && r.State == apiv1.RankEnded {
			continue // the freeze will tell
		}
		if !l.ahead.Ready || l.log && !l.kept {
			return false
		}
	}
	return true
}

// freeze asks the executor to freeze the ranks that leave this host.
func (p *Part) freeze(h Hands) {
	p.move.frozen = true
	var ids []int32
	for id := range p.rec.App.Size {
		if p.move.leaving[id] != nil {
			ids = append(ids, id)
		}
	}
	if len(ids) > 0 {
		h.Say(&apiv1.ExecCommand{Msg: &apiv1.ExecCommand_Freeze{Freeze: &apiv1.ExecFreeze{Migration: p.move.id, Ranks: ids}}})
	}
}

// endMove ends what was done for a migration that is over: ranks that are still ours run on, and those that have not come are not expected any more.
func (p *Part) endMove(h Hands) {
	mv := p.move
	p.move = nil
	h.EndSending(mv.id)
	var stay, drop []int32
	for id := range p.rec.App.Size {
		if r := p.ranks[id]; mv.leaving[id] != nil && p.IsMine(id) && r != nil && (r.State == apiv1.RankFrozen || r.State == apiv1.RankRunning) {
			r.State, r.Migration = apiv1.RankRunning, ""
			stay = append(stay, id)
		}
		if c := mv.coming[id]; c != nil && !p.IsMine(id) && (c.memory == nil || !c.kept) { // others were staged, and follow has dropped them
			if mv.guests {
				drop = append(drop, id)
			}
			if c.log {
				h.LogMoved(id)
			}
		}
	}
	if len(stay) > 0 {
		h.Say(&apiv1.ExecCommand{Msg: &apiv1.ExecCommand_Resume{Resume: &apiv1.ExecResume{Ranks: stay}}})
	}
	if len(drop) > 0 {
		h.Say(&apiv1.ExecCommand{Msg: &apiv1.ExecCommand_Drop{Drop: &apiv1.ExecDrop{Ranks: drop}}})
	}
}

// moveOf is the migration under way if it has this id; nil: it is over.
func (p *Part) moveOf(migration string) *moving {
	if m := p.pending(); m == nil || m.Id != migration || p.move == nil || p.move.id != migration {
		return nil
	}
	return p.move
}

// MoveFailed takes it that a migration cannot be done here, and why.
func (p *Part) MoveFailed(migration, why string) {
	if p.moveOf(migration) != nil && p.failed != migration {
		p.failed, p.failure = migration, why
	}
}

// Expecting takes it that the executor has made guests. Those of a migration that is over meanwhile are not needed, unless the next one expects them, too.
func (p *Part) Expecting(h Hands, x *apiv1.ExecExpecting) {
	if mv := p.moveOf(x.Migration); mv != nil {
		mv.guests = true
		if x.Error != "" {
			p.MoveFailed(x.Migration, x.Error)
		}
		return
	}
	var drop []int32
	for _, id := range x.Ranks {
		if p.ranks[id] == nil && (p.move == nil || p.move.coming[id] == nil) {
			drop = append(drop, id)
		}
	}
	if len(drop) > 0 {
		h.Say(&apiv1.ExecCommand{Msg: &apiv1.ExecCommand_Drop{Drop: &apiv1.ExecDrop{Ranks: drop}}})
	}
}

// movedAhead says how far a rank's memory is ahead of it. Its log goes ahead, too, once the target is known to expect it.
func (p *Part) movedAhead(h Hands, x *apiv1.ExecAhead) {
	mv := p.moveOf(x.Migration)
	if mv == nil || mv.leaving[x.Rank] == nil {
		return
	}
	l := mv.leaving[x.Rank]
	x.Trouble = Clean(x.Trouble)
	if x.Ready && l.ahead.Ready {
		x.Bytes = l.ahead.Bytes // what is sent again meanwhile is no progress
	}
	l.ahead = x
	if x.Rounds > 0 || x.Ready {
		l.sendLog(h, mv, x.Rank)
	}
}

// sendLog begins to send a rank's log, once.
func (l *leaving) sendLog(h Hands, mv *moving, id int32) {
	if !l.log {
		l.log = true
		h.SendLog(mv.id, id, l.to)
	}
}

// LogAhead takes it that what there was of a rank's log has gone, or that sending it has failed.
func (p *Part) LogAhead(migration string, rank int32) {
	if mv := p.moveOf(migration); mv != nil && mv.leaving[rank] != nil {
		mv.leaving[rank].kept = true
	}
}

// movedFrozen sends the rest of a frozen rank's log to its target; the executor sends the rest of its memory.
func (p *Part) movedFrozen(h Hands, f *apiv1.ExecFrozen) {
	mv, r := p.moveOf(f.Migration), p.ranks[f.Rank]
	if mv == nil || r == nil || mv.leaving[f.Rank] == nil {
		return // over meanwhile; endMove has said so to the executor
	}
	if f.Error != "" {
		p.MoveFailed(mv.id, f.Error)
		return
	}
	if r.State == apiv1.RankFrozen {
		return
	}
	r.State, r.Migration = apiv1.RankFrozen, mv.id
	mv.leaving[f.Rank].sendLog(h, mv, f.Rank)
	h.EndLog(mv.id, f.Rank)
}

// ErrNotYet is why a log is not taken whose source has heard of the migration before this host has.
var ErrNotYet = errors.New("it has not been announced here yet")

// Expects says why this host does not wait for what a header announces; nil: it does. A log that is here already
// is not waited for: what came first and whole is what counts.
func (p *Part) Expects(h *apiv1.TransferHeader) error {
	refused := fmt.Errorf("worker: host %s does not wait for rank %d of migration %s", p.host, h.Rank, h.Migration)
	if p.rec == nil {
		return fmt.Errorf("%w (%w)", refused, ErrNotYet)
	}
	mv := p.moveOf(h.Migration)
	if mv == nil {
		return refused
	}
	c := mv.coming[h.Rank]
	switch {
	case c == nil || c.from != h.From:
		return fmt.Errorf("%w from host %s", refused, h.From)
	case p.exec != Running:
		return fmt.Errorf("%w (%w)", refused, ErrNotYet)
	case c.log || p.ranks[h.Rank] != nil:
		return fmt.Errorf("%w: it has it", refused)
	}
	return nil
}

// LogHere takes it that the log of a rank which is to come is in its place, after Expects.
func (p *Part) LogHere(h *apiv1.TransferHeader) { p.move.coming[h.Rank].log = true }

// LogKept takes it that the log which came with a rank is on the disk.
func (p *Part) LogKept(h *apiv1.TransferHeader) error {
	mv := p.moveOf(h.Migration)
	if mv == nil || mv.coming[h.Rank] == nil || !mv.coming[h.Rank].log {
		return fmt.Errorf("worker: migration %s of rank %d is over on host %s", h.Migration, h.Rank, p.host)
	}
	mv.coming[h.Rank].kept = true
	p.stage(mv, h.Rank)
	return nil
}

// cameWhole takes it that a rank's memory has come, or cannot.
func (p *Part) cameWhole(h Hands, s *apiv1.ExecStaged) {
	mv := p.moveOf(s.Migration)
	if mv == nil || mv.coming[s.Rank] == nil {
		return // endMove has said so to the executor
	}
	if s.Error != "" {
		p.MoveFailed(mv.id, s.Error)
		return
	}
	c := mv.coming[s.Rank]
	c.memory, c.stood = s, before(h.Now(), s.SinceMs)
	p.stage(mv, s.Rank)
}

// stage makes an arrived rank one that may be committed: the source forgets its memory and its log then.
func (p *Part) stage(mv *moving, id int32) {
	c := mv.coming[id]
	if c.memory == nil || !c.kept || p.ranks[id] != nil {
		return
	}
	s := c.memory
	p.ranks[id] = &Rank{
		State: apiv1.RankStaged, Epoch: p.pending().FromEpoch, Migration: mv.id, digest: s.Digest, stopped: c.stood,
		bytes: s.AheadBytes + s.PauseBytes, pauseBytes: s.PauseBytes, rounds: s.Rounds,
	}
}
