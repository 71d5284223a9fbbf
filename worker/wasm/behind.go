package wasm

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/godwit-run/godwit/internal/files"
	"github.com/godwit-run/godwit/mpi/abi"
)

// A small write to a file of another host goes ahead: the program goes on while the host is asked, and what it writes meanwhile is gathered for the next request. Nobody can
// tell but by the time: whatever else the guest asks of the host, but for the time, places in files and random numbers, waits until all of it is done (Guest.catchUp, in Guest.outside and Guest.invoke), so no message, file, lock or
// line of output that another sees comes before what was written earlier; where others may see the guest's memory, shared or by one-sided operations, none goes ahead. None does either where a disk or a quota may be too small
// (files.Distant), and the first one after whatever the program may have heard by waits for what the host says of that now: so a program hears of those as it would at home. What goes wrong all the same ends it, at its next call: it has been told what is not so.

const (
	maxBehind   = 1 << 20  // bytes of one guest's writes that are not done: one more waits for all of them
	maxGathered = 64 << 10 // bytes of a write that goes ahead; a larger one waits
	behindEach  = 128      // what is to be written counts as so many bytes more
	maxAheadAt  = 1 << 40  // a place in a file beyond which the host's file system may have an objection
)

// behind are a guest's writes that are not done. The goroutine that does them is there as long as there are any; it ends when the host has answered, or never will.
type behind struct {
	busy  atomic.Bool // there are some; who sees that there are none sees all that they have left
	roomy []*Mount    // in which the guest has waited for a write, and has not heard of anything since; its own

	mu    sync.Mutex // guards the fields below, and of descriptors end while it is busy
	queue []unwritten
	bytes int           // of all that is not done
	done  chan struct{} // closed when nothing is to be done any more
	lost  error         // what could not be written; the guest's own to look at when it is not busy
}

// unwritten is a part of a file that is to be written.
type unwritten struct {
	to   *descriptor
	at   int64 // atEnd: wherever the end is
	data []byte
}

const atEnd = -1

// add has parts, which have size bytes, written to d. ok: there is room.
func (b *behind) add(d *descriptor, at int64, parts [][]byte, size int) (ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.bytes+size+behindEach > maxBehind || b.lost != nil { // who waits hears of that
		return false
	}
	last := len(b.queue) - 1
	if last < 0 || !b.queue[last].goesOn(d, at, size) {
		b.queue = append(b.queue, unwritten{to: d, at: at})
		b.bytes += behindEach
		last++
	}
	for _, p := range parts {
		b.queue[last].data = append(b.queue[last].data, p...)
	}
	if b.bytes += size; !b.busy.Load() {
		b.busy.Store(true)
		b.done = make(chan struct{})
		go b.run()
	}
	return true
}

// goesOn says whether a write is the next part of w.
func (w *unwritten) goesOn(d *descriptor, at int64, size int) bool {
	switch {
	case w.to != d || len(w.data)+size > files.PieceBytes:
		return false
	case w.at == atEnd:
		return at == atEnd
	}
	return at == w.at+int64(len(w.data))
}

// run writes until there is nothing to be written.
func (b *behind) run() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for len(b.queue) > 0 {
		w := b.queue[0]
		b.queue = b.queue[1:]
		if b.lost == nil {
			b.mu.Unlock()
			end, err := w.to.distant.WriteAhead(w.data, w.at)
			if err != nil {
				err = fmt.Errorf("not all that it wrote to %s is there: %w", w.to.name(), err)
			}
			b.mu.Lock()
			b.lost = err
			if w.at == atEnd && err == nil {
				w.to.end = end
			}
		}
		b.bytes -= len(w.data) + behindEach
	}
	b.queue = nil
	b.busy.Store(false)
	close(b.done)
}

// name is what people know the file of a descriptor by.
func (d *descriptor) name() string {
	if path, err := d.file.Path(); err == nil && path != "" {
		return d.mount.Path + "/" + path
	}
	return "a file without a name"
}

// catchUp waits until all that the guest has written is done, outside of its machine code. The error is that it is not.
func (g *Guest) catchUp() error {
	b := &g.files.behind
	if b.busy.Load() {
		b.mu.Lock()
		done := b.done
		b.mu.Unlock()
		<-done // a cancelled app's requests end
	}
	return b.lost
}

