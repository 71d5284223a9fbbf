package executor

import (
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

	"github.com/godwit-run/godwit/internal/notify"
	"github.com/godwit-run/godwit/mpi"
)

// lookout finds which direct connections have something to read, or room to write. A rank that waits looks itself, as often as it likes (poll); when none has for a while one
// goroutine waits for all of them (run). What comes then has to wake it: so it hears of nothing while ranks look, nor from one look to the next.
type lookout struct {
	set   int             // an epoll of the connections
	gate  *os.File        // an epoll of the set that tells once that it has something, when open; the runtime watches it
	ready syscall.RawConn // of the gate
	// These are called with the gate.
	openGate, shutGate func(gate uintptr)
	gateMu             sync.Mutex    // held by who opens or shuts the gate
	open               atomic.Bool   // the gate is, or has told since; changed with gateMu
	lookers            atomic.Int32  // ranks that look now
	looks              atomic.Uint32 // that have ended
	minded             atomic.Bool   // run sees to it that the gate is opened when they have
	stir               notify.Signal // it is open: run need not mind
	begun              notify.Signal // there is a connection: somebody has to run
	away               time.Duration // how long there has to be no look, for that
	taker              taker
	only               atomic.Pointer[direct] // the connection of a talk lane, if there is one
	alone              atomic.Bool            // and there is no other
	turns              atomic.Uint32          // looks that have found something there
	bed                bed

	mu     sync.RWMutex // guards the following, and keeps the set open
	conns  map[int32]*direct
	last   int32
	closed bool
}

const (
	// lookAt is how many connections one look finds.
	lookAt = 16
	// fair is after how many looks at the only connection of a talk lane, which is looked at first, there is one at all.
	fair = 8
	// awayFor is lookout.away, but for tests: programs that send many messages are back by then.
	awayFor = time.Millisecond
)

// newLookout is a lookout without a connection, as most short apps have it: it takes no descriptor, and nobody has to run until begun tells.
func newLookout(t taker) *lookout {
	o := &lookout{taker: t, stir: notify.NewSignal(), begun: notify.NewSignal(), away: awayFor, conns: map[int32]*direct{}}
	o.bed.longest = longestSleep
	return o
}

// make makes what the first connection needs. Holds mu.
func (o *lookout) make() (err error) {
	if o.set, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = unix.Close(o.set)
		}
	}()
	if err := o.bed.make(o.set); err != nil {
		return err
	}
	gate, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		o.bed.close()
		return err
	}
	_ = unix.SetNonblock(gate, true) // or the runtime would not watch it
	o.gate = os.NewFile(uintptr(gate), "lookout")
	o.openGate, o.shutGate = o.gateSetter(unix.EPOLLIN), o.gateSetter(0)
	err = unix.EpollCtl(gate, unix.EPOLL_CTL_ADD, o.set, &unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLONESHOT})
	if err == nil {
		o.ready, err = o.gate.SyscallConn()
	}
	if err != nil {
		o.bed.close()
		return errors.Join(err, o.gate.Close())
	}
	o.open.Store(true)
	return nil
}

func (o *lookout) close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closed = true
	if o.gate == nil {
		return
	}
	o.bed.close()
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
	if o.gate == nil {
		if err := o.make(); err != nil {
			return fmt.Errorf("executor: watch connections: %w", err)
		}
		o.begun.Set()
	}
	o.last++
	d.id = o.last
	if err := o.watch(d); err != nil {
		return err
	}
	o.conns[d.id] = d
	o.count()
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
	o.count()
	if !o.closed {
		_ = o.tell(d, 0)
	}
}

// count sees which connections there are. Holds mu.
func (o *lookout) count() {
	var only *direct
	n := 0
	for _, d := range o.conns {
		if !d.bulk {
			only = d
			n++
		}
	}
	if n != 1 {
		only = nil
	}
	o.alone.Store(len(o.conns) == 1)
	o.only.Store(only)
}

