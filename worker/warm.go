package worker

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"sync"
	"syscall"
	"time"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/internal/notify"
	"github.com/godwit-run/godwit/internal/pipe"
)

const (
	// warmUses is how many apps a process runs, one after the other: what it may gather unseen is bounded.
	warmUses = 1000
	// warmPrograms is how many programs it runs: what the engine has for each is freed with the process, and is 0.7 MiB for a small one.
	warmPrograms = 16
	// warmIdle is for how long a process waits for its next app.
	warmIdle = 30 * time.Second
	// restPatience is for how long a start waits for a process of its tenant that is about to be at rest, where another one is there.
	restPatience = 100 * time.Millisecond
	// restWait is how long an executor may take to clear away what it has of an app that is over. It has nothing to lose then, and is killed.
	restWait = 5 * time.Second
)

// runner is a process that is the executor of one app after the other. While it is one's its child has it.
type runner struct {
	word    string   // names its socket
	link    *os.File // the socket, until it is called
	process *os.Process
	born    uint64     // its start, against numbers that are given again
	control *pipe.Conn // nil: it was not called yet
	gone    chan struct{}
	state   *os.ProcessState // set before gone is closed

	tenant  string   // whose apps it has run
	modules []string // that the last one ran, by digest
	uses    int
	changed int       // how often an app ran other modules than the one before
	since   time.Time // for which it waits
}

// wait waits for the end of the process.
func (r *runner) wait(cmd *exec.Cmd) {
	_ = cmd.Wait() // its state says all
	r.state = cmd.ProcessState
	close(r.gone)
}

// ended says whether the process is gone.
func (r *runner) ended() bool {
	select {
	case <-r.gone:
		return true
	default:
		return false
	}
}

// ready says whether the process is there, and would run an app: one that somebody has stopped would not.
func (r *runner) ready() bool {
	if r.ended() {
		return false
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", r.process.Pid))
	if err != nil {
		return !errors.Is(err, os.ErrNotExist)
	}
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:]) // startOf
	return len(fields) == 0 || !bytes.ContainsAny(fields[0][:1], "TtZX")
}

// wasKilled says whether a process was ended by a signal that it cannot catch.
func wasKilled(state *os.ProcessState) bool {
	ws, ok := waitStatus(state)
	return ok && ws.Signaled() && ws.Signal() == syscall.SIGKILL
}

// warm are the processes that wait for their next app. Each has ended its apps well, cleared away what it had of them, and knows apps of one tenant alone. They end with this process
// of the worker, since their link does.
type warm struct {
	most   int // that wait
	ahead  int // that wait and were nobody's yet
	start  func(context.Context) (*runner, error)
	runs   *registry
	memory *memory
	lacks  notify.Signal // one of those
	died   notify.Signal // a process: one that waits, perhaps

	mu      sync.Mutex // guards the fields below
	closed  bool       // none waits any more
	idle    []*runner  // the one that was used last at the end
	fresh   []*runner  // that were nobody's yet
	resting map[string]int
	wanting map[string]int // starts that wait for one of those, by tenant
	changed chan struct{}  // closed when a process has come to rest, or has not
}

// look has the watch look whether one that waits has ended.
func (w *warm) look() {
	if w != nil {
		w.died.Set()
	}
}

// newWarm keeps so many processes that have run apps, and so many, started ahead, that have run none.
func newWarm(most, ahead int, s *spawner) *warm {
	return &warm{
		most: most, ahead: ahead, start: s.spawnAhead, runs: s.runs, memory: s.memory, lacks: notify.NewSignal(), died: notify.NewSignal(),
		resting: map[string]int{}, wanting: map[string]int{}, changed: make(chan struct{}),
	}
}

// take is a process for an app of a tenant: one that waits, or is about to; nil: there is none. One that is about to is waited for by one start, and where there is another process not for long.
func (w *warm) take(ctx context.Context, tenant string) (*runner, error) {
	if w == nil {
		return nil, nil //nolint:nilnil // there is none
	}
	patience := time.NewTimer(restPatience)
	defer patience.Stop()
	waits, patient := false, true
	for {
		r, changed := w.next(tenant, &waits, patient)
		if r != nil || !waits {
			return r, nil
		}
		select {
		case <-changed: // restWait bounds it
		case <-patience.C:
			patient = false
		case <-ctx.Done():
			w.mu.Lock()
			defer w.mu.Unlock()
			w.want(tenant, -1)
			return nil, ctx.Err()
		}
	}
}

// next is a process for an app of a tenant, if one waits; if none does, waits says whether to wait for a change.
func (w *warm) next(tenant string, waits *bool, patient bool) (r *runner, changed <-chan struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if *waits { // until it is said again
		w.want(tenant, -1)
		*waits = false
	}
	for i, r := range slices.Backward(w.idle) {
		if r.tenant == tenant && r.ready() {
			w.idle = slices.Delete(w.idle, i, i+1)
			return r, nil
		}
	}
	fresh := slices.IndexFunc(w.fresh, (*runner).ready)
	if w.wanting[tenant] < w.resting[tenant] && (patient || fresh < 0) {
		w.want(tenant, 1)
		*waits = true
		return nil, w.changed
	}
	if fresh < 0 {
		return nil, nil
	}
	r = w.fresh[fresh]
	w.fresh = slices.Delete(w.fresh, fresh, fresh+1)
	w.lacks.Set()
	return r, nil
}

// want counts the starts that wait. Holds mu.
func (w *warm) want(tenant string, n int) {
	if w.wanting[tenant] += n; w.wanting[tenant] == 0 {
		delete(w.wanting, tenant)
	}
}

