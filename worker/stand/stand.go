// Package stand decides what becomes of a rank on one host as it is to move, to be saved, to go on or to end: pure functions of how it stands. Executors do what they say, and the simulation drives the very same functions.
package stand

// State says what a rank does.
type State uint8

// States of a rank.
const (
	Ready     State = iota + 1 // made, not launched
	Running                    // its program runs, or what that has sent is delivered
	Capturing                  // stands still, the rest of it is being sent
	Frozen                     // stands still, may be resumed
	Expected                   // comes: its memory is being filled
	Staged                     // arrived, waits for the commit
	Ended
)

// Rank is how a rank stands. A way is a migration or a checkpoint, by its id: where the rank's memory goes.
type Rank struct {
	State  State
	Freeze string // the way for which it is to stop, or stands still; empty: none
	Way    string // the last that its memory went; empty: none
	Next   string // asked for while the last was being given up: it begins when the rank goes on; empty: none

	Dropped bool // it has moved away while the rest of it was still being sent
}

// Expecting is what to do where a rank is to come.
type Expecting uint8

// What to do where a rank is to come.
const (
	ExpectNew       Expecting = iota // make it
	ExpectInstead                    // make it, and drop the one that has come, or was to come
	ExpectLater                      // it comes back before it was gone: when it is
	ExpectCancelled                  // not at all: the app is cancelled
	ExpectHere                       // not at all: it is here
)

// Expect says what to do with a rank that is to come, beside what there is of it; nil: nothing.
func Expect(old *Rank, cancelled bool) Expecting {
	switch {
	case old != nil && old.Dropped:
		return ExpectLater
	case cancelled:
		return ExpectCancelled
	case old == nil || old.State == Ended:
		return ExpectNew
	case old.State == Expected || old.State == Staged:
		return ExpectInstead
	}
	return ExpectHere
}

// Arrive notes that all of a rank that was to come is there. It returns false for one that was not.
func (r *Rank) Arrive() bool {
	if r.State != Expected {
		return false
	}
	r.State = Staged
	return true
}

// Departure is what to do where a rank's memory is to go ahead.
type Departure uint8

// What to do where a rank's memory is to go ahead.
const (
	DepartEnded Departure = iota // say that it has ended
	DepartStill                  // say that it does not run
	DepartLater                  // wait: it has been noted
	DepartUnder                  // nothing: it is under way
	DepartNow                    // Begin
)

// Depart says what to do where a rank, nil if it is not here, is to go a way.
func (r *Rank) Depart(way string) Departure {
	switch {
	case r == nil || r.State == Ended:
		return DepartEnded
	case r.State == Capturing && r.Freeze == "":
		r.Next = way
		return DepartLater
	case r.State != Running:
		return DepartStill
	case r.Way == way:
		return DepartUnder
	}
	return DepartNow
}

// Begin notes that a rank that runs goes a way, and no more where it went before. It says whether a freeze for that is taken back.
func (r *Rank) Begin(way string) (withdraws bool) {
	if r.Freeze != "" && r.Freeze != way {
		r.Freeze, withdraws = "", true
	}
	r.Way = way
	return withdraws
}

// Forget notes that nobody wants a way any more that has not begun.
func (r *Rank) Forget(way string) {
	if r.Next != way {
		return
	}
	if r.Next = ""; r.Freeze == way { // it waited for that
		r.Freeze = ""
	}
}

// Stopping is what to do where a rank is to stop.
type Stopping uint8

// What to do where a rank is to stop.
const (
	StopEnded Stopping = iota // say that it has ended
	StopStill                 // say that it does not run
	StopNoWay                 // say that it has not been said where it goes
	StopLater                 // wait: it stops when it has gone on
	StopNow                   // have it stop at its next control point
)

// Stop says what to do where a rank, nil if it is not here, is to stop for a way.
func (r *Rank) Stop(way string) Stopping {
	switch {
	case r == nil || r.State == Ended:
		return StopEnded
	case r.State == Capturing && r.Freeze == "" && r.Next == way:
		r.Freeze = way
		return StopLater
	case r.State != Running:
		return StopStill
	case r.Way != way:
		return StopNoWay
	}
	r.Freeze = way
	return StopNow
}

