package mpi

import "github.com/godwit-run/godwit/mpi/channel"

// Standing is what tells whether ranks wait for each other for good. Where all ranks of an app Wait, have together received as many frames as they have
// sent, each counting its peers but for those that have ended, and stand as they stood when all were asked before, nothing will ever happen again:
// between the first question's last answer and the second's first all of that was so at once.
type Standing struct {
	Waits          bool   // asleep in a call that only another rank can end, with nothing left to send
	Sent, Received uint64 // frames, to and from the peers that have not ended
	Over           int    // peers that have ended
	Mark           uint64 // other than before, if the rank has gone on in the meantime
}

// Standing says how a rank stands; a rank that is not here, or that computes, does not wait.
func (w *World) Standing(r Rank) Standing {
	p := w.proc(r)
	if p == nil {
		return Standing{}
	}
	p.lock()
	defer p.release()
	s := Standing{Waits: p.sleeps(), Mark: uint64(p.since)}
	for peer, over := range p.over {
		if over {
			s.Over++
			continue
		}
		c := p.pairs[peer]
		if c == nil {
			continue
		}
		if c.pending.Len()+c.data.Len()+c.copies.Len()+c.Unsent(channel.Talk)+c.Unsent(channel.Bulk) > 0 {
			s.Waits = false
		}
		sent, received := c.Counts()
		s.Sent, s.Received = s.Sent+sent, s.Received+received
	}
	return s
}

// sleeps reports whether the guest sleeps in a call, and nothing has come since it last looked. Holds mu.
func (p *Proc) sleeps() bool {
	inCall := p.running.call != nil || p.ended
	idle := !p.news && !p.in.some() && !p.reopened.Load() && p.in.kicks.Load() == p.looksSeen
	return inCall && p.since > 0 && p.in.parked.Load() && idle && p.attached.Load() && !p.freeze && p.cancelErr == nil
}