// begin notes that a process is about to be at rest.
func (w *warm) begin(r *runner) bool {
	if w == nil || r == nil || r.uses >= warmUses || r.changed >= warmPrograms {
		return false
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return false
	}
	w.resting[r.tenant]++
	return true
}

// end notes that a process is at rest, or will not be. It returns false for one that is not wanted.
func (w *warm) end(r *runner, rests bool) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.resting[r.tenant]--; w.resting[r.tenant] == 0 {
		delete(w.resting, r.tenant)
	}
	rests = rests && !w.closed
	if rests {
		r.since = time.Now()
		w.idle = append(w.idle, r)
		if len(w.idle) > w.most {
			go w.discard(w.idle[0]) // the kernel bounds it
			w.idle = w.idle[1:]
		}
	}
	close(w.changed)
	w.changed = make(chan struct{})
	return rests
}

// discard ends a process that waits, or has ended.
func (w *warm) discard(r *runner) {
	ours := !r.ended()
	_ = r.process.Kill() // the only error is that it has ended
	<-r.gone
	_ = r.control.Close() // nothing is written any more
	w.memory.waited(!ours && wasKilled(r.state))
	w.runs.removeWord(r.word)
}

// watch starts processes ahead, ends those that have waited for too long, or have ended themselves, and all at the end of ctx.
func (w *warm) watch(ctx context.Context) error {
	t := time.NewTicker(warmIdle / 8)
	defer t.Stop()
	for {
		w.fill(ctx)
		select {
		case <-w.lacks:
		case <-w.died:
			w.thin(time.Now().Add(-warmIdle), false)
		case <-t.C:
			w.thin(time.Now().Add(-warmIdle), false)
		case <-ctx.Done():
			w.close()
			return ctx.Err()
		}
	}
}

// fill starts what lacks of processes that are ahead. One that cannot be started now is at the next look.
func (w *warm) fill(ctx context.Context) {
	for {
		w.mu.Lock()
		lacks := len(w.fresh) < w.ahead && !w.closed
		w.mu.Unlock()
		if !lacks {
			return
		}
		r, err := w.start(ctx)
		if err != nil {
			return
		}
		w.mu.Lock()
		w.fresh = append(w.fresh, r)
		w.mu.Unlock()
	}
}

// thin ends the processes that have waited since before then, and those that are gone, or stand still; all: those that were started ahead, too.
func (w *warm) thin(before time.Time, all bool) {
	w.mu.Lock()
	var out []*runner
	stay := w.idle[:0:0]
	for _, r := range w.idle {
		if !r.ready() || r.since.Before(before) {
			out = append(out, r)
		} else {
			stay = append(stay, r)
		}
	}
	w.idle = stay
	w.fresh = slices.DeleteFunc(w.fresh, func(r *runner) bool {
		over := all || !r.ready()
		if over {
			out = append(out, r)
		}
		return over
	})
	w.mu.Unlock()
	for _, r := range out {
		w.discard(r)
	}
}

// clear ends all that wait.
func (w *warm) clear() {
	if w != nil {
		w.thin(time.Now().Add(time.Hour), true)
	}
}

// clear ends all processes that wait for an app.
func (s *spawner) clear() {
	if s != nil {
		s.warm.clear()
	}
}

// waiting is in the place of an app's id where ps shows a process that has none.
const waiting = "----------------"

// spawnAhead starts a process that is to be an executor once there is an app.
func (s *spawner) spawnAhead(ctx context.Context) (*runner, error) {
	if until := s.lease.Until(); until != 0 && time.Duration(sinceBoot()) >= until {
		return nil, errors.New("worker: there is no lease") // it would end itself
	}
	r, err := s.spawn(ctx, begins{app: waiting, ranks: 1})
	if err != nil {
		return nil, err
	}
	_ = r.link.Close() // the process has its own
	return r, nil
}

// close ends all that wait, and has none wait any more.
func (w *warm) close() {
	w.mu.Lock()
	w.closed = true
	w.mu.Unlock()
	w.clear()
}

// rest has the executor of an app that is over wait for its next one, if it may. It returns whether that was asked for: then it is not the app's any more.
func (c *child) rest(w *warm) bool {
	if c.adopted || c.why.Load() != nil || !w.begin(c.runner) {
		return false
	}
	c.warm.Store(w)
	if c.runs.rested(c.entry.Word) != nil { // before another app has it
		c.warm.Store(nil)
		w.end(c.runner, false)
		return false
	}
	c.say(&apiv1.ExecCommand{Msg: &apiv1.ExecCommand_Rest{Rest: &apiv1.ExecRest{}}})
	go func() { // until it is at rest, or gone
		t := time.NewTimer(restWait)
		defer t.Stop()
		select {
		case <-t.C:
			c.kill("it did not come to rest when its app was over")
		case <-c.exited:
		}
	}()
	return true
}

// rests is called when the executor says that it is at rest, by the goroutine that takes its events. It returns false where nobody has asked for that.
func (c *child) rests(onExit func(*child)) bool {
	w := c.warm.Swap(nil)
	if w == nil {
		return false
	}
	c.mu.Lock()
	c.atRest = true
	c.mu.Unlock()
	close(c.rested)
	<-c.exited
	<-c.sent // nothing that is of this app is said to it any more
	alone := !c.hangUp()
	onExit(c)
	if c.state != nil { // it has ended in the same moment
		_ = c.control.Close()
		c.runs.removeWord(c.runner.word)
		w.end(c.runner, false)
		return true
	}
	if !w.end(c.runner, alone && c.why.Load() == nil) {
		w.discard(c.runner)
	}
	return true
}
