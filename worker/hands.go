package worker

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

// hands do for an app what its part decides, on its goroutine.
type hands struct {
	a   *app
	ctx context.Context //nolint:containedctx // of the step
}

// with are the hands of one step.
func (a *app) with(ctx context.Context) hands { return hands{a, ctx} }

// Now implements part.Hands.
func (hands) Now() time.Time { return time.Now() }

// Say implements part.Hands.
func (h hands) Say(c *apiv1.ExecCommand) { h.a.say(c) }

// Start implements part.Hands.
func (h hands) Start() { h.a.startChild(h.ctx) }

// GiveUpStart implements part.Hands.
func (h hands) GiveUpStart() bool {
	if h.a.child != nil {
		return false
	}
	h.a.endStart()
	return true
}

// Kill implements part.Hands.
func (h hands) Kill(why string) {
	if h.a.child != nil {
		h.a.child.kill(why)
	}
}

// Cancel implements part.Hands.
func (h hands) Cancel(reason string, grace time.Duration) {
	h.a.say(&apiv1.ExecCommand{Msg: &apiv1.ExecCommand_Cancel{Cancel: &apiv1.ExecCancel{Reason: reason, GraceMs: grace.Milliseconds()}}})
	child := h.a.child
	grace += h.a.host.cfg.CancelGrace
	h.a.host.tasks.Go(func() error {
		t := time.NewTimer(grace)
		defer t.Stop()
		select {
		case <-t.C:
			child.kill("it was still computing after the grace")
		case <-child.exited:
		case <-h.ctx.Done():
		}
		return nil
	})
}

// Stop implements part.Hands.
func (h hands) Stop() {
	h.a.leaveFiles(h.ctx, h.a.child)
	h.a.stopChild()
}

// Files implements part.Hands.
func (h hands) Files() { h.a.followFiles(h.ctx) }

// sendings are the logs that are on their way for a migration.
type sendings struct {
	migration string
	logs      map[int32]*logSending

	ctx context.Context //nolint:containedctx // of what is sent: over with the migration
	end context.CancelFunc
}

// SendLog implements part.Hands.
func (h hands) SendLog(migration string, rank int32, to string) {
	a := h.a
	if a.sending == nil {
		a.sending = &sendings{migration: migration, logs: map[int32]*logSending{}}
		a.sending.ctx, a.sending.end = context.WithCancel(h.ctx)
	}
	all, output := a.sending, a.output
	t := &logSending{
		header: &apiv1.TransferHeader{App: a.id, Migration: migration, Rank: rank, From: a.host.cfg.Name},
		log:    output.path(rank), to: to, addr: a.part.Record().Addrs[to], still: make(chan struct{}),
	}
	t.size = func() int64 { n, _ := output.outgoing(rank); return n }
	said := false
	t.ahead = func() {
		if !said {
			said = true
			a.post(func() { a.part.LogAhead(migration, rank) })
		}
	}
	t.more = func() { a.post(func() {}) } // the status says how much
	all.logs[rank] = t
	a.host.tasks.Go(func() error {
		err := a.host.send(all.ctx, t)
		a.post(func() {
			a.part.LogAhead(migration, rank) // or it has failed
			if err != nil && !errors.Is(all.ctx.Err(), context.Canceled) {
				a.part.MoveFailed(migration, err.Error())
			}
		})
		return nil
	})
}

// EndLog implements part.Hands.
func (h hands) EndLog(_ string, rank int32) {
	t := h.a.sending.logs[rank]
	t.end, t.notice = h.a.output.outgoing(rank)
	close(t.still)
}

// LogSent implements part.Hands.
func (h hands) LogSent(rank int32) int64 {
	if h.a.sending == nil || h.a.sending.logs[rank] == nil {
		return 0
	}
	return h.a.sending.logs[rank].sent.Load()
}

// EndSending implements part.Hands.
func (h hands) EndSending(string) {
	if s := h.a.sending; s != nil {
		h.a.sending = nil
		s.end()
	}
}

// LogMoved implements part.Hands.
func (h hands) LogMoved(rank int32) {
	delete(h.a.chains, rank)
	if err := h.a.output.moved(rank); err != nil {
		h.a.log.Warn("the log of a rank that has moved is left", "rank", rank, "err", err)
	}
}

// logArrived takes a log that another host has sent, complete and checked. Up to here nothing of the rank has changed.
func (a *app) logArrived(r *arrival) error {
	if err := a.part.Expects(r.header); err != nil {
		return err
	}
	if err := a.output.replace(r.header.Rank, r.log.Name(), r.check.facts); err != nil {
		return err
	}
	a.part.LogHere(r.header)
	delete(a.chains, r.header.Rank)
	return nil
}

// BeginSaving implements part.Hands.
func (h hands) BeginSaving(c *apiv1.Checkpoint) {
	sv := &saving{id: c.Id, dir: h.a.host.checkpoints.makingDir(c.Id), stood: map[int32]outputEnd{}}
	sv.ctx, sv.end = context.WithCancel(h.ctx)
	h.a.saving = sv
	h.a.host.checkpoints.know(c)
}

// Write implements part.Hands.
func (h hands) Write(checkpoint string, ranks []int32) error {
	a := h.a
	if err := os.MkdirAll(a.saving.dir, 0o700); err != nil {
		a.host.suspectDisk()
		return fmt.Errorf("host %s cannot store it (%s)", a.host.cfg.Name, reasonOf(err))
	}
	if len(ranks) > 0 {
		a.say(&apiv1.ExecCommand{Msg: &apiv1.ExecCommand_Checkpoint{Checkpoint: &apiv1.ExecCheckpoint{
			Id: checkpoint, Dir: a.saving.dir, Ranks: ranks, KeepFree: a.host.keepFree(), Anew: a.torn(ranks),
		}}})
	}
	return nil
}

// Stood implements part.Hands.
func (h hands) Stood(_ string, rank int32) {
	end, notice := h.a.output.outgoing(rank)
	h.a.saving.stood[rank] = outputEnd{end, notice}
}

// CanPack implements part.Hands.
func (h hands) CanPack() bool { return h.a.home != nil && h.a.filled && h.a.home.server != nil }

// Pack implements part.Hands.
func (h hands) Pack(string) { h.a.packFiles(h.a.saving) }

// Store implements part.Hands.
func (h hands) Store(c *apiv1.Checkpoint, part *apiv1.CheckpointPart, saved map[int32]*apiv1.ExecSaved, packed bool) {
	h.a.storePart(h.a.saving, c, part, saved, packed)
}

// EndSaving implements part.Hands.
func (h hands) EndSaving(checkpoint string, taken, kept bool) {
	sv := h.a.saving
	h.a.saving = nil
	sv.end()
	if !taken { // nobody holds anything of it
		h.a.host.checkpoints.follow(&apiv1.Holdings{Drop: []string{checkpoint}})
	}
	if kept {
		h.a.keepSaved(sv)
	}
	h.a.host.tasks.Go(func() error {
		sv.tasks.Wait()
		if err := os.RemoveAll(sv.dir); err != nil {
			h.a.log.Warn("what was written for a checkpoint is left", "dir", sv.dir, "err", err)
		}
		return nil
	})
}

// Stored implements part.Hands.
func (h hands) Stored() int64 { return h.a.saving.progress.Load() }
