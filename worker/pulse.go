package worker

import (
	"fmt"
	"sync"
	"time"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

// An executor is asked for a sign of life every pingEach. That it has given none for pulseSilent is told, and nothing else follows:
// one that is merely slow is never ended for it.
const (
	pingEach    = time.Second
	pulseSilent = 4 * time.Second
)

// pulse is what is known of an executor's being alive. A ping waits in the executor's way behind nothing but commands, and is
// answered by a goroutine that no guest can hold up.
type pulse struct {
	mu      sync.Mutex // guards the fields below
	asked   time.Time  // when the ping without an answer was sent; zero: there is none
	heard   time.Time  // when the last event came, or the worker last turned to wait for one
	waiting bool       // the worker waits for events; if it does not, silence is its own
}

// ask says whether to send a ping: at most one is on its way, so that a stopped executor's link does not fill.
func (p *pulse) ask(now time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.asked.IsZero() {
		return false
	}
	p.asked = now
	return true
}

// wait notes that the worker waits for the next event, or that one has come.
func (p *pulse) wait(now time.Time, waiting bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.heard, p.waiting = now, waiting
}

func (p *pulse) answered() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked = time.Time{}
}

// silent is for how long the executor has owed an answer; 0: not for long enough to be worth a word.
func (p *pulse) silent(now time.Time) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.asked.IsZero() || !p.waiting {
		return 0
	}
	since := p.asked
	if p.heard.After(since) {
		since = p.heard
	}
	if d := now.Sub(since); d >= pulseSilent {
		return d.Truncate(time.Second)
	}
	return 0
}

// watchPulse asks c for signs of life until it is gone, and has the app tell of a silence as it begins, lasts and ends.
func (a *app) watchPulse(c *child) {
	t := time.NewTicker(pingEach)
	defer t.Stop()
	told := time.Duration(0)
	for {
		select {
		case <-t.C:
		case <-c.exited:
			return
		case <-a.done: // its executor may go on
			return
		}
		now := time.Now()
		if c.pulse.ask(now) {
			c.say(&apiv1.ExecCommand{Msg: &apiv1.ExecCommand_Ping{Ping: &apiv1.ExecPing{}}})
		}
		silent := c.pulse.silent(now)
		if (silent == 0) == (told == 0) && silent-told < pulseSilent {
			continue
		}
		told = silent
		select {
		case a.inbox <- func() { a.silent = silent }:
		case <-a.done:
			return
		case <-c.exited:
			return
		}
	}
}

// silence says that an executor does not answer.
func silence(d time.Duration) string {
	return fmt.Sprintf("its executor has not answered for %s: it is stopped, or its machine is overloaded", d)
}
