package mpi

import "github.com/godwit-run/godwit/mpi/channel"

// Receive takes a frame from the Network. It copies what it keeps. Frames that
// are damaged, stale or for a rank that is not attached here are dropped. It waits for the rank's lock, for as long as a call of its guest takes.
func (w *World) Receive(data []byte) {
	var f channel.Frame
	if !w.decode(&f, data) {
		return
	}
	for {
		p := w.proc(f.Dst)
		if p == nil {
			if p = w.miss(f.Dst, f.Src); p == nil {
				return
			}
		}
		p.lock()
		if !p.removed {
			w.receive(p, &f)
			return
		}
		p.release() // it has left meanwhile
	}
}

// TryReceive is Receive, but that it waits for no rank whose guest is in a long call: it then reports false and has done nothing.
func (w *World) TryReceive(data []byte) bool {
	var f channel.Frame
	if !w.decode(&f, data) {
		return true
	}
	p := w.proc(f.Dst)
	if p == nil || !p.tryLock() {
		return false
	}
	if p.removed {
		p.release()
		return false
	}
	w.receive(p, &f)
	return true
}

// Landing is what became of a payload that was to go straight to its place.
type Landing uint8

// What Land did.
const (
	Landed   Landing = iota + 1 // read was called
	LandLate                    // nothing yet: the rank's guest is in a long call
	LandNone                    // the frame is to be given to Receive whole, or dropped if a part of it has landed already
)

// Land reads a frame's payload straight to where its receiver wants it, if that is one piece of memory. head is the frame's header, channel.HeaderBytes long, size that of the
// payload, of which at bytes have landed before. read gets the place of the others, under the rank's lock, and returns how many it has put there, without waiting;
// it may be none. The frame is received with its last byte. wait says that the rank's lock is waited for, as Receive does.
func (w *World) Land(head []byte, size, at int, wait bool, read func(place []byte) int) (n int, how Landing) {
	var f channel.Frame
	if !f.DecodeHead(head) || !w.knows(&f) || f.Kind != channel.Data || int64(f.Length) != int64(size) || at < 0 || at >= size {
		return 0, LandNone
	}
	p := w.proc(f.Dst)
	switch {
	case p == nil:
		return 0, LandNone
	case wait:
		p.lock()
	case !p.tryLock():
		return 0, LandLate
	}
	place := w.place(p, &f)
	if place == nil {
		p.release()
		return 0, LandNone
	}
	if n = read(place[at:]); at+n < size {
		p.release()
		return n, Landed
	}
	f.Payload, f.Landed = nil, true
	w.receive(p, &f)
	return n, Landed
}

// place is where the payload of a DATA frame belongs, if the frame is the next of its channel and that is one piece; else nil. Holds p.mu.
func (w *World) place(p *Proc, f *channel.Frame) []byte {
	if !p.attached.Load() || w.proc(f.Src) != nil {
		return nil
	}
	c := p.pair(f.Src)
	if !c.Awaits(f) {
		return nil
	}
	r := p.waiting(c, &f.Packet)
	if r == nil || r.buf.Type != nil {
		return nil
	}
	return p.bytes(r.buf.Part(f.Off, f.Length))
}

// decode reads a frame, and reports whether it may be one of this app's.
func (w *World) decode(f *channel.Frame, data []byte) bool {
	return f.Decode(data) && w.knows(f)
}

// knows reports whether a frame is from a rank to a rank.
func (w *World) knows(f *channel.Frame) bool {
	return f.Src >= 0 && int(f.Src) < w.cfg.Size && f.Dst >= 0 && int(f.Dst) < w.cfg.Size
}

// receive gives a frame to its rank, whose lock the caller has taken.
func (w *World) receive(p *Proc, f *channel.Frame) {
	defer p.release()
	c := p.pair(f.Src) // of what is dropped, too: it is asked for again when the one rank is attached, or the other has left
	if !p.attached.Load() || w.proc(f.Src) != nil {
		return
	}
	c.receive(f)
}

// miss notes that a frame came for a rank that is not here, unless it is by now.
func (w *World) miss(dst, src Rank) *Proc {
	w.mu.Lock()
	defer w.mu.Unlock()
	if p := w.proc(dst); p != nil {
		return p
	}
	w.note(dst, src)
	return nil
}

// note remembers who may have sent frames to a rank that is not here, unless that has ended. Holds mu.
func (w *World) note(dst, src Rank) {
	if w.ended[dst] {
		return
	}
	if w.missed[dst] == nil {
		w.missed[dst] = map[Rank]bool{}
	}
	w.missed[dst][src] = true
}
