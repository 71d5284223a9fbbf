package fsm

import (
	"bytes"
	"iter"
	"slices"

	iradix "github.com/hashicorp/go-immutable-radix/v2"
	"google.golang.org/protobuf/types/known/timestamppb"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

// Ended apps are indexed by the minute of their end, and within one in the order
// of their places. So those of the last minutes are read in that order, from
// behind a place, by looking into each of these minutes, and at no other app.

// minuteKey is the prefix of what ended in a minute, by the times in the entries.
func minuteKey(minute int64) []byte {
	const sign = 1 << 63 // makes negative minutes sort first
	return orderKey(uint64(minute) ^ sign)
}

func minuteOf(at *timestamppb.Timestamp) int64 { return at.GetSeconds() / 60 }

// endMinuteKey is where the ended app is in that index.
func endMinuteKey(app *apiv1.App) []byte {
	return append(minuteKey(minuteOf(app.GetEndedAt())), SubmissionOf(app).key()...)
}

// minute is one minute's ended apps behind a place; app is the next of them.
type minute struct {
	of  int64
	it  *iradix.Iterator[AppID]
	app *apiv1.App
}

// next goes on to the next app of the minute, if there is one.
func (m *minute) next(v *View) bool {
	prefix := minuteKey(m.of)
	for k, id, ok := m.it.Next(); ok && bytes.HasPrefix(k, prefix); k, id, ok = m.it.Next() {
		if app, ok := v.App(id); ok {
			m.app = app
			return true
		}
	}
	return false
}

// minutesAfter are the minutes from since on in which apps behind the place ended.
func (v *View) minutesAfter(p Place, since *timestamppb.Timestamp) (out []*minute) {
	root := v.endMinutes.Root()
	for from := minuteOf(since); ; from++ {
		it := root.Iterator()
		it.SeekLowerBound(minuteKey(from))
		_, id, ok := it.Next()
		if !ok {
			return out
		}
		first, ok := v.App(id)
		if !ok {
			return out
		}
		from = max(from, minuteOf(first.GetEndedAt()))
		m := &minute{of: from, it: root.Iterator()}
		m.it.SeekLowerBound(append(append(minuteKey(from), p.key()...), 0)) // the first key behind
		if m.next(v) {
			out = append(out, m)
		}
	}
}

// LatelyAfter iterates over the apps behind a place that have not ended, or have in
// the minute of since or later, in the order of their places. It looks at no others.
func (v *View) LatelyAfter(p Place, since *timestamppb.Timestamp) iter.Seq[*apiv1.App] {
	return func(yield func(*apiv1.App) bool) {
		minutes := v.minutesAfter(p, since)
		// ended yields the ended apps before the given one, or all.
		ended := func(before *apiv1.App) bool {
			for {
				first := -1
				for i, m := range minutes {
					if first < 0 || SubmissionOf(m.app).Compare(SubmissionOf(minutes[first].app)) < 0 {
						first = i
					}
				}
				if first < 0 || before != nil && SubmissionOf(minutes[first].app).Compare(SubmissionOf(before)) > 0 {
					return true
				}
				if !yield(minutes[first].app) {
					return false
				}
				if !minutes[first].next(v) {
					minutes = slices.Delete(minutes, first, first+1)
				}
			}
		}
		for app := range v.InFlightAfter(p) {
			if !ended(app) || !yield(app) {
				return
			}
		}
		ended(nil)
	}
}
