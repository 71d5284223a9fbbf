package history

import "fmt"

// level is how far an app has come. Running, migrating and frozen alternate, and are one.
type level int

const (
	absent level = iota
	queued
	starting
	running
	ended
)

func levelOf(phase string) (level, error) {
	switch phase {
	case "queued":
		return queued, nil
	case "starting":
		return starting, nil
	case "running", "migrating", "frozen":
		return running, nil
	case "succeeded", "failed", "cancelled":
		return ended, nil
	default:
		return absent, fmt.Errorf("no such phase: %q", phase)
	}
}

// life is the least that is known of an app at a point of an order. The cluster may move an app on at any time by itself;
// nothing ever moves it back.
type life struct {
	level   level
	id      string // empty: submitted by a client that never learned it
	verdict string // decided, also once ended; empty: not known
	phase   string // of an ended app; empty: not known
	code    int32  // of an ended app
	epoch   uint64
}

// see tells whether an app that was l may be shown as s, and what it is then.
func (l life) see(s Seen) (life, bool) {
	lv, err := levelOf(s.Phase)
	switch {
	case err != nil, l.level == absent, l.id != "" && l.id != s.ID, lv < l.level, s.Epoch < l.epoch:
		return l, false
	case l.level == ended && l.phase != "" && (l.phase != s.Phase || l.code != s.ExitCode || l.epoch != s.Epoch):
		return l, false
	}
	decided := s.decided()
	if l.verdict != "" && l.verdict != decided {
		return l, false
	}
	next := life{level: lv, id: s.ID, verdict: decided, epoch: s.Epoch}
	if lv == ended {
		next.phase, next.code = s.Phase, s.ExitCode
	}
	return next, true
}

// submitted is what an app is after its submission took effect under a key that may have been used before.
func (l life) submitted() life {
	if l.level == absent {
		l.level = queued
	}
	return l
}

// cancelled is what an app may be after a cancellation took effect: decided, if nothing else was before.
func (l life) cancelled() life {
	if l.verdict == "" && l.level != ended {
		l.verdict = "cancelled"
	}
	return l
}

// stopped are what an app may be after a cancellation that was accepted: cancelled, or failing already for a reason that
// nobody has been shown. One that has ended accepts none.
func (l life) stopped() []life {
	switch {
	case l.level == absent || l.level == ended:
		return nil
	case l.verdict != "":
		return []life{l}
	}
	failing := l
	failing.verdict = "failed"
	return []life{l.cancelled(), failing}
}

// over is what an app is that is known to have ended, and not how; false: it cannot have.
func (l life) over() (life, bool) {
	if l.level == absent {
		return l, false
	}
	l.level = ended
	return l, true
}

// decided is how the app will end, or has; empty: that is open.
func (s Seen) decided() string {
	if lv, err := levelOf(s.Phase); err == nil && lv == ended {
		return s.Phase
	}
	return s.Verdict
}

// stopped tells whether the app was kept from its own end.
func (s Seen) stopped() bool { return s.decided() == "cancelled" || s.decided() == "failed" }
