package executor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// lookout finds which direct connections have something to read, or room to write. A rank that waits looks itself, as often as it likes (poll); while none does one goroutine
// waits for all of them (run). What comes then has to wake it: so it hears of nothing while a rank looks.
type lookout struct {
	set   int             // an epoll of the connections
	gate  *os.File        // an epoll of the set that tells once that it has something, when armed; the runtime watches it
	ready syscall.RawConn // of the gate
	// These are called with the gate.
	openGate, shutGate func(gate uintptr)
	lookers            atomic.Int32 // ranks that look now
	taker              taker
	only               atomic.Pointer[direct] // if there is one connection

	mu     sync.RWMutex // guards the following, and keeps the set open
	conns  map[int32]*direct
	last   int32
	closed bool
}

// lookAt is how many connections one look finds.
const lookAt = 16

func newLookout(t taker) (*lookout, error) {
	o := &lookout{taker: t, conns: map[int32]*direct{}}
	if err := o.open(); err != nil {
		return nil, fmt.Errorf("executor: watch connections: %w", err)
	}
	return o, nil
}

func (o *lookout) open() (err error) {
	if o.set, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return err
	}
	gate, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return errors.Join(err, unix.Close(o.set))
	}
	_ = unix.SetNonblock(gate, true) // or the runtime would not watch it
	o.gate = os.NewFile(uintptr(gate), "lookout")
	o.openGate, o.shutGate = o.gateSetter(unix.EPOLLIN), o.gateSetter(0)
	err = unix.EpollCtl(gate, unix.EPOLL_CTL_ADD, o.set, &unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLONESHOT})
	if err == nil {
		o.ready, err = o.gate.SyscallConn()
	}
	if err != nil {
		o.close()
	}
	return err
}

func (o *lookout) close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closed = true
	_ = o.gate.Close()
	_ = unix.Close(o.set)
}

// add has a connection looked at from now on.
func (o *lookout) add(d *direct) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		return net.ErrClosed
	}
	o.last++
	d.id = o.last
	if err := o.watch(d); err != nil {
		return err
	}
	o.conns[d.id] = d
	o.only.Store(o.single())
	return nil
}

// attend has the set tell what is wanted of a connection now.
func (o *lookout) attend(d *direct) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.closed && o.conns[d.id] == d {
		_ = o.watch(d)
	}
}

// watch has the set tell what comes, unless frames are left whose rank takes none, and of room, if something waits for it. A connection of which nothing is wanted
// is out of the set: that would tell of its end, again and again. Holds mu.
func (o *lookout) watch(d *direct) error {
	events := uint32(0)
	if !d.stuck.Load() {
		events = unix.EPOLLIN
	}
	if d.full.Load() {
		events |= unix.EPOLLOUT
	}
	return o.tell(d, events)
}

// tell changes what the set tells of a connection. Holds mu.
func (o *lookout) tell(d *direct, events uint32) error {
	how := unix.EPOLL_CTL_MOD
	switch {
	case events == d.watched:
		return nil
	case d.watched == 0:
		how = unix.EPOLL_CTL_ADD
	case events == 0:
		how = unix.EPOLL_CTL_DEL
	}
	err := d.control(func(fd int) error { return unix.EpollCtl(o.set, how, fd, &unix.EpollEvent{Events: events, Fd: d.id}) })
	if err == nil {
		d.watched = events
	}
	return err
}

// remove ends that. A look that has begun may still be at it.
func (o *lookout) remove(d *direct) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.conns, d.id)
	o.only.Store(o.single())
	if !o.closed {
		_ = o.tell(d, 0)
	}
}

// single is the only connection, if there is one. Holds mu.
func (o *lookout) single() *direct {
	if len(o.conns) != 1 {
		return nil
	}
	for _, d := range o.conns {
		return d
	}
	return nil
}

// poll looks until stop says so, which it asks before each look, and tells what the one before has found. It reports false at once if there is nothing to look at.
func (o *lookout) poll(stop func(came bool) bool) bool {
	o.mu.RLock()
	n := len(o.conns)
	o.mu.RUnlock()
	if n == 0 {
		return false
	}
	if o.lookers.Add(1) == 1 {
		_ = o.ready.Control(o.shutGate)
	}
	for came := false; !stop(came); {
		came = o.look()
	}
	if o.lookers.Add(-1) == 0 {
		_ = o.ready.Control(o.openGate)
	}
	return true
}

// gateSetter changes what the gate tells: with EPOLLIN that there is something, once and now if there is; without not. Each rank that looks shuts it
// before and opens it after, so whoever is the last leaves it open, in whatever order they do.
func (o *lookout) gateSetter(events uint32) func(gate uintptr) {
	e := &unix.EpollEvent{Events: events | unix.EPOLLONESHOT}
	return func(gate uintptr) { _ = unix.EpollCtl(int(gate), unix.EPOLL_CTL_MOD, o.set, e) }
}

// look takes what is there, once of each connection, and writes what there is room for. It reports whether there was something.
func (o *lookout) look() (some bool) {
	if d := o.only.Load(); d != nil {
		return o.take(d)
	}
	var events [lookAt]unix.EpollEvent
	for i := range o.some(events[:]) {
		o.mu.RLock()
		d := o.conns[events[i].Fd]
		o.mu.RUnlock()
		if d != nil && o.take(d) {
			some = true
		}
	}
	return some
}

// take takes what is there of one connection, and writes what waits for room there.
func (o *lookout) take(d *direct) (some bool) {
	some, stuck := d.take(o.taker)
	if stuck {
		o.attend(d) // before it goes on
		d.left.Set()
	}
	if d.full.Load() && d.flush() {
		some = true
	}
	return some
}

// some is how many connections have something.
func (o *lookout) some(events []unix.EpollEvent) int {
	o.mu.RLock()
	defer o.mu.RUnlock()
	if o.closed {
		return 0
	}
	n, _ := unix.EpollWait(o.set, events, 0)
	return max(n, 0)
}

// run looks whenever no rank does, until ctx ends.
func (o *lookout) run(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() { _ = o.gate.SetReadDeadline(time.Now()) })
	defer stop()
	for {
		if err := o.ready.Read(opened); err != nil {
			return cmp.Or(ctx.Err(), fmt.Errorf("executor: watch connections: %w", err))
		}
		for o.lookers.Load() == 0 && o.look() { //nolint:revive // look does it
		}
		if o.lookers.Load() == 0 { // else the last of them does
			_ = o.ready.Control(o.openGate)
		}
	}
}

// opened takes what the gate tells, and reports whether it told anything.
func opened(gate uintptr) bool {
	var events [1]unix.EpollEvent
	n, _ := unix.EpollWait(int(gate), events[:], 0)
	return n > 0
}