// caught has all that the guest has written done before it does anything else. It ends the guest if that cannot be.
func (g *Guest) caught() {
	if b := &g.files.behind; !b.busy.Load() && b.lost == nil { // at nearly each call
		return
	}
	g.presence.leave()
	err := g.catchUp()
	g.presence.enter()
	if err != nil {
		g.end(err)
	}
}

// stand has all that was written done, and known, since the guest stands still. The error is that it is not.
func (g *Guest) stand() error {
	err := g.catchUp()
	g.files.dropAhead(nil)
	for _, d := range g.files.open {
		if d != nil && d.trails {
			d.at, d.trails = d.end, false
		}
	}
	return err
}

// isSeen says whether others may see the guest's memory, or write to it, while it makes no call.
func (g *Guest) isSeen() bool { return g.module.info.windows || g.memory.shared.Load() }

// ahead has parts written to a place of d while the program goes on. ok: so it is; else it is to be written now.
func (c wasiCall) ahead(d *descriptor, parts [][]byte, at int64) (n int, ok bool) {
	if d.distant == nil || at > maxAheadAt || c.guest.isSeen() || !slices.Contains(c.guest.files.behind.roomy, d.mount) || !d.distant.Ahead() {
		return 0, false
	}
	if n = total(parts); n == 0 || n > maxGathered {
		return 0, false
	}
	c.guest.presence.leave() // for whoever waits for a moment without guests
	c.guest.presence.enter()
	c.guest.checkCancel()
	b := &c.guest.files.behind
	if at == atEnd && !d.trails {
		b.mu.Lock()
		d.end, d.trails = d.at, true
		b.mu.Unlock()
	}
	for !b.add(d, at, parts, n) {
		c.wait()
	}
	return n, true
}

// wait waits for all that the guest has written.
func (c wasiCall) wait() { _ = c.blocking(func() error { return nil }) }

// place is where in its file d is. Behind an append that is not done only the file's host knows.
func (c wasiCall) place(d *descriptor) int64 {
	if d.trails {
		c.wait()
		d.at, d.trails = d.end, false
	}
	return d.at
}

// told is place for a program that asks. Behind an append that says what others have appended.
func (c wasiCall) told(d *descriptor) int64 {
	if d.flags&flagAppend != 0 {
		c.guest.meets()
	}
	return c.place(d)
}

// meets is where the program may hear of others, that they have written or that they have filled the disk, or tell them something. So nothing stays that was read ahead, and nothing is known of the room that there is.
func (g *Guest) meets() { g.meetsBut(nil) }

// meetsBut is meets by a read of d: what was read ahead of that is the read's own affair.
func (g *Guest) meetsBut(d *descriptor) {
	g.files.dropAhead(d)
	g.files.behind.knowsNoRoom()
}

// knowsRoom notes that a write to a mount was waited for: what its host has said of room then is of now.
func (b *behind) knowsRoom(m *Mount) {
	if !slices.Contains(b.roomy, m) {
		b.roomy = append(b.roomy, m)
	}
}

// knowsNoRoom is called where the program may have heard of others since.
func (b *behind) knowsNoRoom() { b.roomy = b.roomy[:0] }

// dropAhead forgets what was read ahead, unless it is d's, and has d be what something may be read ahead of.
func (t *descriptors) dropAhead(d *descriptor) {
	if t.ahead != nil && t.ahead != d {
		t.ahead.readAhead.drop()
	}
	t.ahead = d
}

// meeting is the function, at whose call a program may hear of others or tell them: by the function itself, or by what it does for that to come. By a clock it hears that time passes, and what was read ahead may be old.
// Functions that work with what has been read or is to be written say themselves where they do.
func (f hostFunction) meeting() func(context.Context, *Guest, []uint64) {
	call := f.call
	switch {
	case f.module == moduleWASI && slices.Contains([]string{"fd_read", "fd_pread", "fd_write", "fd_pwrite", "fd_seek", "fd_tell"}, f.name):
		return call
	case f.asksTime():
		return func(ctx context.Context, g *Guest, stack []uint64) {
			g.files.dropAhead(nil)
			call(ctx, g, stack)
		}
	}
	return func(ctx context.Context, g *Guest, stack []uint64) {
		g.meets()
		call(ctx, g, stack)
	}
}

// asksTime says whether a function only asks for the time.
func (f hostFunction) asksTime() bool {
	return f.module == moduleWASI && f.name == "clock_time_get" || f.module == moduleMPI && slices.Equal(f.results, valueTypes(abi.F64))
}
