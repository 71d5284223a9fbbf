package worker

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

// migrate does this host's part of the migration under way, and undoes it when it was aborted.
func (a *app) migrate(ctx context.Context) {
	m := a.pending()
	if a.freezing != "" && (m == nil || m.Id != a.freezing) {
		a.unfreeze()
	}
	if m == nil {
		return
	}
	if m.Phase == "pending" && a.acked != m.Id && a.prepared(m) {
		a.acked = m.Id
	}
	if m.Phase == apiv1.MigrationAnnounced && a.freezing != m.Id && a.exec == execRunning {
		a.freeze(ctx, m)
	}
}

// prepared says whether this host is ready for the migration: a target's executor must run.
func (a *app) prepared(m *apiv1.Migration) bool {
	for _, mv := range m.Moves {
		if mv.To == a.host.cfg.Name && a.exec == execGone {
			a.failed, a.failure = m.Id, fmt.Sprintf("no executor on %s: %s", mv.To, a.execErr)
			return false
		}
		if mv.To == a.host.cfg.Name && a.exec != execRunning {
			return false
		}
	}
	return true
}

// freeze asks the executor to freeze the ranks that leave this host.
func (a *app) freeze(ctx context.Context, m *apiv1.Migration) {
	var ids []int32
	for _, mv := range m.Moves {
		if mv.From == a.host.cfg.Name {
			ids = append(ids, mv.Rank)
		}
	}
	a.freezing = m.Id
	a.sending, a.endSending = context.WithCancel(ctx)
	if len(ids) == 0 {
		return
	}
	dir, err := a.host.imageDir(a.id, m.Id)
	if err != nil {
		a.failed, a.failure = m.Id, err.Error()
		return
	}
	a.say(&apiv1.ExecCommand{Msg: &apiv1.ExecCommand_Freeze{Freeze: &apiv1.ExecFreeze{Migration: m.Id, Ranks: ids, Dir: dir}}})
}

// unfreeze runs on what was asked to freeze for a migration that is over, where the ranks are still ours.
func (a *app) unfreeze() {
	migration := a.freezing
	a.freezing = ""
	a.endSending()
	var ids []int32
	for id := range a.mine() {
		if r := a.ranks[id]; r != nil && (r.state == apiv1.RankFrozen || r.state == apiv1.RankRunning) {
			r.state, r.digest, r.bytes, r.pauseMs = apiv1.RankRunning, "", 0, 0
			ids = append(ids, id)
		}
	}
	a.say(&apiv1.ExecCommand{Msg: &apiv1.ExecCommand_Resume{Resume: &apiv1.ExecResume{Ranks: ids}}})
	a.host.tasks.Go(func() error { a.host.removeImages(a.id, migration); return nil }) // the disk may take its time
}

// rankFrozen sends a frozen rank's image to its target.
func (a *app) rankFrozen(f *apiv1.ExecFrozen) {
	m, r := a.pending(), a.ranks[f.Rank]
	if m == nil || m.Id != f.Migration || r == nil {
		return // over meanwhile; unfreeze has said so to the executor
	}
	if f.Error != "" {
		a.failed, a.failure = m.Id, f.Error
		return
	}
	r.state, r.migration, r.bytes = apiv1.RankFrozen, m.Id, f.ImageBytes
	if f.Path == "" {
		return // it stands still; the image follows
	}
	var to string
	for _, mv := range m.Moves {
		if mv.Rank == f.Rank {
			to = mv.To
		}
	}
	job := transfer{
		header: &apiv1.TransferHeader{App: a.id, Migration: m.Id, Rank: f.Rank, From: a.host.cfg.Name},
		image:  f.Path, digest: f.Digest, to: to, addr: a.rec.Addrs[to], log: a.output.path(f.Rank),
	}
	start := time.Now()
	job.logEnd, job.notice = a.output.outgoing(f.Rank)
	job.since = func() float64 { return f.SinceMs + milliseconds(time.Since(start)) }
	sending := a.sending
	a.host.tasks.Go(func() error {
		err := a.host.send(sending, job)
		a.post(func() { a.sent(f, err) })
		return nil
	})
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

func (a *app) sent(f *apiv1.ExecFrozen, err error) {
	_ = os.Remove(f.Path) // it has served
	m, r := a.pending(), a.ranks[f.Rank]
	if m == nil || m.Id != f.Migration || r == nil {
		return
	}
	if err != nil {
		a.failed, a.failure = m.Id, err.Error()
		return
	}
	r.digest = f.Digest
}

// errNotYet is why an image is not taken whose source has heard that all have agreed to the migration before this host has.
var errNotYet = errors.New("it has not been announced here yet")

// expects says why this host does not wait for what h announces; nil: it does. A rank that is here already, in whatever state,
// is not waited for: what came first and whole is what counts.
func (a *app) expects(h *apiv1.TransferHeader) error {
	refused := fmt.Errorf("worker: host %s does not wait for rank %d of migration %s", a.host.cfg.Name, h.Rank, h.Migration)
	m := a.pending()
	if m != nil && m.Id == h.Migration && m.Phase == apiv1.MigrationPending {
		return fmt.Errorf("%w (%w)", refused, errNotYet)
	}
	if m == nil || m.Id != h.Migration || m.Phase != apiv1.MigrationAnnounced || a.exec != execRunning || a.output == nil {
		return refused
	}
	if r := a.ranks[h.Rank]; r != nil {
		return fmt.Errorf("%w: it has it", refused)
	}
	for _, mv := range m.Moves {
		if mv.Rank == h.Rank && mv.From == h.From && mv.To == a.host.cfg.Name {
			return nil
		}
	}
	return fmt.Errorf("%w from host %s", refused, h.From)
}

// arrived takes an image and a log that another host has sent, complete and checked. Up to here nothing of the rank has changed.
func (a *app) arrived(r *arrival) error {
	m, h := a.pending(), r.header
	if err := a.expects(h); err != nil {
		return err
	}
	if err := a.output.replace(h.Rank, r.log.Name(), r.facts); err != nil {
		return err
	}
	a.ranks[h.Rank] = &rankInfo{epoch: m.FromEpoch, migration: m.Id, bytes: r.size, digest: r.digest, stopped: r.stopped}
	a.say(&apiv1.ExecCommand{Msg: &apiv1.ExecCommand_Stage{Stage: &apiv1.ExecStage{Migration: m.Id, Rank: h.Rank, Path: r.image.Name()}}})
	return nil
}

func (a *app) rankStaged(s *apiv1.ExecStaged) {
	m, r := a.pending(), a.ranks[s.Rank]
	if r == nil || r.migration != s.Migration {
		return
	}
	if s.Error != "" {
		delete(a.ranks, s.Rank)
		if m != nil && m.Id == s.Migration {
			a.failed, a.failure = s.Migration, s.Error
		}
		return
	}
	r.inPlace = true
	r.stage()
}

// stage makes an arrived rank one that may be committed: the source forgets its memory and its log then.
func (r *rankInfo) stage() {
	if r.inPlace && r.kept && r.state == "" {
		r.state = apiv1.RankStaged
	}
}

// logKept says that the log which came with a rank is on the disk.
func (a *app) logKept(h *apiv1.TransferHeader) error {
	r := a.ranks[h.Rank]
	if r == nil || r.migration != h.Migration {
		return fmt.Errorf("worker: migration %s of rank %d is over on host %s", h.Migration, h.Rank, a.host.cfg.Name)
	}
	r.kept = true
	r.stage()
	return nil
}
