package history

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// at is an interval in milliseconds.
func at(op Op, call, ret int) Op {
	op.Call, op.Return = time.Duration(call)*time.Millisecond, time.Duration(ret)*time.Millisecond
	return op
}

func shows(phase, verdict string, code int32, epoch uint64) []Seen {
	return []Seen{{ID: "app-1", Key: "k", Phase: phase, Verdict: verdict, ExitCode: code, Epoch: epoch}}
}

func did(kind Kind, apps []Seen) Op {
	op := Op{Kind: kind, End: OK, Apps: apps}
	switch kind {
	case Submit:
		op.Key = "k"
	case Status, Cancel:
		op.App = "app-1"
	case List, Fault:
	}
	return op
}

func failed(kind Kind, code string) Op {
	op := did(kind, nil)
	op.End, op.Code = Fail, code
	return op
}

func unknown(kind Kind) Op {
	op := did(kind, nil)
	op.End = Info
	return op
}

// course is a course of events, and whether it is one that cannot have been.
type course struct {
	ops []Op
	bad bool
}

// submitted is how most of them begin.
func submitted() Op { return at(did(Submit, shows("queued", "", 0, 0)), 0, 10) }

// progress: how an app goes on, and ends.
func progress() map[string]course {
	submit := submitted()
	return map[string]course{
		"a life": {ops: []Op{
			submit, at(did(Status, shows("starting", "", 0, 1)), 20, 30), at(did(Status, shows("running", "", 0, 1)), 40, 50),
			at(did(Status, shows("migrating", "", 0, 1)), 60, 70), at(did(Status, shows("running", "", 0, 2)), 80, 90),
			at(did(List, shows("succeeded", "", 0, 2)), 100, 110),
		}},
		"goes back": {bad: true, ops: []Op{
			submit, at(did(Status, shows("running", "", 0, 1)), 20, 30), at(did(Status, shows("queued", "", 0, 0)), 40, 50),
		}},
		"seems to go back, while both were asked": {ops: []Op{
			submit, at(did(Status, shows("running", "", 0, 1)), 20, 50), at(did(Status, shows("queued", "", 0, 0)), 30, 60),
		}},
		"epoch goes back": {bad: true, ops: []Op{
			submit, at(did(Status, shows("running", "", 0, 2)), 20, 30), at(did(Status, shows("running", "", 0, 1)), 40, 50),
		}},
		"ends twice": {bad: true, ops: []Op{
			submit, at(did(Status, shows("failed", "", 1, 1)), 20, 30), at(did(Status, shows("succeeded", "", 0, 1)), 40, 50),
		}},
		"exit code changes": {bad: true, ops: []Op{
			submit, at(did(Status, shows("failed", "", 1, 1)), 20, 30), at(did(Status, shows("failed", "", 2, 1)), 40, 50),
		}},
		"epoch changes after the end": {bad: true, ops: []Op{
			submit, at(did(Status, shows("succeeded", "", 0, 1)), 20, 30), at(did(Status, shows("succeeded", "", 0, 2)), 40, 50),
		}},
		"runs after its end": {bad: true, ops: []Op{
			submit, at(did(Status, shows("succeeded", "", 0, 1)), 20, 30), at(did(Status, shows("running", "", 0, 1)), 40, 50),
		}},
		"no such phase": {bad: true, ops: []Op{submit, at(did(Status, shows("gone", "", 0, 1)), 20, 30)}},
	}
}

// submissions: what submissions are answered.
func submissions() map[string]course {
	submit := submitted()
	return map[string]course{
		"two apps of one key": {bad: true, ops: []Op{
			submit, at(did(Submit, []Seen{{ID: "app-2", Key: "k", Phase: "queued"}}), 20, 30),
		}},
		"the same app again for the same key": {ops: []Op{submit, at(did(Submit, shows("running", "", 0, 1)), 20, 30)}},
		"answered with what came after":       {ops: []Op{at(did(Submit, shows("starting", "", 0, 1)), 0, 40), at(did(List, shows("queued", "", 0, 0)), 10, 20)}},
		"answered before it was done":         {bad: true, ops: []Op{at(did(Submit, shows("queued", "", 0, 0)), 0, 40), at(did(List, shows("starting", "", 0, 1)), 10, 20), at(did(List, nil), 50, 60)}},
		"unknown submission, done later":      {ops: []Op{at(unknown(Submit), 0, 10), at(did(List, nil), 20, 30), at(did(List, shows("queued", "", 0, 0)), 40, 50)}},
		"unknown submission, never done":      {ops: []Op{at(unknown(Submit), 0, 10), at(did(List, nil), 20, 30)}},
		"unknown submission, done and undone": {bad: true, ops: []Op{at(unknown(Submit), 0, 10), at(did(List, shows("queued", "", 0, 0)), 20, 30), at(did(List, nil), 40, 50)}},
		"failed submission that was done":     {bad: true, ops: []Op{at(failed(Submit, reasonNotLeader), 0, 10), at(did(List, shows("queued", "", 0, 0)), 20, 30)}},
		"refused, and never was":              {ops: []Op{at(failed(Submit, reasonRefused), 0, 10), at(did(List, nil), 20, 30)}},
		"submitted, and no app is shown":      {bad: true, ops: []Op{at(did(Submit, nil), 0, 10)}},
		"submitted again, as it was then":     {ops: []Op{submit, at(did(Status, shows("running", "", 0, 1)), 20, 30), at(did(Submit, shows("queued", "", 0, 0)), 25, 40)}},
		"submitted again, and gone back":      {bad: true, ops: []Op{submit, at(did(Status, shows("running", "", 0, 1)), 20, 30), at(did(Submit, shows("queued", "", 0, 0)), 40, 50)}},
	}
}