// Stopped is called when a rank that was to stop does. It says whether it stands still; else that was taken back, and it runs on.
func (r *Rank) Stopped() bool {
	if r.Freeze == "" {
		r.State = Running
		return false
	}
	r.State = Capturing
	return true
}

// Sending is what becomes of a rank that stands still when the rest of it is sent, or cannot be.
type Sending uint8

// What becomes of a rank when the rest of it is sent.
const (
	SentStays  Sending = iota // it stands still: what becomes of it others decide
	SentGone                  // it has moved away: release it
	SentEnds                  // the app is cancelled: end it
	SentGoesOn                // it need not stand still any more: GoOn
)

// Sent notes that a rank's rest is sent that way, or cannot be.
func (r *Rank) Sent(way string, cancelled bool) Sending {
	r.State = Frozen
	switch {
	case r.Dropped:
		return SentGone
	case cancelled:
		r.Next, r.Freeze = "", ""
		return SentEnds
	case r.Freeze != way || r.Next != "": // for a way of that name that is to begin anew
		return SentGoesOn
	}
	return SentStays
}

// Resuming is what to do where a rank need not stop.
type Resuming uint8

// What to do where a rank need not stop. Its way is given up, unless there is nothing to do.
const (
	ResumeNothing  Resuming = iota
	ResumeGoesOn            // it stands still: GoOn
	ResumeWithdraw          // it is not stopped, or goes on when its way has been given up
)

// Resume says what to do where a rank, nil if it is not here, is to run on.
func (r *Rank) Resume() Resuming {
	if r == nil || r.State == Expected || r.State == Staged || r.State == Ended {
		return ResumeNothing
	}
	r.Next, r.Freeze = "", ""
	if r.State == Frozen {
		return ResumeGoesOn
	}
	return ResumeWithdraw
}

// GoOn notes that a rank that stood still runs. It says which way its memory goes next, if any, and whether it is to stop for that; it begins then.
func (r *Rank) GoOn() (next string, stops bool) {
	r.State = Running
	if next = r.Next; next == "" {
		return "", false
	}
	r.Next = ""
	r.Begin(next)
	return next, r.Freeze != ""
}

// Dropping is what to do where a rank is not to be here any more.
type Dropping uint8

// What to do where a rank is not to be here any more.
const (
	DropNothing Dropping = iota
	DropComing           // give up what has come of it
	DropLater            // give up its way: it is gone when that is over
	DropNow              // release it
)

// Drop says what to do where a rank, nil if it is not here, has moved away, or was to come in vain.
func (r *Rank) Drop() Dropping {
	switch {
	case r == nil:
		return DropNothing
	case r.State == Expected || r.State == Staged:
		return DropComing
	case r.State == Capturing && !r.Dropped:
		r.Dropped = true
		return DropLater
	case r.State == Frozen:
		return DropNow
	}
	return DropNothing
}

// Ending is what to do where the app is cancelled.
type Ending uint8

// What to do where the app is cancelled.
const (
	EndNothing Ending = iota
	EndComing         // give up what has come of it
	EndStill          // it stands still: end it
	EndRuns           // its way is given up, and its program fails at its next call
)

// Cancel says what to do with a rank of an app that is cancelled.
func (r *Rank) Cancel() Ending {
	switch r.State {
	case Ended:
		return EndNothing
	case Expected:
		return EndComing
	case Frozen, Staged:
		return EndStill
	case Ready, Running, Capturing:
	}
	return EndRuns
}

// HandOn says whether a rank has something given up that only the process of the worker knew that has ended: then it is resumed.
func (r *Rank) HandOn() bool { return r.State == Running && (r.Freeze != "" || r.Way != "") }

// Told is what is said of a rank to the next process of the worker: that it runs, comes, has arrived, has ended, or stands still for a way.
func (r *Rank) Told() (is State, way string) {
	switch {
	case r.State == Expected, r.State == Staged, r.State == Ended:
		return r.State, ""
	case r.Freeze != "" && (r.State == Frozen || r.State == Capturing):
		return Frozen, r.Freeze
	}
	return Running, ""
}
