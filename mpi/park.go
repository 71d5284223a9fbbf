package mpi

import (
	"runtime"
	"time"
)

// changed notes that a wait of the rank's guest may be over.
func (p *Proc) changed() { p.news = true }

// wait blocks the guest until done, which is asked under the lock. Collectives under way go on meanwhile. What is done
// is done even if the rank is to freeze: the call then ends.
func (p *Proc) wait(done func() bool) error {
	for {
		seen := p.in.kicks.Load()
		p.drain()
		p.news = false
		if len(p.active) > 0 {
			if err := p.progress(); err != nil {
				return err
			}
		}
		p.settle() // what progress has begun, too
		if done() {
			return nil
		}
		if err := p.interrupted(p.running.depth > 1); err != nil {
			return err
		}
		if p.news { // a collective may go on by what was settled
			continue
		}
		if p.since == 0 {
			p.since = p.w.now()
		}
		p.park(seen)
	}
}

// park releases the lock until something has happened since seen.
func (p *Proc) park(seen uint32) {
	began := p.w.now()
	rounds, each, far, longest := yields, 1, false, soon
	switch {
	case p.offers > 0: // it takes long; and then it is best to go on where the copy was made
		rounds = 2
	case p.w.spins():
		rounds, each = p.patience.at(began), looks
	default:
		far = p.w.roomy() && !p.patience.calms(began)
	}
	p.unlock()
	defer p.mu.Lock()
	if far && p.w.net.Poll(p.lookFar(seen, began)) {
		rounds, longest = 0, farSoon
	}
	if p.looked(seen, rounds, each) || p.wanted(seen) {
		p.patience.ended(true, p.w.now()-began, longest)
		return
	}
	p.in.parked.Store(true)
	defer p.in.parked.Store(false)
	if !p.wanted(seen) {
		<-p.in.wakeCh
	}
	p.patience.ended(false, p.w.now()-began, longest)
}

// wanted reports whether something has happened since seen. Only the guest calls it.
func (p *Proc) wanted(seen uint32) bool {
	return p.in.kicks.Load() != seen || p.in.some() || p.reopened.Load()
}

// looked looks for what has happened since seen, some rounds of so many times, and reports whether something has. Only the guest calls it, without
// the lock.
func (p *Proc) looked(seen uint32, rounds, each int) bool {
	last := time.Duration(0)
	for range rounds {
		for range each {
			if p.wanted(seen) {
				return true
			}
			if each > 1 {
				relax()
			}
		}
		runtime.Gosched()
		if each > 1 && p.keptAway(&last) {
			return p.wanted(seen)
		}
	}
	return false
}

// keptAway notes, and reports, whether the guest was kept from its processor since it was last asked, at the World's time last; 0: it was not yet.
func (p *Proc) keptAway(last *time.Duration) bool {
	now := p.w.now()
	lost := *last > 0 && now-*last > keptAway
	if lost {
		p.patience.lost(now)
	}
	*last = now
	return lost
}

// farLook is how far the guest is in looking for what comes from elsewhere.
type farLook struct {
	seen       uint32
	most, left int
	looks      int
	last       time.Duration
	over       func(came bool) bool // enough
}

// lookFar begins a look for what has happened since seen, whatever brings it. It returns what says when that is to end.
func (p *Proc) lookFar(seen uint32, now time.Duration) (over func(came bool) bool) {
	n := p.patience.at(now) * farLooks
	p.far.seen, p.far.most, p.far.left, p.far.last = seen, n, n, 0
	return p.far.over
}

// enough is asked between one look and the next. As long as something comes, looking is of use, and takes what it takes.
func (p *Proc) enough(came bool) bool {
	f := &p.far
	if came {
		f.left, f.last = f.most, 0
	}
	if f.left == 0 || p.wanted(f.seen) {
		return true
	}
	f.left--
	if p.keptAway(&f.last) {
		return true
	}
	if f.looks++; f.looks%farLooks == 0 {
		runtime.Gosched()
	}
	return false
}
