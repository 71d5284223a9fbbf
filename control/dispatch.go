package control

import (
	"context"
	"slices"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/fsm"
)

// dispatcher queues the record of each app that has changed for the hosts it concerns. Stored values are immutable, so
// a change is another pointer.
func (l *leader) dispatcher() func(context.Context) {
	told := map[fsm.AppID]*apiv1.AppRecord{}
	return func(context.Context) {
		v := l.c.state.View()
		live := 0
		for app := range v.Placed() {
			live++
			id := fsm.AppID(app.Id)
			old := told[id]
			if old != nil && old.App == app && old.Migration == pendingOf(v, app) {
				continue
			}
			rec := l.record(v, app)
			told[id] = rec
			l.tell(rec, old)
		}
		if live == len(told) {
			return
		}
		for id, old := range told {
			if app, ok := v.App(id); !ok || !fsm.PhaseOf(app).Placed() {
				l.tell(l.recordOf(v, id), old)
				delete(told, id)
			}
		}
	}
}

// tell queues a record for the sessions it concerns: hosts named in it or in the one told before it (nil: none), and
// hosts that report something of the app.
func (l *leader) tell(rec, before *apiv1.AppRecord) {
	id := fsm.AppID(rec.App.Id)
	hosts := map[fsm.HostID]bool{}
	for host := range l.inbox.ofApp(id) {
		hosts[host] = true
	}
	for _, r := range []*apiv1.AppRecord{rec, before} {
		for _, host := range r.GetApp().GetPlacement() {
			hosts[fsm.HostID(host)] = true
		}
		for _, m := range r.GetMigration().GetMoves() {
			hosts[fsm.HostID(m.From)], hosts[fsm.HostID(m.To)] = true, true
		}
	}
	for host := range hosts {
		if s := l.sessions.of(host); s != nil {
			s.put(rec)
		}
	}
	if rec.Gone || fsm.PhaseOf(rec.App).Terminal() {
		l.inbox.forgetApp(id)
		return
	}
	l.inbox.again(id) // what was reported is compared with the new state
}

// concernedBy says whether a host has to know of an app: it is in its placement, or in its migration.
func concernedBy(v *fsm.View, app *apiv1.App, host fsm.HostID) bool {
	if slices.Contains(app.Placement, string(host)) {
		return true
	}
	return slices.ContainsFunc(pendingOf(v, app).GetMoves(), func(m *apiv1.Move) bool {
		return m.From == string(host) || m.To == string(host)
	})
}

// appsOn are the placed apps that a host has to know of.
func appsOn(v *fsm.View, host fsm.HostID) []*apiv1.App {
	var out []*apiv1.App
	for app := range v.Placed() {
		if concernedBy(v, app, host) {
			out = append(out, app)
		}
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
	name := func(host string) {
		if _, has := rec.Addrs[host]; has {
			return
		}
		if h, ok := v.Host(fsm.HostID(host)); ok {
			rec.Addrs[host] = h.Addr
		}
	}
	for _, h := range app.Placement {
		name(h)
	}
	for _, m := range rec.Migration.GetMoves() {
		name(m.To)
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
