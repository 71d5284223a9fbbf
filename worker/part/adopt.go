package part

import apiv1 "github.com/godwit-run/godwit/api/v1"

// severedBegin is why an executor is killed some of whose ranks had not begun when its worker ended.
const severedBegin = "its worker ended while it began from a checkpoint"

// adoption is what follows from how an executor's ranks stand.
type adoption struct {
	epoch func(rank int32) uint64 // by the record

	resume, drop, thaw []int32
	ended              []*apiv1.ExecEnded
	why                string
}

// Adopt makes what an executor says of its ranks what is here, beside the first record that there is of the app. What only the process of the worker knew that has ended is given up:
// a migration, and a checkpoint, fails here. ended are ranks whose end Ended is to be told of next, in order; why is why the executor is to be killed, lost as with its host: empty: it goes on.
func (p *Part) Adopt(h Hands, s *apiv1.ExecStanding) (ended []*apiv1.ExecEnded, why string) {
	p.exec = Running
	p.severed = [2]string{p.pending().GetId(), p.rec.GetCheckpoint().GetId()}
	a := &adoption{epoch: p.rec.App.RankEpochs()}
	for _, r := range s.Ranks {
		switch r.State {
		case apiv1.StandingRank_STATE_RUNS:
			p.ranks[r.Rank] = &Rank{Epoch: r.Epoch, State: apiv1.RankRunning}
		case apiv1.StandingRank_STATE_FROZEN:
			p.adoptStill(r, a)
		case apiv1.StandingRank_STATE_EXPECTED, apiv1.StandingRank_STATE_STAGED:
			p.adoptComing(h, r, a)
		case apiv1.StandingRank_STATE_ENDED:
			p.ranks[r.Rank] = &Rank{Epoch: r.Epoch, State: apiv1.RankRunning}
			a.ended = append(a.ended, r.Ended)
		case apiv1.StandingRank_STATE_UNSPECIFIED: // it stands nowhere: the record says what follows
		}
	}
	if p.Begins() { // the executor had not heard yet of what these are made of, or of a part of it
		for _, id := range p.Fresh() {
			p.ranks[id] = &Rank{Epoch: p.firstEpoch(), State: apiv1.RankRunning}
		}
		a.why = severedBegin
	}
	if len(a.resume) > 0 {
		h.Say(&apiv1.ExecCommand{Msg: &apiv1.ExecCommand_Resume{Resume: &apiv1.ExecResume{Ranks: a.resume}}})
	}
	if len(a.drop) > 0 {
		h.Say(&apiv1.ExecCommand{Msg: &apiv1.ExecCommand_Drop{Drop: &apiv1.ExecDrop{Ranks: a.drop}}})
	}
	if len(a.thaw) > 0 && a.why == "" {
		h.Say(&apiv1.ExecCommand{Msg: &apiv1.ExecCommand_Thaw{Thaw: &apiv1.ExecThaw{Ranks: a.thaw, Epoch: p.firstEpoch()}}})
	}
	return a.ended, a.why
}

// adoptStill takes a rank that stands still: for the migration under way, for a checkpoint that it leaves with, or for one that is over, whose ranks run again.
func (p *Part) adoptStill(r *apiv1.StandingRank, a *adoption) {
	p.ranks[r.Rank] = &Rank{Epoch: r.Epoch, State: apiv1.RankFrozen, Migration: r.Migration}
	if r.Migration == p.pending().GetId() || !p.IsMine(r.Rank) || a.epoch(r.Rank) != r.Epoch {
		return
	}
	p.ranks[r.Rank] = &Rank{Epoch: r.Epoch, State: apiv1.RankRunning}
	switch {
	case p.leavesWith(r.Migration):
		p.standing.checkpoint, p.standing.ranks = r.Migration, append(p.standing.ranks, r.Rank)
	case !p.standsWhereItIs():
		a.resume = append(a.resume, r.Rank)
	}
}

// adoptComing takes a rank that is on its way here, or is here and has not run: of a migration, or of the checkpoint that the attempt begins from.
func (p *Part) adoptComing(h Hands, r *apiv1.StandingRank, a *adoption) {
	staged := r.State == apiv1.StandingRank_STATE_STAGED
	switch restores := p.rec.Restore != nil && p.rec.Restore.Id == r.Migration && p.IsMine(r.Rank); {
	case restores:
		p.ranks[r.Rank] = &Rank{Epoch: p.firstEpoch(), State: apiv1.RankRunning}
		if !staged { // whether it comes yet, or could not, nobody knows: it is begun anew
			a.why = severedBegin
			return
		}
		a.thaw = append(a.thaw, r.Rank)
	case staged:
		// Its log may not be here. If the log of the cluster has it here, it is: that it was had been said then.
		p.ranks[r.Rank] = &Rank{State: apiv1.RankStaged, Migration: r.Migration, digest: r.Staged.GetDigest(), unsure: true, stopped: h.Now()}
	default:
		a.drop = append(a.drop, r.Rank)
	}
}

// Stop does what Step does of an app that is to stop, while it is not known yet how the ranks of an adopted executor stand.
func (p *Part) Stop(h Hands) {
	if p.rec.App.Verdict != "" {
		p.stop(h)
	}
}
