package stand

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestOneWayAnew: a rank that stands still for a way that was taken back, and is to begin anew under the same name, goes on first: what was sent of it is of the try before.
func TestOneWayAnew(t *testing.T) {
	r := &Rank{State: Running}
	require.Equal(t, DepartNow, r.Depart("m"))
	require.False(t, r.Begin("m"))
	require.Equal(t, DepartUnder, r.Depart("m"))
	require.Equal(t, StopNow, r.Stop("m"))
	require.True(t, r.Stopped())
	require.Equal(t, ResumeWithdraw, r.Resume())
	require.Equal(t, DepartLater, r.Depart("m"))
	require.Equal(t, StopLater, r.Stop("m"))
	require.Equal(t, SentGoesOn, r.Sent("m", false))
	next, stops := r.GoOn()
	require.Equal(t, "m", next)
	require.True(t, stops)
	require.Equal(t, Rank{State: Running, Freeze: "m", Way: "m"}, *r)
}

// TestForgottenWay: a rank does not stop for a way that nobody wants any more before it has begun.
func TestForgottenWay(t *testing.T) {
	r := &Rank{State: Capturing, Way: "c1"}
	require.Equal(t, DepartLater, r.Depart("c2"))
	require.Equal(t, StopLater, r.Stop("c2"))
	r.Forget("c1")
	require.Equal(t, "c2", r.Next)
	r.Forget("c2")
	require.Equal(t, Rank{State: Capturing, Way: "c1"}, *r)
	require.Equal(t, SentGoesOn, r.Sent("c1", false))
	next, stops := r.GoOn()
	require.Empty(t, next)
	require.False(t, stops)
}

// TestNobodyHere: what is said of a rank that is not here.
func TestNobodyHere(t *testing.T) {
	var r *Rank
	require.Equal(t, DepartEnded, r.Depart("m"))
	require.Equal(t, StopEnded, r.Stop("m"))
	require.Equal(t, ResumeNothing, r.Resume())
	require.Equal(t, DropNothing, r.Drop())
	require.Equal(t, ExpectNew, Expect(r, false))
}

// after are all ranks that a rank may become in one step of anybody; none: it is gone.
func after(r Rank) (out []Rank, gone bool) {
	for _, way := range []string{"a", "b"} {
		x := r
		if x.Depart(way) == DepartNow {
			x.Begin(way)
		}
		y, z := r, r
		y.Stop(way)
		z.Forget(way)
		out = append(out, x, y, z)
	}
	if r.State == Ready {
		out = append(out, Rank{State: Running})
	}
	if r.State == Running { // it was to stop, if that was not taken back; or ends
		x, y := r, r
		x.Stopped()
		y.State = Ended
		out = append(out, x, y)
	}
	for _, cancelled := range []bool{false, true} {
		x := r
		if r.State != Capturing {
			continue
		}
		switch x.Sent(x.Way, cancelled) {
		case SentGone:
			gone = true
		case SentEnds:
			x.State = Ended
		case SentGoesOn:
			x.GoOn()
		case SentStays:
		}
		if !x.Dropped {
			out = append(out, x)
		}
	}
	x, y, z := r, r, r
	if x.Resume() == ResumeGoesOn {
		x.GoOn()
	}
	switch y.Drop() {
	case DropComing, DropNow:
		gone = true
	default:
		out = append(out, y)
	}
	if z.Cancel() == EndStill {
		z.State = Ended
	}
	w := r
	w.Arrive()
	if out = append(out, x, z, w); r.State == Staged {
		out = append(out, Rank{State: Running})
	}
	return out, gone
}

// TestAllThatMayBecome goes through every rank that there can be, by whatever is said to it in whatever order: none waits for a way that nobody begins, or stops for another than it goes, and each can end, or go.
func TestAllThatMayBecome(t *testing.T) {
	seen := map[Rank]bool{}
	goes := map[Rank][]Rank{}
	ends := map[Rank]bool{}
	todo := []Rank{{State: Ready}, {State: Running}, {State: Expected}}
	for len(todo) > 0 {
		r := todo[0]
		todo = todo[1:]
		if seen[r] {
			continue
		}
		seen[r] = true
		next, gone := after(r)
		goes[r], ends[r] = next, gone || r.State == Ended
		todo = append(todo, next...)
		require.True(t, r.Next == "" || r.State == Capturing && (r.Freeze == "" || r.Freeze == r.Next), "%+v", r)
		require.True(t, !r.Dropped || r.State == Capturing, "%+v", r)
		switch r.State {
		case Running:
			require.True(t, r.Freeze == "" || r.Freeze == r.Way, "%+v", r)
		case Capturing:
			require.True(t, r.Freeze == "" || r.Freeze == r.Way || r.Freeze == r.Next, "%+v", r)
			require.NotEmpty(t, r.Way, "%+v", r)
		case Frozen:
			require.NotEmpty(t, r.Freeze, "%+v", r)
			require.Equal(t, r.Way, r.Freeze, "%+v", r)
		default:
		}
	}
	for grown := true; grown; {
		grown = false
		for r, next := range goes {
			for _, n := range next {
				if !ends[r] && ends[n] {
					ends[r], grown = true, true
				}
			}
		}
	}
	for r := range seen {
		require.True(t, ends[r], "%+v", r)
	}
	require.Greater(t, len(seen), 20)
}
