package mpi

// lock takes the rank's lock, and what is in its inbox.
func (p *Proc) lock() {
	p.mu.Lock()
	p.drain()
}

// tryLock is lock, unless somebody has it for longer than a short call takes.
func (p *Proc) tryLock() bool {
	for range tries {
		if p.mu.TryLock() {
			p.drain()
			return true
		}
		relax()
	}
	return false
}

// tries is how often tryLock tries: for some microseconds.
const tries = 200

// release gives the lock back, for who is not the guest: work that can be done is done before, and the guest hears of what has changed.
func (p *Proc) release() {
	for {
		p.settle()
		if p.news {
			p.news = false
			p.in.wake()
		}
		if p.unlock(); !p.in.urgent.Load() || !p.mu.TryLock() {
			return
		}
		p.drain() // somebody has found the lock taken, and left it to us
	}
}

// enter begins a call of the guest, of its program or of a function that a call has called back. What is in the inbox is left to the call.
func (p *Proc) enter() {
	p.mu.Lock()
	p.in.busy.Store(true)
}

// leave ends a call of the guest, which computes from now on.
func (p *Proc) leave() {
	if p.toSelf {
		p.toSelf = false
		p.drain()
	}
	p.settle()
	p.news = false // it looks by itself
	p.depart()
}

// unlock gives the lock back, and then serves those ranks that compute while something urgent waits for them.
func (p *Proc) unlock() {
	if len(p.urge) == 0 {
		p.mu.Unlock()
		return
	}
	var few [8]*Proc
	urge := few[:copy(few[:], p.urge)]
	if len(p.urge) > len(few) {
		urge, p.urge = p.urge, nil
	}
	p.urge = p.urge[:0]
	p.mu.Unlock()
	for _, q := range urge {
		if !q.in.busy.Load() {
			q.serve()
		}
	}
}

// serve takes what is in the inbox in the rank's stead, unless somebody has the lock, who will find it. Where more waits than the ring holds it waits
// for its turn: who sends so much takes his part in the work.
func (p *Proc) serve() {
	if !p.in.spilt.Load() {
		p.tryServe()
		return
	}
	p.mu.Lock()
	p.drain()
	p.release()
}

// tryServe is serve, but that it waits for nobody.
func (p *Proc) tryServe() {
	if p.mu.TryLock() {
		p.drain()
		p.release()
	}
}

// depart releases the lock for something long that the rank's own goroutine does within a call: others serve it as while its program computes.
func (p *Proc) depart() {
	p.in.busy.Store(false)
	p.unlock()
	if p.in.urgent.Load() {
		p.serve()
	}
}

// comeBack ends that.
func (p *Proc) comeBack() {
	p.mu.Lock()
	p.in.busy.Store(true)
}

// unlocked runs f, which works on n bytes of the program's own buffers, without the lock if that takes long.
func (p *Proc) unlocked(n uint32, f func()) {
	if int64(n) > int64(p.w.cfg.EagerLimit) {
		p.depart()
		defer p.comeBack()
	}
	f()
}

// drain takes what is in the inbox. Holds mu.
func (p *Proc) drain() {
	if p.in.urgent.Load() {
		p.in.urgent.Store(false) // before the look
		if p.reopened.CompareAndSwap(true, false) {
			p.scheduleAll()
		}
	}
	if p.in.some() && !p.removed {
		p.in.take(p)
	}
}

// scheduleAll has all pairs go on that can.
func (p *Proc) scheduleAll() {
	for _, c := range p.pairs {
		if c != nil {
			c.schedule()
		}
	}
}

// settle lets pairs with work go on, one chunk at a time, and gives the lock away in between.
func (p *Proc) settle() {
	for p.backlog.Len() > 0 {
		c := p.backlog.Pop()
		c.queued = false
		c.pump()
		if p.backlog.Len() > 0 {
			p.unlock()
			p.mu.Lock()
		}
	}
}