// poll looks as next says, which it asks before each look, and tells what the one before has found. It reports false at once if there is nothing to look at.
func (o *lookout) poll(next func(came bool) mpi.Look) bool {
	o.mu.RLock()
	n := len(o.conns)
	o.mu.RUnlock()
	if n == 0 {
		return false
	}
	o.lookers.Add(1)
	o.shut()
	how := next(false)
	for how == mpi.LookAgain || how == mpi.LookLater && o.bed.sleep(next) {
		how = next(o.look())
	}
	o.looks.Add(1)
	switch last := o.lookers.Add(-1) == 0; {
	case last && (how == mpi.LookForUs || how == mpi.LookLater): // the latter found no room, and has now: it sleeps elsewhere
		minded := o.minded.Load()
		if o.unbar(); minded {
			o.stir.Set()
		}
	case last && !o.open.Load() && !o.minded.Load() && o.minded.CompareAndSwap(false, true):
		_ = o.gate.SetReadDeadline(past)
	}
	return true
}

// past is a deadline that is over.
var past = time.Unix(1, 0) //nolint:gochecknoglobals // immutable

// shut has the gate tell nothing.
func (o *lookout) shut() {
	if !o.open.Load() {
		return
	}
	o.gateMu.Lock()
	defer o.gateMu.Unlock()
	if o.open.Load() {
		o.open.Store(false)
		_ = o.ready.Control(o.shutGate)
	}
}

// wake ends the sleep of the rank that sleeps in poll, if one does.
func (o *lookout) wake() { o.bed.wake() }

// gateSetter changes what the gate tells of the set: with EPOLLIN that there is something, once and now if there is; without not.
func (o *lookout) gateSetter(events uint32) func(gate uintptr) {
	e := &unix.EpollEvent{Events: events | unix.EPOLLONESHOT}
	return func(gate uintptr) { _ = unix.EpollCtl(int(gate), unix.EPOLL_CTL_MOD, o.set, e) }
}

// look takes what is there, once of each connection, and writes what there is room for. It reports whether there was something.
func (o *lookout) look() (some bool) {
	if d := o.only.Load(); d != nil {
		if some = o.take(d); o.alone.Load() || some && o.turns.Add(1)%fair != 0 {
			return some
		}
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

// run looks whenever no rank has for a while, until ctx ends.
func (o *lookout) run(ctx context.Context) error {
	defer context.AfterFunc(ctx, func() { _ = o.gate.SetReadDeadline(past) })()
	for {
		err := o.ready.Read(told)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, os.ErrDeadlineExceeded):
			_ = o.gate.SetReadDeadline(time.Time{})
			if ctx.Err() != nil { // its deadline may have been undone
				return ctx.Err()
			}
			if o.minded.Load() && !o.mind(ctx) {
				continue // ranks look again
			}
		case err != nil:
			return fmt.Errorf("executor: watch connections: %w", err)
		}
		for o.lookers.Load() == 0 && o.look() { //nolint:revive // look does it
		}
		o.unbar()
	}
}

// mind waits until no rank has looked for a while. It reports false if one has fallen asleep meanwhile, which tells when it is over.
func (o *lookout) mind(ctx context.Context) bool {
	for ctx.Err() == nil {
		seen := o.looks.Load()
		select {
		case <-time.After(o.away):
		case <-o.stir:
			return true
		case <-ctx.Done():
			return true
		}
		switch {
		case o.bed.asleep.Load():
			o.minded.Store(false)
			if o.lookers.Load() > 0 || !o.minded.CompareAndSwap(false, true) {
				return false // else it has left before that was to be seen
			}
		case o.lookers.Load() == 0 && o.looks.Load() == seen:
			return true
		}
	}
	return true
}

// unbar opens the gate, unless ranks look: the last of them, which finds it shut, has that minded.
func (o *lookout) unbar() {
	for {
		o.minded.Store(false)
		o.gateMu.Lock()
		o.open.Store(true)
		_ = o.ready.Control(o.openGate)
		o.gateMu.Unlock()
		if o.lookers.Load() == 0 {
			return
		}
		if o.shut(); o.lookers.Load() > 0 {
			return
		}
		// Who left meanwhile has found it open.
	}
}

// told takes what the gate tells, and reports whether it told anything.
func told(gate uintptr) bool {
	var events [1]unix.EpollEvent
	n, _ := unix.EpollWait(int(gate), events[:], 0)
	return n > 0
}
