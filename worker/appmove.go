package worker

import (
	"context"
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

	ctx context.Context //nolint:containedctx // of what is sent: over with the migration
	end context.CancelFunc
}

// leaving is a rank that is about to leave this host.
type leaving struct {
	to    string
	ahead *apiv1.ExecAhead // what was last said of its memory
	log   *logSending      // nil: not begun
	kept  bool             // what there was of its log has gone ahead
}

// logAhead is how much of its log is sent.
func (l *leaving) logAhead() int64 {
	if l.log == nil {
		return 0
	}
	return l.log.sent.Load()
}

// comingRank is a rank that is about to come.
type comingRank struct {
	from   string
	memory *apiv1.ExecStaged // it is here whole; nil: not yet
	stood  time.Time         // since when it stands still, on this host's clock
	log    bool              // its log is here, in its place
	kept   bool              // and on the disk
}

// migrate does this host's part of the migration under way, and undoes it when it was aborted.
func (a *app) migrate(ctx context.Context) {
	m := a.pending()
	if a.move != nil && (m == nil || m.Id != a.move.id) {
		a.endMove()
	}
	if m == nil {
		return
	}
	if a.move == nil {
		a.beginMove(ctx, m)
	}
	mv := a.move
	if m.Id == a.severed[0] && len(mv.leaving)+len(mv.coming) > 0 && a.failed != m.Id {
		mv.told, mv.frozen, mv.guests = true, true, true
		a.failed, a.failure = m.Id, fmt.Sprintf(severed, a.host.cfg.Name)
	}
	if len(mv.leaving)+len(mv.coming) > 0 && a.exec == execGone && a.failed != m.Id {
		a.failed, a.failure = m.Id, fmt.Sprintf("no executor on %s: %s", a.host.cfg.Name, a.execErr)
	}
	if a.exec == execRunning && !mv.told {
		a.tellMove()
	}
	if m.Phase == apiv1.MigrationPending {
		switch ready := a.prepared(); {
		case ready:
			a.acked = m.Id
		case a.acked == m.Id: // what was ahead is to be sent again
			a.acked = ""
		}
	}
	if m.Phase == apiv1.MigrationAnnounced && mv.told && !mv.frozen {
		a.freeze()
	}
}

func (a *app) beginMove(ctx context.Context, m *apiv1.Migration) {
	mv := &moving{id: m.Id, leaving: map[int32]*leaving{}, coming: map[int32]*comingRank{}}
	mv.ctx, mv.end = context.WithCancel(ctx)
	for _, x := range m.Moves {
		if x.From == a.host.cfg.Name {
			mv.leaving[x.Rank] = &leaving{to: x.To, ahead: &apiv1.ExecAhead{}}
		}
		if x.To == a.host.cfg.Name {
			mv.coming[x.Rank] = &comingRank{from: x.From}
		}
	}
	a.move = mv
}

// tellMove tells the executor what is to come, and what is to go.
func (a *app) tellMove() {
	mv := a.move
	mv.told = true
	var come []int32
	var leave []*apiv1.PrecopyTarget
	for id := range a.rec.App.Size { // in order
		if mv.coming[id] != nil {
			come = append(come, id)
		}
		if l := mv.leaving[id]; l != nil {
			leave = append(leave, &apiv1.PrecopyTarget{Rank: id, Host: l.to, Addr: a.rec.Addrs[l.to]})
		}
	}
	if len(come) > 0 {
		a.say(&apiv1.ExecCommand{Msg: &apiv1.ExecCommand_Expect{Expect: &apiv1.ExecExpect{Migration: mv.id, Ranks: come}}})
	}
	if len(leave) > 0 {
		a.say(&apiv1.ExecCommand{Msg: &apiv1.ExecCommand_Precopy{Precopy: &apiv1.ExecPrecopy{Migration: mv.id, Ranks: leave}}})
	}
}

// prepared says whether this host is ready for the freeze: what is to come has its guest, and of what is to go so much is ahead that the rest is short.
func (a *app) prepared() bool {
	mv := a.move
	if len(mv.leaving)+len(mv.coming) == 0 {
		return true
	}
	if !mv.told || len(mv.coming) > 0 && !mv.guests {
		return false
	}
	for id, l := range mv.leaving {
		r := a.ranks[id]
		if r != nil && r.state == apiv1.RankEnded {
			continue // the freeze will tell
		}
		if !l.ahead.Ready || l.log != nil && !l.kept {
			return false
		}
	}
	return true
}

