package mpi

import (
	"cmp"
	"slices"
	"time"
)

// windowAge is how long a window of traffic lasts before another one is begun: what is told is of the last one to two of them.
const windowAge = 30 * time.Second

// hearing is what a rank had received from each peer at a time.
type hearing struct {
	at    time.Duration // on the World's clock
	bytes []uint64      // by peer
}

// Heard is what a rank receives from a peer.
type Heard struct {
	From           Rank
	BytesPerSecond float64
}

// MemoryBytes is the size of the memory of a rank of this World; 0: it is not here.
func (w *World) MemoryBytes(r Rank) int64 {
	p := w.proc(r)
	if p == nil {
		return 0
	}
	p.lock()
	defer p.release()
	if w.proc(r) != p {
		return 0
	}
	return int64(len(p.mem.Bytes()))
}

// Traffic says what a rank of this World receives from each peer, of late: messages by their length, whatever way they come, and what is put into its windows or asked of them. Of more than most
// peers it is those with most; they are in order of rank. It is nil for a rank that is not here. What a rank has received elsewhere is not counted.
func (w *World) Traffic(r Rank, most int) []Heard {
	p := w.proc(r)
	if p == nil {
		return nil
	}
	p.lock()
	defer p.release()
	now := hearing{at: w.now(), bytes: make([]uint64, len(p.pairs))}
	for peer, c := range p.pairs {
		if c != nil {
			now.bytes[peer] = c.heard
		}
	}
	if age := now.at - p.hearings[1].at; p.hearings[1].bytes == nil || age > windowAge {
		p.hearings[0], p.hearings[1] = p.hearings[1], now
	}
	seconds := (now.at - p.hearings[0].at).Seconds()
	if p.hearings[0].bytes == nil { // nobody has asked before: since it came here
		seconds = (now.at - p.came).Seconds()
	}
	if seconds <= 0 {
		return []Heard{}
	}
	out := []Heard{}
	for peer, n := range now.bytes {
		if p.hearings[0].bytes != nil {
			n -= p.hearings[0].bytes[peer]
		}
		if n > 0 {
			out = append(out, Heard{From: Rank(peer), BytesPerSecond: float64(n) / seconds})
		}
	}
	slices.SortFunc(out, func(a, b Heard) int {
		return cmp.Or(cmp.Compare(b.BytesPerSecond, a.BytesPerSecond), cmp.Compare(a.From, b.From))
	})
	out = out[:min(len(out), most)]
	slices.SortFunc(out, func(a, b Heard) int { return cmp.Compare(a.From, b.From) })
	return out
}

// hear counts a message from a peer.
func (c *pair) hear(bytes uint32) { c.heard += uint64(bytes) }
