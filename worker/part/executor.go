package part

import (
	"fmt"
	"time"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

// Fresh are the ranks to start here, from their beginning or from a checkpoint, in order.
func (p *Part) Fresh() (ids []int32) {
	for id, epoch := range p.Mine() {
		if p.ranks[id] == nil && epoch == p.firstEpoch() {
			ids = append(ids, id)
		}
	}
	return ids
}

// firstEpoch is that of ranks which have not moved since the attempt began.
func (p *Part) firstEpoch() uint64 { return max(1, p.rec.App.FirstEpoch) }

// Begins says whether ranks here begin from a checkpoint.
func (p *Part) Begins() bool { return p.rec.Restore != nil && len(p.Fresh()) > 0 }

// Unwanted says whether an executor that has just been started is to end before it is told anything.
func (p *Part) Unwanted() bool { return p.stopping || p.rec.App.Verdict != "" }

// Begun takes it that the executor is told to run the fresh ranks, and returns them: those that begin from a checkpoint are to be made of it,
// and Staged follows for each.
func (p *Part) Begun() []int32 {
	fresh := p.Fresh()
	for _, id := range fresh {
		p.ranks[id] = &Rank{Epoch: p.firstEpoch(), State: apiv1.RankRunning}
		if p.rec.Restore != nil {
			p.restoring[id] = true
		}
	}
	return fresh
}

// Ready takes it that the executor runs.
func (p *Part) Ready() { p.exec = Running }

// StartFailed takes it that the executor could not be started.
func (p *Part) StartFailed(why string) { p.exec, p.why = Gone, why }

// Adopting takes it that there is an executor which an earlier process of the worker has left.
func (p *Part) Adopting() { p.exec = Starting }

// AdoptFailed takes it that an executor that was told to start is not there any more: what it ran is lost as with the host.
func (p *Part) AdoptFailed(why string) { p.exec, p.why, p.lost = Gone, why, true }

// ExecutorGone takes it that the executor has ended: how, and whether what it ran is lost as with the host.
func (p *Part) ExecutorGone(code int32, reason string, lost bool) {
	switch {
	case p.stopping:
		code, reason = CodeKilled, "stopped"
	case p.code != 0: // so it would be elsewhere
		code, lost = p.code, false
	}
	p.exec, p.lost = Gone, lost
	if p.why == "" {
		p.why = Clean(reason)
	}
	p.endRanks(code, p.why, lost)
	p.endAll(code, p.why)
	if m := p.pending(); m != nil {
		p.failed, p.failure = m.Id, fmt.Sprintf("executor on %s: %s", p.host, p.why)
	}
}

// ExecutorFailed takes why the executor cannot go on. It is to be killed.
func (p *Part) ExecutorFailed(reason string) {
	p.why = Clean(reason)
	p.code = CodeNotRunnable
	if p.exec == Running { // a part of it has failed, and it ends whole
		p.code = CodeGodwitFailed
	}
	p.endRanks(p.code, p.why, false)
}

// endRanks ends the ranks that are here.
func (p *Part) endRanks(code int32, reason string, lost bool) {
	for id, r := range p.ranks {
		if r.State != apiv1.RankEnded {
			p.ranks[id] = &Rank{Epoch: r.Epoch, State: apiv1.RankEnded, Code: code, Reason: reason, HostLost: lost}
		}
	}
}

// Ended takes it that a rank has ended, and says whether that is news.
func (p *Part) Ended(e *apiv1.ExecEnded) (*Rank, bool) {
	r := p.ranks[e.Rank]
	if r == nil || r.State == apiv1.RankEnded {
		return nil, false
	}
	r.State, r.Code, r.Reason, r.ToldByReason = apiv1.RankEnded, e.ExitCode, Clean(e.Reason), e.ToldByReason
	r.unsure = false // whatever has come of it, that is how it ended
	return r, true
}

// Staged takes it that a rank has come whole, or was made of a checkpoint, or that it cannot be. why is why the executor cannot go on; empty: it can.
func (p *Part) Staged(h Hands, s *apiv1.ExecStaged) (why string) {
	if p.rec.Restore == nil || s.Migration != p.rec.Restore.Id || !p.restoring[s.Rank] {
		p.cameWhole(h, s)
		return ""
	}
	if s.Error != "" && p.stopping { // it is told to end, and those that run have their time for that
		return ""
	}
	if s.Error != "" {
		p.why = Clean(fmt.Sprintf("rank %d cannot begin from checkpoint %s: %s", s.Rank, s.Migration, s.Error))
		return p.why
	}
	delete(p.restoring, s.Rank)
	h.Say(&apiv1.ExecCommand{Msg: &apiv1.ExecCommand_Thaw{Thaw: &apiv1.ExecThaw{Ranks: []int32{s.Rank}, Epoch: p.firstEpoch()}}})
	return ""
}

// Restoring says whether ranks here are being made of a checkpoint.
func (p *Part) Restoring() bool { return len(p.restoring) > 0 }

// Thawed takes it that a rank which has moved here runs.
func (p *Part) Thawed(h Hands, t *apiv1.ExecThawed) {
	if r := p.ranks[t.Rank]; r != nil {
		r.pauseMs = milliseconds(h.Now().Sub(r.stopped))
	}
}

// Ahead takes how far a rank's memory is ahead of it.
func (p *Part) Ahead(h Hands, x *apiv1.ExecAhead) {
	if !p.savedAhead(x) {
		p.movedAhead(h, x)
	}
}

// Frozen takes it that a rank stands still, or cannot.
func (p *Part) Frozen(h Hands, f *apiv1.ExecFrozen) {
	if !p.savedFrozen(h, f) {
		p.movedFrozen(h, f)
	}
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// before is the time so many milliseconds before t, if that makes sense.
func before(t time.Time, ms float64) time.Time {
	const most = float64(24 * time.Hour / time.Millisecond)
	if !(ms >= 0 && ms <= most) { // not a number is neither
		ms = 0
	}
	return t.Add(-time.Duration(ms * float64(time.Millisecond)))
}
