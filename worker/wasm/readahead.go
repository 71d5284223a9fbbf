package wasm

// Reads of a file of another host that follow each other ask for more than the program does, and the next ones take that. Nobody can tell but by the time: what was read ahead is gone at the guest's next call of the
// host that is no read of the same descriptor (hostFunctions), and before and behind all that MPI calls back. So whatever a program does to hear that another has written comes between, be it an MPI call, an
// open, a lock, a clock or a line of input; where others may see the guest's memory, or write to it, nothing is read ahead. The end of a file is never remembered: who reads there asks.

const (
	minReadAhead = 4 << 10   // what the second of such reads asks for; each that asks doubles that
	maxReadAhead = 256 << 10 // a larger read asks for itself
)

// readAhead is what a guest has read ahead, of one descriptor. It belongs to the guest's goroutine.
type readAhead struct {
	of   *descriptor // nil: the last call was no read of another host's file
	next int64       // where the last read ended
	data []byte      // of the file from there
	room []byte      // that data is in
	size int         // what is asked for next
}

// drop forgets it.
func (a *readAhead) drop() { *a = readAhead{} }

// read fills p from a place of d's file, as the file does, for a call of the guest that reads up to end.
func (a *readAhead) read(d *descriptor, p []byte, at, end int64) (n int, err error) {
	if a.of != d || a.next != at {
		*a = readAhead{of: d, next: at}
	}
	n = copy(p, a.data)
	a.data, a.next = a.data[n:], at+int64(n)
	rest := p[n:]
	if len(rest) == 0 {
		return n, nil
	}
	ask := a.asks(int(min(end-a.next, maxReadAhead)))
	if ask <= len(rest) {
		got, err := d.file.ReadAt(rest, a.next)
		a.next += int64(got)
		return n + got, err
	}
	if len(a.room) < ask {
		a.room = make([]byte, ask)
	}
	got, err := d.file.ReadAt(a.room[:ask], a.next)
	taken := copy(rest, a.room[:got])
	a.data, a.next = a.room[taken:got], a.next+int64(taken)
	if taken == len(rest) {
		err = nil // who reads what is behind it hears of that
	}
	return n + taken, err
}

// asks is how much the next request asks for, where a call needs so much.
func (a *readAhead) asks(needed int) int {
	if a.size == 0 {
		a.size = minReadAhead / 2
		return needed
	}
	a.size = min(2*a.size, maxReadAhead)
	return max(needed, a.size)
}

// readsAhead says whether reads from a place of d ask for more.
func (g *Guest) readsAhead(d *descriptor, at int64) bool {
	return d.distant != nil && at < maxAheadAt && !g.isSeen()
}

// readFar is a read of a file of another host. What is there already the guest does not wait for, and lets others in as with a write that goes ahead.
func (c wasiCall) readFar(d *descriptor, parts [][]byte, at int64) (n int, err error) {
	a, size := &c.guest.files.readAhead, total(parts)
	read := func(p []byte, from int64) (int, error) { return a.read(d, p, from, at+int64(size)) }
	if a.of == d && a.next == at && size > 0 && size <= len(a.data) {
		c.guest.presence.leave()
		c.guest.presence.enter()
		c.guest.checkCancel()
		return fill(parts, at, read)
	}
	err = c.blocking(func() (err error) { n, err = fill(parts, at, read); return err })
	return n, err
}

// total is how many bytes parts have.
func total(parts [][]byte) (n int) {
	for _, p := range parts {
		n += len(p)
	}
	return n
}

// reads says whether a function reads from a descriptor.
func (f hostFunction) reads() bool {
	return f.module == moduleWASI && (f.name == "fd_read" || f.name == "fd_pread")
}