// lookups: what is found, and what is not.
func lookups() map[string]course {
	submit := submitted()
	return map[string]course{
		"lost":                           {bad: true, ops: []Op{submit, at(failed(Status, reasonNotFound), 20, 30)}},
		"not in a list":                  {bad: true, ops: []Op{submit, at(did(List, nil), 20, 30)}},
		"not on a page":                  {ops: []Op{submit, at(Op{Kind: List, End: OK, Partial: true}, 20, 30)}},
		"in no list before it was":       {ops: []Op{at(did(List, nil), -20, -10), submit}},
		"in no list meanwhile":           {ops: []Op{submit, at(did(List, nil), 5, 30)}},
		"listed before it was asked for": {bad: true, ops: []Op{at(did(List, shows("queued", "", 0, 0)), -20, -10), submit}},
		"not found, and never was":       {ops: []Op{at(failed(Status, reasonNotFound), -20, -10), submit}},
		"not found, and was listed":      {bad: true, ops: []Op{submit, at(did(List, shows("queued", "", 0, 0)), 12, 15), at(failed(Cancel, reasonNotFound), 20, 30)}},
		"no leader tells nothing":        {ops: []Op{submit, at(failed(Status, reasonNoLeader), 20, 30), at(failed(Cancel, reasonNotLeader), 20, 30)}},
	}
}

// cancellations: what cancelling does.
func cancellations() map[string]course {
	submit := submitted()
	return map[string]course{
		"cancelled while it fails": {ops: []Op{submit, at(did(Cancel, shows("running", "failed", 0, 1)), 20, 30), at(did(Status, shows("failed", "", 1, 1)), 40, 50)}},
		"cancelled": {ops: []Op{
			submit, at(did(Cancel, shows("running", "cancelled", 0, 1)), 20, 30), at(did(Status, shows("cancelled", "", 130, 1)), 40, 50),
		}},
		"cancelled and forgotten": {bad: true, ops: []Op{
			submit, at(did(Cancel, shows("running", "cancelled", 0, 1)), 20, 30), at(did(Status, shows("running", "", 0, 1)), 40, 50),
		}},
		"cancelled and succeeded": {bad: true, ops: []Op{
			submit, at(did(Cancel, shows("running", "cancelled", 0, 1)), 20, 30), at(did(Status, shows("succeeded", "", 0, 1)), 40, 50),
		}},
		"an answer that cancels nothing": {bad: true, ops: []Op{submit, at(did(Cancel, shows("running", "", 0, 1)), 20, 30)}},
		"cancelled after its end":        {bad: true, ops: []Op{submit, at(did(Status, shows("succeeded", "", 0, 1)), 12, 15), at(did(Cancel, shows("cancelled", "", 0, 1)), 20, 30)}},
		"too late to cancel":             {ops: []Op{submit, at(failed(Cancel, reasonRefused), 20, 30), at(did(Status, shows("succeeded", "", 0, 1)), 40, 50)}},
		"too late, and runs":             {bad: true, ops: []Op{submit, at(failed(Cancel, reasonRefused), 20, 30), at(did(Status, shows("running", "", 0, 1)), 40, 50)}},
		"unknown cancellation":           {ops: []Op{submit, at(unknown(Cancel), 20, 30), at(did(Status, shows("running", "", 0, 1)), 40, 50), at(did(Status, shows("cancelled", "", 130, 1)), 60, 70)}},
		"failing, then cancelled": {bad: true, ops: []Op{
			submit, at(did(Status, shows("running", "failed", 0, 1)), 20, 30), at(did(Status, shows("running", "cancelled", 0, 1)), 40, 50),
		}},
		"cancelled after it failed": {bad: true, ops: []Op{
			submit, at(did(Status, shows("failed", "", 1, 1)), 12, 15), at(did(Cancel, shows("failed", "", 1, 1)), 20, 30),
		}},
		"cancelled, cancelled again, and failing": {bad: true, ops: []Op{
			submit, at(did(Cancel, shows("running", "cancelled", 0, 1)), 20, 30), at(did(Cancel, shows("running", "failed", 0, 1)), 40, 50),
		}},
		"cancelled, and cancelled again": {ops: []Op{
			submit, at(did(Cancel, shows("running", "cancelled", 0, 1)), 20, 30), at(did(Cancel, shows("running", "cancelled", 0, 1)), 40, 50),
		}},
		"cancelled, and no app is shown": {bad: true, ops: []Op{submit, at(did(Cancel, nil), 20, 30)}},
		"cancelled before it was":        {bad: true, ops: []Op{at(did(Cancel, shows("queued", "cancelled", 0, 0)), -20, -10), submit}},
	}
}

// TestLinearizable tells courses of events that can have been from those that cannot.
func TestLinearizable(t *testing.T) {
	t.Parallel()
	for _, lives := range []map[string]course{progress(), submissions(), lookups(), cancellations()} {
		for name, tc := range lives {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				err := Linearizable(tc.ops, time.Minute)
				if tc.bad {
					require.ErrorContains(t, err, "no order")
				} else {
					require.NoError(t, err)
				}
			})
		}
	}
}

// TestUnknownIsNoPass gives a search no time.
func TestUnknownIsNoPass(t *testing.T) {
	t.Parallel()
	var ops []Op
	for i := range 400 {
		ops = append(ops, at(unknown(Cancel), i, i+1), at(did(Status, shows("running", "", 0, uint64(i+1))), 0, 1000))
	}
	ops = append(ops, at(did(Submit, shows("queued", "", 0, 0)), 0, 10))
	require.Error(t, Linearizable(ops, time.Nanosecond))
}
