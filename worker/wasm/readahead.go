package wasm

import "github.com/godwit-run/godwit/internal/files"

// Reads of a file of another host that follow each other ask for more than the program does, and the next ones take that. Nobody can tell but by the time: what was read ahead is gone when the program
// may hear of others, or tell them (Guest.meets). So whatever it does to hear that another has written comes between, be it an MPI call, an open, a lock, a read of another file, a line of input or a clock; and what it
// reads behind a write of its own is not older than that write, by which programs may take turns. What it reads again it finds anew: it may wait for what another writes there. Where others may see the guest's memory, or write to it,
// nothing is read ahead. The end of a file is never remembered: who reads there asks.

const (
	minReadAhead   = 4 << 10   // what the second of such reads asks for at least
	maxReadAhead   = 256 << 10 // a larger read asks for itself
	readAheadTimes = 2         // what is asked for, in what was read since the last request
)

// readAhead is what a guest has read ahead of a descriptor, and how it reads. It belongs to the guest's goroutine.
type readAhead struct {
	from int64  // of the file: where the last request began
	far  int64  // the furthest that the program has read since
	data []byte // of the file from there; none: it has been read
	room []byte // that data is in
}

// drop forgets it: whoever is interrupted so reads no more than it needs at first.
func (a *readAhead) drop() { *a = readAhead{} }

// has says whether all of a read is there, and goes on from what has been read, with some of that again at the most, as libraries do at a jump. Some of it is as good as nothing: one read gives what was there at one time.
func (a *readAhead) has(at int64, size int) bool {
	end := at + int64(size)
	return at >= a.from && end > a.far && end <= a.from+int64(len(a.data))
}

// give fills parts with what is there from a place.
func (a *readAhead) give(parts [][]byte, at int64) (n int) {
	for _, p := range parts {
		n += copy(p, a.data[min(at-a.from+int64(n), int64(len(a.data))):])
	}
	a.far = max(a.far, at+int64(n))
	return n
}

// asks is how much a request from a place asks for, where the program needs so much: it reads on from what it has read, or jumps a bit, or wants anything else.
func (a *readAhead) asks(at int64, needed int) int {
	used := a.far - a.from
	if used == 0 || at < a.from || at > a.far+used {
		return needed
	}
	return max(needed, int(min(max(readAheadTimes*used, minReadAhead), maxReadAhead)))
}

// read fills parts, which have size bytes, by one request unless they are large.
func (a *readAhead) read(f files.File, parts [][]byte, at int64, size int) (n int, err error) {
	ask := a.asks(at, size)
	if size > maxReadAhead || ask == size && len(parts) == 1 { // into the program's own memory
		n, err = fill(parts, at, f.ReadAt)
		*a = readAhead{from: at, far: at + int64(n)}
		return n, err
	}
	if len(a.room) < ask {
		a.room = make([]byte, ask)
	}
	got, err := f.ReadAt(a.room[:ask], at)
	a.from, a.far, a.data = at, at, a.room[:got]
	n = a.give(parts, at)
	if ask == size {
		a.data = nil
	}
	if n == size {
		err = nil // who reads what is behind it hears of that
	}
	return n, err
}

// readsAhead says whether reads from a place of d ask for more.
func (g *Guest) readsAhead(d *descriptor, at int64) bool {
	return d.distant != nil && at < maxAheadAt && !g.isSeen()
}

// readFar is a read of a file of another host. What is there already the guest does not wait for, and lets others in as with a write that goes ahead.
func (c wasiCall) readFar(d *descriptor, parts [][]byte, at int64) (n int, err error) {
	a, size := &d.readAhead, total(parts)
	switch {
	case size == 0:
		return 0, nil
	case a.has(at, size):
		c.guest.presence.leave()
		c.guest.presence.enter()
		c.guest.checkCancel()
		return a.give(parts, at), nil
	}
	c.guest.meetsBut(d)
	err = c.blocking(func() error { n, err = a.read(d.file, parts, at, size); return err })
	return n, err
}

// total is how many bytes parts have.
func total(parts [][]byte) (n int) {
	for _, p := range parts {
		n += len(p)
	}
	return n
}
