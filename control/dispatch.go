package control

import (
	"context"
	"maps"
	"slices"
	"time"

	apiv1 "github.com/godwit-run/godwit/api/v1"
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
		rec := d.l.record(v, app)
		if old != nil && maps.Equal(old.Addrs, rec.Addrs) {
			rec.Addrs = old.Addrs // that they are the same is seen at once from now on
		}
		if old != nil && old.App == app && old.Migration == rec.Migration && samePoint(old.Checkpoint, rec.Checkpoint) && maps.Equal(old.Addrs, rec.Addrs) {
			d.told[id] = rec
			return
		}
		ends := old != nil && onlyEnds(rec, old)
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
		d.l.tell(d.l.recordOf(v, id), old)
	}
}

// resting says whether the app's ends were told a moment ago.
func (d *dispatch) resting(id fsm.AppID) bool { return d.now().Before(d.rests[id]) }

// tell queues a record for the sessions that have to hear of it: of the hosts that it, or what it changes of the one told before it
// (nil: none), concerns. Where the app is told anew or is over, hosts that report something of it are told as well. It returns how
// many hosts are concerned.
func (l *leader) tell(rec, before *apiv1.AppRecord) int {
	id := fsm.AppID(rec.App.Id)
	over := rec.Gone || fsm.PhaseOf(rec.App).Terminal()
	hosts := audience(rec, before)
	if over || before == nil || !apiv1.SameLayout(rec, before) {
		for host := range l.inbox.ofApp(id) {
			hosts[host] = true
		}
	}
	for host := range hosts {
		if s := l.sessions.of(host); s != nil {
			s.put(rec)
		}
	}
	if over {
		l.inbox.forgetApp(id)
		return len(hosts)
	}
	l.inbox.again(id) // what was reported is compared with the new state
	return len(hosts)
}

// concernedBy says whether a host has to know of an app: it is in its placement, or in its migration, or has its files.
func concernedBy(v *fsm.View, app *apiv1.App, host fsm.HostID) bool {
	if slices.ContainsFunc(checkpointOf(v, app).GetParts(), func(p *apiv1.CheckpointPart) bool { return p.Host == string(host) }) {
		return true
	}
	if slices.Contains(app.Placement, string(host)) || slices.Contains(app.FilesHosts(), string(host)) {
		return true
	}
	return slices.ContainsFunc(pendingOf(v, app).GetMoves(), func(m *apiv1.Move) bool {
		return m.From == string(host) || m.To == string(host)
	})
}

// appsOn are the apps that have ranks on a host, or slots kept for them.
func appsOn(v *fsm.View, host fsm.HostID) []*apiv1.App {
	var out []*apiv1.App
	for app := range v.AppsOn(host) {
		out = append(out, app)
	}
	return out
}

// pendingOf is the app's migration under way; nil: none.
func pendingOf(v *fsm.View, app *apiv1.App) *apiv1.Migration {
	mig, _ := v.PendingMigrationOf(fsm.AppID(app.Id))
	return mig
}

// record is the committed truth about an app at a view.
func (l *leader) record(v *fsm.View, app *apiv1.App) *apiv1.AppRecord {
	rec := &apiv1.AppRecord{Index: v.Index(), Term: l.term, App: app, Migration: pendingOf(v, app), Addrs: map[string]string{}}
	if fsm.PhaseOf(app).Placed() {
		rec.Checkpoint, rec.Restore = checkpointOf(v, app), restoreOf(v, app)
	}
	name := func(host string) {
		if _, has := rec.Addrs[host]; has {
			return
		}
		if h, ok := v.Host(fsm.HostID(host)); ok && !fsm.HostStateOf(h).Gone() { // nobody answers there, and who waits for that waits long
			rec.Addrs[host] = h.Addr
		}
	}
	for _, h := range app.Placement {
		name(h)
	}
	for _, h := range app.FilesHosts() {
		name(h)
	}
	for _, m := range rec.Migration.GetMoves() {
		name(m.To)
	}
	for _, p := range rec.Checkpoint.GetParts() {
		name(p.Second)
	}
	for _, p := range rec.Restore.GetParts() {
		name(p.Host)
		name(p.Second)
	}
	return rec
}

// recordOf is the record of an app that may be over or unknown.
func (l *leader) recordOf(v *fsm.View, id fsm.AppID) *apiv1.AppRecord {
	if app, ok := v.App(id); ok {
		return l.record(v, app)
	}
	return &apiv1.AppRecord{Index: v.Index(), Term: l.term, App: &apiv1.App{Id: string(id)}, Gone: true}
}
