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
		if len(p.active)+len(p.filing) > 0 {
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
	p.looksSeen = seen
	began := p.w.now()
	p.far.later = false
	rounds, each, far, longest := yields, 1, false, soon
	switch {
	case p.offers > 0: // it takes long; and then it is best to go on where the copy was made
		rounds = 2
	case p.w.spins():
		rounds, each = p.patience.at(began), looks
	default:
		far = p.w.roomy()
	}
	p.unlock()
	defer p.mu.Lock()
	if far && p.w.net.Poll(p.lookFar(seen, began)) {
		rounds, longest = 0, farSoon
		if p.far.later {
			p.in.asleep.Store(false)
			defer p.in.parked.Store(false)
			defer p.w.sleepers.Add(-1)
		}
	}
	if p.looked(seen, rounds, each) || p.wanted(seen) {
		p.patience.ended(!p.far.later, p.w.now()-began, longest)
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
	selfish    int  // so many looks in vain, at first, it does not give its processor away in between
	later      bool // it sleeps between one look and the next
	next       func(came bool) Look
}

// lookFar begins a look for what has happened since seen, whatever brings it. It returns what says how that is to go on.
func (p *Proc) lookFar(seen uint32, now time.Duration) (next func(came bool) Look) {
	f := &p.far
	f.seen, f.last, f.later = seen, 0, false
	f.most, f.selfish = p.patience.far(now)
	f.left = f.most
	return f.next
}

// nextLook is asked between one look and the next. As long as something comes, looking is of use, and takes what it takes; then the guest sleeps where the
// kernel wakes it itself when something comes.
func (p *Proc) nextLook(came bool) Look {
	f := &p.far
	switch {
	case came:
		f.most, f.selfish = p.patience.far(p.w.now()) // it may have become polite meanwhile
		f.left, f.last = f.most, 0
		if f.later {
			f.later = false
			p.w.sleepers.Add(-1)
			p.in.asleep.Store(false)
			p.in.parked.Store(false)
		}
	case f.later:
	case f.left == 0, p.keptAway(&f.last):
		f.later = true
		p.w.sleepers.Add(1)
		p.in.parked.Store(true)
		p.in.asleep.Store(true)
	}
	switch {
	case p.wanted(f.seen): // since it may be woken
		return pick(int(p.w.sleepers.Load()) > truth(f.later), LookForUs, LookNoMore)
	case f.later:
		return LookLater
	}
	if f.left > 0 {
		f.left--
	}
	if f.looks++; f.looks%farLooks == 0 {
		runtime.Gosched()
	}
	if !came && f.most-f.left > f.selfish {
		before := p.w.now()
		p.w.yield()
		after := p.w.now()
		if p.patience.gave(after-before, after) {
			f.most, f.selfish = p.patience.far(after)
			f.left = min(f.left, f.most)
		}
		f.last = after // it was not kept from it
	}
	return LookAgain
}