// freeze asks the executor to freeze the ranks that leave this host.
func (a *app) freeze() {
	a.move.frozen = true
	var ids []int32
	for id := range a.rec.App.Size {
		if a.move.leaving[id] != nil {
			ids = append(ids, id)
		}
	}
	if len(ids) > 0 {
		a.say(&apiv1.ExecCommand{Msg: &apiv1.ExecCommand_Freeze{Freeze: &apiv1.ExecFreeze{Migration: a.move.id, Ranks: ids}}})
	}
}

// leaving is how a rank leaves this host; nil: it does not.
func (a *app) leaving(id int32) *leaving {
	if a.move == nil {
		return nil
	}
	return a.move.leaving[id]
}

// endMove ends what was done for a migration that is over: ranks that are still ours run on, and those that have not come are not expected any more.
func (a *app) endMove() {
	mv := a.move
	a.move = nil
	mv.end()
	var stay, drop []int32
	for id := range a.rec.App.Size {
		if r := a.ranks[id]; mv.leaving[id] != nil && a.isMine(id) && r != nil && (r.state == apiv1.RankFrozen || r.state == apiv1.RankRunning) {
			r.state, r.migration = apiv1.RankRunning, ""
			stay = append(stay, id)
		}
		if c := mv.coming[id]; c != nil && !a.isMine(id) && (c.memory == nil || !c.kept) { // others were staged, and follow has dropped them
			if mv.guests {
				drop = append(drop, id)
			}
			if c.log {
				a.logMoved(id)
			}
		}
	}
	if len(stay) > 0 {
		a.say(&apiv1.ExecCommand{Msg: &apiv1.ExecCommand_Resume{Resume: &apiv1.ExecResume{Ranks: stay}}})
	}
	if len(drop) > 0 {
		a.say(&apiv1.ExecCommand{Msg: &apiv1.ExecCommand_Drop{Drop: &apiv1.ExecDrop{Ranks: drop}}})
	}
}

// logMoved forgets the log of a rank that is elsewhere: all of it is there.
func (a *app) logMoved(id int32) {
	delete(a.chains, id)
	if err := a.output.moved(id); err != nil {
		a.log.Warn("the log of a rank that has moved is left", "rank", id, "err", err)
	}
}

// moveOf is the migration under way if it has this id; nil: it is over.
func (a *app) moveOf(migration string) *moving {
	if m := a.pending(); m == nil || m.Id != migration || a.move == nil || a.move.id != migration {
		return nil
	}
	return a.move
}

func (a *app) moveFailed(migration, why string) {
	if a.moveOf(migration) != nil && a.failed != migration {
		a.failed, a.failure = migration, why
	}
}

// expecting says that the executor has made guests. Those of a migration that is over meanwhile are not needed, unless the next one expects them, too.
func (a *app) expecting(x *apiv1.ExecExpecting) {
	if mv := a.moveOf(x.Migration); mv != nil {
		mv.guests = true
		if x.Error != "" {
			a.moveFailed(x.Migration, x.Error)
		}
		return
	}
	var drop []int32
	for _, id := range x.Ranks {
		if a.ranks[id] == nil && (a.move == nil || a.move.coming[id] == nil) {
			drop = append(drop, id)
		}
	}
	if len(drop) > 0 {
		a.say(&apiv1.ExecCommand{Msg: &apiv1.ExecCommand_Drop{Drop: &apiv1.ExecDrop{Ranks: drop}}})
	}
}

// rankAhead says how far a rank's memory is ahead of it. Its log goes ahead, too, once the target is known to expect it.
func (a *app) rankAhead(x *apiv1.ExecAhead) {
	mv := a.moveOf(x.Migration)
	if mv == nil || mv.leaving[x.Rank] == nil {
		return
	}
	l := mv.leaving[x.Rank]
	x.Trouble = clean(x.Trouble)
	if x.Ready && l.ahead.Ready {
		x.Bytes = l.ahead.Bytes // what is sent again meanwhile is no progress
	}
	l.ahead = x
	if l.log == nil && (x.Rounds > 0 || x.Ready) {
		a.sendLog(mv, x.Rank, l)
	}
}

