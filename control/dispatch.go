package control

import (
	"context"
	"maps"
	"time"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/control/steps"
	"github.com/godwit-run/godwit/fsm"
)

const (
	// endsPace is for how long an app's ends rest for each host that they were told to, where those are manyHosts or more: what ends
	// meanwhile is told together. So the ends of one app cost 5,000 records a second at the most, however many ranks it has and
	// however they come, and each host has all of them: told one by one they would be its hosts times its hosts.
	endsPace  = 200 * time.Microsecond
	manyHosts = 100
)

// dispatch is what the dispatcher knows. It is used by one goroutine.
type dispatch struct {
	l     *leader
	apps  *tracker
	now   func() time.Time
	told  map[fsm.AppID]*apiv1.AppRecord
	rests map[fsm.AppID]time.Time // until when ends are not told by themselves
	late  map[fsm.AppID]bool      // has ends that have not been told
}

// dispatcher queues the record of each app that has changed for the hosts it concerns. A look costs what has changed.
// Stored values are immutable, so a change is another pointer.
func (l *leader) dispatcher() func(context.Context) { return l.newDispatch(time.Now).look }

func (l *leader) newDispatch(now func() time.Time) *dispatch {
	return &dispatch{
		l: l, apps: newTracker(l.c.state), now: now, told: map[fsm.AppID]*apiv1.AppRecord{}, rests: map[fsm.AppID]time.Time{}, late: map[fsm.AppID]bool{},
	}
}

func (d *dispatch) look(context.Context) {
	v, ids, all := d.apps.changed()
	if all {
		for id := range d.told {
			ids[id] = true
		}
	}
	for id := range d.late {
		if d.resting(id) {
			continue
		}
		ids[id] = true
		delete(d.late, id)
	}
	for id := range ids {
		d.update(v, id)
	}
}

// update tells of an app what has not been told.
func (d *dispatch) update(v *fsm.View, id fsm.AppID) {
	app, ok := v.App(id)
	old := d.told[id]
	switch {
	case ok && fsm.PhaseOf(app).Placed():
		rec := steps.Record(v, app, d.l.term)
		if old != nil && maps.Equal(old.Addrs, rec.Addrs) {
			rec.Addrs = old.Addrs // that they are the same is seen at once from now on
		}
		if old != nil && steps.SameRecord(rec, old) {
			d.told[id] = rec
			return
		}
		ends := old != nil && steps.OnlyEnds(rec, old)
		if ends && d.resting(id) {
			d.late[id] = true
			d.l.inbox.again(id)
			return
		}
		d.told[id] = rec
		if n := d.l.tell(rec, old); ends && n >= manyHosts {
			d.rests[id] = d.now().Add(time.Duration(n) * endsPace)
		}
	case old != nil || (ok && fsm.PhaseOf(app).Terminal()) || !ok:
		delete(d.told, id)
		delete(d.rests, id)
		delete(d.late, id)
		d.l.tell(steps.RecordOf(v, id, d.l.term), old)
	}
}

// resting says whether the app's ends were told a moment ago.
func (d *dispatch) resting(id fsm.AppID) bool { return d.now().Before(d.rests[id]) }

// tell queues a record for the sessions that have to hear of it: of the hosts that it, or what it changes of the one told before it
// (nil: none), concerns. Where the app is told anew or is over, hosts that report something of it are told as well. It returns how
// many hosts are concerned.
func (l *leader) tell(rec, before *apiv1.AppRecord) int {
	id := fsm.AppID(rec.App.Id)
	hosts := steps.Audience(rec, before)
	if steps.Anew(rec, before) {
		for host := range l.inbox.ofApp(id) {
			hosts[host] = true
		}
	}
	for host := range hosts {
		if s := l.sessions.of(host); s != nil {
			s.put(rec)
		}
	}
	if steps.Over(rec) {
		l.inbox.forgetApp(id)
		return len(hosts)
	}
	l.inbox.again(id) // what was reported is compared with the new state
	return len(hosts)
}
