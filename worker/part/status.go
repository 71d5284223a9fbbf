package part

import apiv1 "github.com/godwit-run/godwit/api/v1"

// Status is what the leader is told, but for what of it is not decided here.
func (p *Part) Status(h Hands) *apiv1.AppStatus {
	s := &apiv1.AppStatus{
		App: p.app, Index: p.rec.Index, Epoch: p.rec.App.Epoch, AckedMigration: p.acked,
		FailedMigration: p.failed, FailedReason: Clean(p.failure), Reason: Clean(p.why), Checkpoint: p.savingStatus(h),
	}
	s.Executor = [...]string{None: "", Starting: apiv1.ExecutorStarting, Running: apiv1.ExecutorRunning, Gone: apiv1.ExecutorEnded}[p.exec]
	if p.exec == Running && len(p.restoring) > 0 {
		s.Executor = apiv1.ExecutorStarting
	}
	room := maxReasonsBytes
	for id := range p.rec.App.Size {
		r := p.ranks[id]
		if r == nil || r.unsure || r.State == apiv1.RankEnded && r.pauseMs == 0 && p.rec.App.HasEnded(id) {
			continue // none here, or all is known of it
		}
		reason := r.Reason
		if room -= len(reason); room < 0 {
			reason = ""
		}
		st := &apiv1.RankStatus{
			Rank: id, Epoch: r.Epoch, State: string(r.State), ExitCode: r.Code, Reason: reason, ToldByReason: r.ToldByReason, HostLost: r.HostLost,
			ImageBytes: r.bytes, ImageDigest: r.digest, PauseMs: r.pauseMs, Migration: r.Migration, PauseBytes: r.pauseBytes, Rounds: r.rounds,
		}
		if p.move != nil && p.move.leaving[id] != nil {
			l := p.move.leaving[id]
			st.AheadBytes, st.Trouble = l.ahead.Bytes+h.LogSent(id), l.ahead.Trouble
		}
		s.Ranks = append(s.Ranks, st)
	}
	return s
}

// savingStatus is what the leader is told of a checkpoint; nil: nothing.
func (p *Part) savingStatus(h Hands) *apiv1.CheckpointStatus {
	sv := p.saving
	if sv == nil {
		return nil
	}
	s := &apiv1.CheckpointStatus{Id: sv.id, Fault: sv.fault, Retry: sv.retry, Trouble: sv.trouble, Progress: h.Stored(), Held: sv.held}
	for _, id := range p.saved(sv) {
		r := sv.ranks[id]
		s.Progress += r.ahead.Bytes
		if r.ahead.Trouble != "" && s.Trouble == "" {
			s.Trouble = Clean(r.ahead.Trouble)
		}
	}
	none := len(sv.ranks) == 0 && p.noneHere()
	s.Ready = (sv.told || none) && p.readyToSave(sv)
	s.Still = p.still(sv)
	if s.Still && (!sv.part.Files || sv.packed) {
		s.Taken = &apiv1.CheckpointPart{Host: sv.part.Host, Files: sv.part.Files}
	}
	return s
}
