package wasm

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/godwit-run/godwit/internal/files"
)

// A small write to a file of another host goes ahead: the program goes on while the host is asked, and what it writes meanwhile is gathered for the next request. Nobody can
// tell but by the time: whatever else the guest asks of the host waits until all of it is done (Guest.catchUp, in Guest.outside and Guest.invoke), so no message, file, lock or
// line of output that another sees comes before what was written earlier. What goes wrong is told as POSIX has it for a disk's cache: by the file's next write, sync or close.

const (
	maxBehind   = 1 << 20  // bytes of one guest's writes that are not done: one more waits for all of them
	maxGathered = 64 << 10 // bytes of a write that goes ahead; a larger one waits
	behindEach  = 128      // what is to be written counts as so many bytes more
)

// behind are a guest's writes that are not done. The goroutine that does them is there as long as there are any; it ends when the host has answered, or never will.
type behind struct {
	busy atomic.Bool // there are some; who sees that there are none sees all that they have left

	mu    sync.Mutex // guards the fields below, and of descriptors failed and end while it is busy
	queue []unwritten
	bytes int           // of all that is not done
	done  chan struct{} // closed when nothing is to be done any more
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
	if b.bytes+size+behindEach > maxBehind {
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
		if w.to.failed == 0 { // else it follows what is not there
			b.mu.Unlock()
			end, err := w.write()
			b.mu.Lock()
			w.to.failed = numberOf(err)
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

func (w *unwritten) write() (end int64, err error) {
	if w.at == atEnd {
		return w.to.file.Append(w.data)
	}
	_, err = w.to.file.WriteAt(w.data, w.at)
	return 0, err
}

// numberOf is the number of a tree's error.
func numberOf(err error) syscall.Errno {
	var n syscall.Errno
	if err == nil || errors.As(err, &n) {
		return n
	}
	return syscall.EIO
}

// catchUp waits until all that the guest has written is done, outside of its machine code.
func (g *Guest) catchUp() {
	b := &g.files.behind
	if !b.busy.Load() {
		return
	}
	b.mu.Lock()
	done := b.done
	b.mu.Unlock()
	<-done // a cancelled app's requests end
}

// stand has all that was written done, and known, since the guest stands still.
func (g *Guest) stand() {
	g.catchUp()
	for _, d := range g.files.open {
		if d != nil && d.trails {
			d.at, d.trails = d.end, false
		}
	}
}

// ahead has parts written to a place of d while the program goes on. ok: so it is, or why says why it is not to be; else it is to be written now.
func (c wasiCall) ahead(d *descriptor, parts [][]byte, at int64) (n int, why errno, ok bool) {
	if !d.distant {
		return 0, errnoSuccess, false
	}
	c.guest.checkCancel()
	if why := c.failed(d); why != errnoSuccess {
		return 0, why, true
	}
	for _, p := range parts {
		n += len(p)
	}
	if n == 0 || n > maxGathered {
		return 0, errnoSuccess, false
	}
	b := &c.guest.files.behind
	if at == atEnd && !d.trails {
		b.mu.Lock()
		d.end, d.trails = d.at, true
		b.mu.Unlock()
	}
	for !b.add(d, at, parts, n) {
		c.wait()
	}
	return n, errnoSuccess, true
}

// wait waits for all that the guest has written.
func (c wasiCall) wait() { _ = c.blocking(func() error { return nil }) }

// failed is what went wrong with earlier writes to d. It is told once.
func (c wasiCall) failed(d *descriptor) errno {
	b := &c.guest.files.behind
	b.mu.Lock()
	failed := d.failed
	b.mu.Unlock()
	if failed != 0 {
		c.wait() // what followed is dropped
		d.failed = 0
	}
	return errnoOf(numbered(failed))
}

// numbered is the error of a number, nil of 0.
func numbered(n syscall.Errno) error {
	if n == 0 {
		return nil
	}
	return n
}

// place is where in its file d is. Behind an append that is not done only the file's host knows.
func (c wasiCall) place(d *descriptor) int64 {
	if d.trails {
		c.wait()
		d.at, d.trails = d.end, false
	}
	return d.at
}

// close closes the file of a descriptor, and says what went wrong with writes to it.
func (c wasiCall) close(d *descriptor) errno {
	err := c.blocking(d.file.Close)
	if why := c.failed(d); why != errnoSuccess {
		return why
	}
	return errnoOf(err)
}

// unheard adds to how a program ended what it has not heard of writes that were not done: then it has not succeeded.
func (t *descriptors) unheard(exit Exit) Exit {
	list := []string{exit.Reason}
	for fd, d := range t.open {
		if d == nil || d.failed == 0 || len(list) > maxUnheard {
			continue
		}
		name := fmt.Sprintf("file descriptor %d", fd)
		if path, err := d.file.Path(); err == nil && path != "" {
			name = d.mount.Path + "/" + path
		}
		list = append(list, fmt.Sprintf("not all that it wrote to %s is there: %v", name, d.failed))
	}
	if len(list) == 1 {
		return exit
	}
	if exit.Reason == "" {
		list = list[1:]
	}
	return Exit{Code: max(exit.Code, codeHost), Reason: strings.Join(list, "; ")}
}

// maxUnheard bounds of how many files an exit's reason tells.
const maxUnheard = 3
