package wasm

import (
	"slices"

	"github.com/godwit-run/godwit/internal/files"
)

// Reads of a file of another host that follow each other ask for more than the program does, and the next ones take that. Nobody can tell but by the time: what was read ahead is gone when the program
// may hear of others (Guest.hears), so whatever it does to hear that another has written comes between, be it an MPI call, an open, a lock, a line of input or a clock. What it reads of a second file may tell
// that as well: whenever that host is asked, what was read ahead of others is read anew, behind it (anew). What the program itself writes it finds. Where others may see the guest's memory, or
// write to it, nothing is read ahead. The end of a file is never remembered: who reads there asks.

const (
	minReadAhead   = 4 << 10   // what the second of such reads asks for at least
	maxReadAhead   = 256 << 10 // a larger read asks for itself
	maxReadsAhead  = 8         // so many descriptors of a guest have something
	readAheadTimes = 2         // what is asked for, in what was read since the last request
	maxReadDebt    = 16        // beyond that others' requests end it, until it pays
)

// readAhead is what a guest has read ahead of a descriptor, and how it reads. It belongs to the guest's goroutine.
type readAhead struct {
	from int64  // of the file: where the last request began
	far  int64  // the furthest that the program has read since
	data []byte // of the file from there; none: it is not there, or not any more
	room []byte // that data is in
	debt int    // requests made for what was read ahead and not needed, less the reads that needed none
}

// has says whether so many bytes from a place are there.
func (a *readAhead) has(at int64, size int) bool {
	return at >= a.from && at+int64(size) <= a.from+int64(len(a.data))
}

// take copies what is there from a place.
func (a *readAhead) take(p []byte, at int64) (n int) {
	if a.has(at, 0) {
		n = copy(p, a.data[at-a.from:])
		a.far = max(a.far, at+int64(n))
	}
	return n
}

// used is how much the program has read since the last request.
func (a *readAhead) used() int64 { return a.far - a.from }

// asks is how much a request from a place asks for, where the program needs so much: it reads on from what it has read, or jumps a bit, or wants anything else.
func (a *readAhead) asks(at int64, needed int) int {
	if at < a.from || at > a.far+a.used() || a.used() == 0 {
		return needed
	}
	return max(needed, int(min(max(readAheadTimes*a.used(), minReadAhead), maxReadAhead)))
}

// fetch asks for so much from a place, to have it.
func (a *readAhead) fetch(f files.File, at int64, size int) error {
	if len(a.room) < size {
		a.room = make([]byte, size)
	}
	got, err := f.ReadAt(a.room[:size], at)
	a.from, a.far, a.data = at, at, a.room[:got]
	return err
}

// drop forgets what is there, not how the program reads.
func (a *readAhead) drop() { a.data, a.room = nil, nil }

// anew asks again for what is there, and says whether there is something then: as much as the program seems to need until the next time.
func (a *readAhead) anew(f files.File) bool {
	size := len(a.data)
	if a.used() > 0 {
		size = a.asks(a.far, 0)
	} else {
		a.debt++
	}
	if a.debt > maxReadDebt {
		a.drop()
		return false
	}
	if err := a.fetch(f, a.far, size); err != nil && len(a.data) == 0 {
		a.drop() // who reads there is told why
	}
	return len(a.data) > 0
}

// read fills p from a place of a file, as the file does, for a call of the guest that reads up to end.
func (a *readAhead) read(f files.File, p []byte, at, end int64) (n int, err error) {
	n = a.take(p, at)
	rest, at := p[n:], at+int64(n)
	if len(rest) == 0 {
		return n, nil
	}
	ask := a.asks(at, int(min(end-at, maxReadAhead)))
	if ask <= len(rest) {
		got, err := f.ReadAt(rest, at)
		a.from, a.far, a.data = at, at+int64(got), nil
		return n + got, err
	}
	err = a.fetch(f, at, ask)
	taken := a.take(rest, at)
	if taken == len(rest) {
		err = nil // who reads what is behind it hears of that
	}
	return n + taken, err
}

// readsAhead says whether reads from a place of d ask for more.
func (g *Guest) readsAhead(d *descriptor, at int64) bool {
	return d.distant != nil && at < maxAheadAt && !g.isSeen()
}

// readFar is a read of a file of another host. What is there already the guest does not wait for, and lets others in as with a write that goes ahead.
func (c wasiCall) readFar(d *descriptor, parts [][]byte, at int64) (n int, err error) {
	a, size := &d.readAhead, total(parts)
	read := func(p []byte, from int64) (int, error) { return a.read(d.file, p, from, at+int64(size)) }
	if size > 0 && a.has(at, size) {
		c.guest.presence.leave()
		c.guest.presence.enter()
		c.guest.checkCancel()
		a.debt = max(a.debt-1, -maxReadDebt)
		return fill(parts, at, read)
	}
	t := c.guest.files
	t.behind.roomy = false
	err = c.blocking(func() (err error) {
		n, err = fill(parts, at, read)
		t.anew(d)
		return err
	})
	return n, err
}

// anew reads again what was read ahead of others than d, of which the program has just heard more: it may come of what stands in theirs by now.
func (t *descriptors) anew(d *descriptor) {
	t.ahead = slices.DeleteFunc(t.ahead, func(o *descriptor) bool {
		return o == d || !o.readAhead.anew(o.file)
	})
	if len(t.ahead) >= maxReadsAhead {
		t.ahead[0].readAhead.drop()
		t.ahead = slices.Delete(t.ahead, 0, 1)
	}
	if len(d.readAhead.data) > 0 {
		t.ahead = append(t.ahead, d)
	}
}

// dropAhead forgets all that was read ahead.
func (t *descriptors) dropAhead() {
	for _, d := range t.ahead {
		d.readAhead.drop()
	}
	t.ahead = slices.Delete(t.ahead, 0, len(t.ahead))
}

// overwrites forgets what was read ahead of a file that the guest is about to write to by d. Files of two mounts may be one.
func (c wasiCall) overwrites(d *descriptor) {
	t := c.guest.files
	t.ahead = slices.DeleteFunc(t.ahead, func(o *descriptor) bool {
		if o.mount == d.mount && c.isOther(o, d) {
			return false
		}
		o.readAhead.drop()
		return true
	})
}

// isOther says whether two descriptors of a mount are known to be of two files.
func (c wasiCall) isOther(a, b *descriptor) bool {
	if a == b {
		return false
	}
	for _, d := range []*descriptor{a, b} {
		if d.identified {
			continue
		}
		info, err := c.stat(d)
		if err != nil {
			return false
		}
		d.id, d.identified = info.ID, true
	}
	return a.id != b.id
}

// total is how many bytes parts have.
func total(parts [][]byte) (n int) {
	for _, p := range parts {
		n += len(p)
	}
	return n
}
