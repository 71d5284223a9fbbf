// Package steps is the leader's side of what is done together with the hosts of an app: migrations, checkpoints, what follows from
// a host's report, and what hosts have to hear. Its functions look at a view of the state, at what hosts have reported, and at a time
// that they are given, and say what to propose next. They ask no clock, throw no dice, do no I/O and start nothing: the same
// input has the same output, in the leader's duties and in a simulation. Only a Watch, which its caller keeps, changes.
package steps

import (
	"time"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/fsm"
)

// Step is a command of the leader's own, before it is proposed.
type Step struct {
	What    string         // for people, and the same for the same thing: what was refused is known by it
	Command *apiv1.Command // has its Op alone; who proposes it adds the term, the time and a key

	Then *Step // what is proposed at once when the log has applied the command; nil: nothing
	Else *Step // what is proposed at once when it has not, for whatever reason; nil: nothing
}

// Reports is what a host last reported of one app; nil: nothing. What it returns is not changed.
type Reports func(host fsm.HostID) *apiv1.AppStatus

// Deadlines are for how long a migration or a checkpoint may stand still at a point of its way.
type Deadlines struct {
	Announce time.Duration // until all hosts are ready, after more was written or sent the last time
	Freeze   time.Duration // until all ranks stand still
	Transfer time.Duration // until all is where it is to be
}

// Watch is for how long one leader has seen a migration or a checkpoint at a point of its way, and whether it gets on. The zero
// value has seen nothing. The caller keeps one for each migration or checkpoint under way, and no two looks use one at once.
type Watch struct {
	point    string
	since    time.Time // when it was first seen there
	progress int64     // the most that was ever written or sent there
	steps    uint64    // of the targets' start, as they were last
	moved    time.Time // when either became more
}

// at notes at which point it is now.
func (w *Watch) at(point string, now time.Time) {
	if w.point != point {
		*w = Watch{point: point, since: now, moved: now}
	}
}

// works notes how far its targets have come with their start. They begin anew at each.
func (w *Watch) works(steps uint64, now time.Time) {
	if steps > w.steps {
		w.moved = now
	}
	w.steps = steps
}

// got notes how far it has come there.
func (w *Watch) got(progress int64, now time.Time) {
	if progress > w.progress {
		w.progress, w.moved = progress, now
	}
}
