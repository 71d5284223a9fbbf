package worker

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"sync/atomic"
	"time"
)

const (
	// startLook is how often a start is looked at for whether it is at work.
	startLook = 5 * time.Second
	// workTicks is how much an executor has to compute, in hundredths of a second, to count as at work: no more than a busy machine
	// gives a compiler in a minute, and more than a process that waits uses in many.
	workTicks = 10
)

// start is one start of an executor: from the module's fetch until all its ranks run, or it is given up. But for ranks that are made of a checkpoint sooner than
// others it runs none of the program until then.
type start struct {
	modules *moduleCache
	digests []string
	giveUp  context.CancelFunc    // ends the wait for the modules
	child   atomic.Pointer[child] // once there is a process
	over    chan struct{}         // closed when it is ready, gone or given up

	processors int // begins.processors

	code *codeWish // of what its ranks run; nil: none is wanted

	restored *restoring              // what ranks begin from comes, too; nil: nothing
	images   map[int32]*restoredRank // that has come; set before there is a process

	read atomic.Int64 // bytes of that by the executor; 0: it has not begun

	steps   uint64 // how often it was found at work; owned by the app's goroutine
	refused error  // why it is given up, though others may do it; likewise
}

func newStart(modules *moduleCache) *start {
	return &start{modules: modules, giveUp: func() {}, over: make(chan struct{})}
}

// endStart notes that the start is over: it waits for its module no more, and what comes of it later finds that it is not the app's
// any more.
func (a *app) endStart() {
	if a.start != nil {
		close(a.start.over)
		a.start.giveUp()
		a.start = nil
	}
}

// startInLine says whether the start waits for a server that has others to serve first.
func (a *app) startInLine() bool {
	return a.fetching() && slices.ContainsFunc(a.start.digests, a.start.modules.inLine)
}

// startTrouble is what a start that goes on has asked for in vain so far, a module or a part of its checkpoint, and why it does not come.
func (a *app) startTrouble() string {
	if !a.fetching() {
		return ""
	}
	return clean(a.start.trouble())
}

// fetching says whether there is a start that waits for its module, or its checkpoint.
func (a *app) fetching() bool {
	s := a.start
	return s != nil && len(s.digests) > 0 && s.child.Load() == nil
}

// trouble is what has been asked for in vain so far, and why it does not come.
func (s *start) trouble() string {
	for _, digest := range s.digests {
		if why := s.modules.trouble(digest); why != "" {
			return "no server has given it the module yet: " + why
		}
	}
	if s.restored != nil {
		return s.restored.trouble()
	}
	return ""
}

// grown looks at the modules when an executor has compiled them.
func (s *start) grown() {
	for _, digest := range s.digests {
		s.modules.grown(digest)
	}
}

// fetched grows as the modules come.
func (s *start) fetched() int64 {
	n := int64(0)
	for _, digest := range s.digests {
		n += s.modules.steps(digest)
	}
	if s.restored != nil {
		n += s.restored.moved.Load()
	}
	return n + s.code.steps()
}

// startFailed ends a start; or, of ranks that begin from a checkpoint, tells why others have to, or must not: the leader has the app run again.
func (a *app) startFailed(s *start, err error) {
	if a.start != s {
		return // given up
	}
	if s.restored != nil && (errors.Is(err, errOwnDisk) || errors.Is(err, errNowhere)) {
		a.log.Warn("ranks cannot begin from a checkpoint here", "checkpoint", s.restored.checkpoint.Id, "err", err)
		s.refused = err
		return
	}
	a.endStart()
	a.part.StartFailed(err.Error())
}

// startRefused is why this host does not begin the app's ranks from their checkpoint in this attempt, and whether that is because nobody has it whole.
func (a *app) startRefused() (why string, lost bool) {
	if a.start == nil || a.start.refused == nil {
		return "", false
	}
	return clean(reasonOf(a.start.refused)), errors.Is(a.start.refused, errNowhere)
}

func (a *app) startSteps() uint64 {
	if a.start == nil {
		return 0
	}
	return a.start.steps
}

// watchStart has the app tell that its start is at work, as long as it is: as its module comes in, or a server says that it will, before there
// is a process, as the process computes, and as it reads what ranks are made of: some may compute by then. It decides nothing.
func (a *app) watchStart(ctx context.Context, s *start) {
	t := time.NewTicker(startLook)
	defer t.Stop()
	var w work
	trouble := ""
	for {
		select {
		case <-t.C:
		case <-s.over:
			if c := s.child.Load(); c != nil && c.compiled {
				return
			}
			s.grown()
			return
		case <-a.done:
			return
		case <-ctx.Done():
			return
		}
		is := s.trouble()
		switch {
		case w.done(s.at()):
			a.post(func() { s.steps++ })
		case is != trouble:
			a.post(func() {}) // which tells the leader
		}
		trouble = is
	}
}

// doing is what a start does.
type doing uint8

const (
	fetches  doing = iota // bytes
	computes              // ticks
	reads                 // bytes
)

// at is what the start does, and how much of it was done.
func (s *start) at() (doing, int64) {
	c := s.child.Load()
	switch read := s.read.Load(); {
	case c == nil:
		return fetches, s.fetched()
	case read > 0:
		return reads, read
	default:
		return computes, cpuTicks(c.pid())
	}
}

// work compares what has been done with what had been when it last counted.
type work struct {
	doing doing
	last  int64
}

// done says whether there has been a step: something else is done, bytes have come, or there was a good part of computing.
func (w *work) done(is doing, now int64) bool {
	if is == w.doing {
		least := int64(1)
		if is == computes {
			least = workTicks
		}
		if now < w.last+least {
			return false
		}
	}
	w.doing, w.last = is, now
	return true
}

// cpuTicks is how long a process has computed, in the kernel's ticks of a hundredth of a second; 0: not known, or it is gone.
func cpuTicks(pid int) int64 {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	// The name, in parentheses, may hold anything. Behind it come the state and ten numbers, then the times of user and kernel.
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(fields) < 13 {
		return 0
	}
	user, _ := strconv.ParseInt(string(fields[11]), 10, 64)   // 0 is not known
	kernel, _ := strconv.ParseInt(string(fields[12]), 10, 64) // likewise
	return user + kernel
}
