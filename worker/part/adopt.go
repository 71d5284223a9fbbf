package part

import apiv1 "github.com/godwit-run/godwit/api/v1"

// severedBegin is why an executor is killed some of whose ranks had not begun when its worker ended.
const severedBegin = "its worker ended while it began from a checkpoint"

// Adopt makes what an executor says of its ranks what is here, beside the first record that there is of the app. What only the process of the worker knew that has ended is given up:
// a migration, and a checkpoint, fails here. ended are ranks whose end Ended is to be told of next, in order; why is why the executor is to be killed, lost as with its host: empty: it goes on.
func (p *Part) Adopt(h Hands, s *apiv1.ExecStanding) (ended []*apiv1.ExecEnded, why string) {
	p.exec = Running
	under := p.pending().GetId()
	p.severed = [2]string{under, p.rec.GetCheckpoint().GetId()}
	epoch := p.rec.App.RankEpochs()
	var resume, drop, thaw []int32
	for _, r := range s.Ranks {
		id := r.Rank
		switch r.State {
		case apiv1.StandingRank_STATE_RUNS:
			p.ranks[id] = &Rank{Epoch: r.Epoch, State: apiv1.RankRunning}
		case apiv1.StandingRank_STATE_FROZEN:
			p.ranks[id] = &Rank{Epoch: r.Epoch, State: apiv1.RankFrozen, Migration: r.Migration}
			if r.Migration == under || !p.IsMine(id) || epoch(id) != r.Epoch {
				continue
			}
			p.ranks[id].State, p.ranks[id].Migration = apiv1.RankRunning, ""
			switch {
			case p.leavesWith(r.Migration):
				p.standing.checkpoint, p.standing.ranks = r.Migration, append(p.standing.ranks, id)
			case p.rec.App.Verdict == "": // else they stop where they are
				resume = append(resume, id)
			}
		case apiv1.StandingRank_STATE_EXPECTED, apiv1.StandingRank_STATE_STAGED:
			switch restores := p.rec.Restore != nil && p.rec.Restore.Id == r.Migration && p.IsMine(id); {
			case restores && r.State == apiv1.StandingRank_STATE_EXPECTED: // whether it comes yet, or could not, nobody knows: it is begun anew
				p.ranks[id] = &Rank{Epoch: p.firstEpoch(), State: apiv1.RankRunning}
				why = severedBegin
			case restores:
				p.ranks[id] = &Rank{Epoch: p.firstEpoch(), State: apiv1.RankRunning}
				thaw = append(thaw, id)
			case r.State == apiv1.StandingRank_STATE_STAGED:
				// Its log may not be here. If the log of the cluster has it here, it is: that it was had been said then.
				p.ranks[id] = &Rank{State: apiv1.RankStaged, Migration: r.Migration, digest: r.Staged.GetDigest(), unsure: true, stopped: h.Now()}
			default:
				drop = append(drop, id)
			}
		case apiv1.StandingRank_STATE_ENDED:
			p.ranks[id] = &Rank{Epoch: r.Epoch, State: apiv1.RankRunning}
			ended = append(ended, r.Ended)
		case apiv1.StandingRank_STATE_UNSPECIFIED: // it stands nowhere: the record says what follows
		}
	}
	if p.Begins() { // the executor had not heard yet of what these are made of, or of a part of it
		for _, id := range p.Fresh() {
			p.ranks[id] = &Rank{Epoch: p.firstEpoch(), State: apiv1.RankRunning}
		}
		why = severedBegin
	}
	if len(resume) > 0 {
		h.Say(&apiv1.ExecCommand{Msg: &apiv1.ExecCommand_Resume{Resume: &apiv1.ExecResume{Ranks: resume}}})
	}
	if len(drop) > 0 {
		h.Say(&apiv1.ExecCommand{Msg: &apiv1.ExecCommand_Drop{Drop: &apiv1.ExecDrop{Ranks: drop}}})
	}
	if len(thaw) > 0 && why == "" {
		h.Say(&apiv1.ExecCommand{Msg: &apiv1.ExecCommand_Thaw{Thaw: &apiv1.ExecThaw{Ranks: thaw, Epoch: p.firstEpoch()}}})
	}
	return ended, why
}

// Stop does what Step does of an app that is to stop, while it is not known yet how the ranks of an adopted executor stand.
func (p *Part) Stop(h Hands) {
	if p.rec.App.Verdict != "" {
		p.stop(h)
	}
}