// sendLog begins to send a rank's log.
func (a *app) sendLog(mv *moving, id int32, l *leaving) {
	output := a.output
	t := &logSending{
		header: &apiv1.TransferHeader{App: a.id, Migration: mv.id, Rank: id, From: a.host.cfg.Name},
		log:    output.path(id), to: l.to, addr: a.rec.Addrs[l.to], still: make(chan struct{}),
	}
	t.size = func() int64 { n, _ := output.outgoing(id); return n }
	said := false
	t.ahead = func() {
		if !said {
			said = true
			a.post(func() { l.kept = true })
		}
	}
	t.more = func() { a.post(func() {}) } // the status says how much
	l.log = t
	a.host.tasks.Go(func() error {
		err := a.host.send(mv.ctx, t)
		a.post(func() {
			l.kept = true // or it has failed
			if err != nil && !errors.Is(mv.ctx.Err(), context.Canceled) {
				a.moveFailed(mv.id, err.Error())
			}
		})
		return nil
	})
}

// rankFrozen sends the rest of a frozen rank's log to its target; the executor sends the rest of its memory.
func (a *app) rankFrozen(f *apiv1.ExecFrozen) {
	mv, r := a.moveOf(f.Migration), a.ranks[f.Rank]
	if mv == nil || r == nil || mv.leaving[f.Rank] == nil {
		return // over meanwhile; endMove has said so to the executor
	}
	if f.Error != "" {
		a.moveFailed(mv.id, f.Error)
		return
	}
	if r.state == apiv1.RankFrozen {
		return
	}
	r.state, r.migration = apiv1.RankFrozen, mv.id
	l := mv.leaving[f.Rank]
	if l.log == nil {
		a.sendLog(mv, f.Rank, l)
	}
	l.log.end, l.log.notice = a.output.outgoing(f.Rank)
	close(l.log.still)
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// errNotYet is why a log is not taken whose source has heard of the migration before this host has.
var errNotYet = errors.New("it has not been announced here yet")

// expects says why this host does not wait for what h announces; nil: it does. A log that is here already
// is not waited for: what came first and whole is what counts.
func (a *app) expects(h *apiv1.TransferHeader) error {
	refused := fmt.Errorf("worker: host %s does not wait for rank %d of migration %s", a.host.cfg.Name, h.Rank, h.Migration)
	mv := a.moveOf(h.Migration)
	if mv == nil {
		return refused
	}
	c := mv.coming[h.Rank]
	switch {
	case c == nil || c.from != h.From:
		return fmt.Errorf("%w from host %s", refused, h.From)
	case a.exec != execRunning || a.output == nil:
		return fmt.Errorf("%w (%w)", refused, errNotYet)
	case c.log || a.ranks[h.Rank] != nil:
		return fmt.Errorf("%w: it has it", refused)
	}
	return nil
}

// logArrived takes a log that another host has sent, complete and checked. Up to here nothing of the rank has changed.
func (a *app) logArrived(r *arrival) error {
	if err := a.expects(r.header); err != nil {
		return err
	}
	if err := a.output.replace(r.header.Rank, r.log.Name(), r.check.facts); err != nil {
		return err
	}
	a.move.coming[r.header.Rank].log = true
	delete(a.chains, r.header.Rank)
	return nil
}

// logKept says that the log which came with a rank is on the disk.
func (a *app) logKept(h *apiv1.TransferHeader) error {
	mv := a.moveOf(h.Migration)
	if mv == nil || mv.coming[h.Rank] == nil || !mv.coming[h.Rank].log {
		return fmt.Errorf("worker: migration %s of rank %d is over on host %s", h.Migration, h.Rank, a.host.cfg.Name)
	}
	mv.coming[h.Rank].kept = true
	a.stage(mv, h.Rank)
	return nil
}

func (a *app) rankStaged(s *apiv1.ExecStaged) {
	mv := a.moveOf(s.Migration)
	if mv == nil || mv.coming[s.Rank] == nil {
		return // endMove has said so to the executor
	}
	if s.Error != "" {
		a.moveFailed(mv.id, s.Error)
		return
	}
	c := mv.coming[s.Rank]
	c.memory, c.stood = s, before(time.Now(), s.SinceMs)
	a.stage(mv, s.Rank)
}

// stage makes an arrived rank one that may be committed: the source forgets its memory and its log then.
func (a *app) stage(mv *moving, id int32) {
	c := mv.coming[id]
	if c.memory == nil || !c.kept || a.ranks[id] != nil {
		return
	}
	s := c.memory
	a.ranks[id] = &rankInfo{
		state: apiv1.RankStaged, epoch: a.pending().FromEpoch, migration: mv.id, digest: s.Digest, stopped: c.stood,
		bytes: s.AheadBytes + s.PauseBytes, pauseBytes: s.PauseBytes, rounds: s.Rounds,
	}
}
