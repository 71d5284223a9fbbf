package mpi

// flushed reports whether every peer has all that the rank has sent.
func (p *Proc) flushed() bool {
	for _, c := range p.channels {
		if c != nil && !p.w.ended[c.peer] && c.replay.len()+c.pending.len() > 0 {
			return false
		}
	}
	return true
}

// Flushed reports whether every frame of the rank is acked by its peers.
func (p *Proc) Flushed() bool {
	p.w.mu.Lock()
	defer p.w.mu.Unlock()
	return p.flushed()
}

// askAcks asks peers for acks that they would give only later.
func (p *Proc) askAcks() {
	for _, c := range p.channels {
		if c != nil && p.attached && c.replay.len() > 0 {
			c.sendControl(frameSync)
		}
	}
}

func (p *Proc) checkQuiesced() {
	if len(p.quiesced) > 0 && p.flushed() {
		p.closeQuiesced()
	}
}

func (p *Proc) closeQuiesced() {
	for _, done := range p.quiesced {
		close(done)
	}
	p.quiesced = nil
}
