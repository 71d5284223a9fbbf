package raftnode

import (
	"log/slog"
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

const (
	// hangTicks is how many looks in a row must find the same write under way before the next one counts the store as hanging:
	// StoreHangTimeout after the write began at the latest. Looks that the watcher itself missed, because the whole process was
	// stopped or starved, do not count.
	hangTicks = 8
	// maxPatience bounds how often a server that gave up leadership for its disk doubles the time it waits before it does so
	// again: where all disks are slow somebody must lead, and where they hang in turns nobody may wait for long.
	maxPatience = 2
	// patienceTicks is how many looks without a stall bring the patience back to what it was: a minute of them.
	patienceTicks = 240
)

// stall says whether this server keeps silent because its disk does.
type stall struct {
	// mu guards what stands below.
	mu      sync.Mutex
	stalled bool
	change  chan struct{} // closed and replaced when stalled changes.
}

func newStall() stall { return stall{change: make(chan struct{})} }

func (s *stall) on() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stalled
}

// changed returns a channel that is closed at the next change of on. Take it before asking on.
func (s *stall) changed() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.change
}

func (s *stall) set(on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stalled != on {
		s.stalled = on
		close(s.change)
		s.change = make(chan struct{})
	}
}

// verdict is what the watchdog wants done after a look.
type verdict int

const (
	nothing  verdict = iota
	warnSlow         // the disk stalls, and nobody is helped by silence.
	giveUp           // be silent, so that another server leads.
	comeBack         // the disk works again.
)

// watchdog decides, look by look, what to do about the disk. It is a pure function of what it is told.
type watchdog struct {
	writing  uint64 // the write seen under way at the last look.
	seen     int    // at how many looks in a row.
	patience int    // how often the limit is doubled.
	quiet    int    // looks since the last stall.
	warned   bool
	silent   bool
}

// look is told the oldest write under way, and whether silence would let somebody else lead.
func (w *watchdog) look(id uint64, busy, others bool) verdict {
	if !busy || id != w.writing {
		w.writing, w.seen, w.warned = id, 0, false
		if w.silent {
			w.silent = false
			return comeBack
		}
	}
	if busy {
		w.seen++
	}
	if w.seen <= hangTicks {
		if w.quiet++; w.quiet > patienceTicks {
			w.patience = 0
		}
		return nothing
	}
	w.quiet = 0
	switch {
	case w.silent:
		return nothing
	case others && w.seen > hangTicks<<w.patience:
		w.silent = true
		w.patience = min(w.patience+1, maxPatience)
		return giveUp
	case !w.warned:
		w.warned = true
		return warnSlow
	}
	return nothing
}

// lookEvery is how often the watchdog looks, so that a first stall is found out within timeout, whenever the write began.
func lookEvery(timeout time.Duration) time.Duration { return timeout / (hangTicks + 1) }

// watchStore watches the disk until stop is closed. It never waits for that disk, not even to log: the log may lie on it.
func (n *Node) watchStore(r *raft.Raft, stop <-chan struct{}) {
	tick := time.NewTicker(lookEvery(n.cfg.StoreHangTimeout))
	defer tick.Stop()
	say := newSayer(n.log)
	defer say.close()
	var w watchdog
	for {
		select {
		case <-stop:
			return
		case <-tick.C:
		}
		id, busy := n.store.oldest()
		switch w.look(id, busy, r.State() == raft.Leader && n.voters() > 1) {
		case nothing:
		case warnSlow:
			say.say(func(l *slog.Logger) {
				l.Warn("a write to the log store takes long: look at the disk", "longer_than", n.cfg.StoreHangTimeout)
			})
		case giveUp:
			n.stall.set(true)
			n.stream.pause()
			say.say(func(l *slog.Logger) {
				l.Error("a write to the log store hangs: this server gives up leadership until its disk works again",
					"longer_than", n.cfg.StoreHangTimeout)
			})
		case comeBack:
			n.stream.resume()
			n.stall.set(false)
			say.say(func(l *slog.Logger) { l.Warn("the log store works again: this server takes part again") })
		}
	}
}

// voters counts those of the newest configuration.
func (n *Node) voters() int {
	count := 0
	for _, s := range n.Servers() {
		if s.Voter {
			count++
		}
	}
	return count
}

// sayer passes lines to a log that may hang. What does not fit its room is dropped.
type sayer struct{ lines chan func(*slog.Logger) }

// newSayer starts the goroutine that waits for the log. It ends after close, when the log has taken what was said; with a disk
// that never works again that is never, and nobody waits for it.
func newSayer(log *slog.Logger) sayer {
	s := sayer{make(chan func(*slog.Logger), 16)}
	go func() {
		for line := range s.lines {
			line(log)
		}
	}()
	return s
}

// say never blocks.
func (s sayer) say(line func(*slog.Logger)) {
	select {
	case s.lines <- line:
	default:
	}
}

func (s sayer) close() { close(s.lines) }
