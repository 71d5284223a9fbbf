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
		live := map[fsm.AppID]bool{}
		for app := range v.Placed() {
			id := fsm.AppID(app.Id)
			live[id] = true
			rec := l.record(v, app)
			old := told[id]
			if old != nil && old.App == app && old.Migration == rec.Migration {
				continue
			}
			told[id] = rec
			l.tell(rec, old)
		}
		for id, old := range told {
			if !live[id] {
				l.tell(l.recordOf(v, id), old)
				delete(told, id)
			}
		}
	}
}

// tell queues a record for the sessions it concerns: hosts named in it or in the one told before it (nil: none), and
// hosts that report something of the app.
func (l *leader) tell(rec, before *apiv1.AppRecord) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for id, s := range l.sessions {
		if _, has := l.reports[id][fsm.AppID(rec.App.Id)]; has || concerns(rec, id) || (before != nil && concerns(before, id)) {
			s.put(rec)
		}
	}
	if rec.Gone || fsm.PhaseOf(rec.App).Terminal() {
		for _, reports := range l.reports {
			delete(reports, fsm.AppID(rec.App.Id))
		}
	}
}

// concerns says whether a host is named in a record.
func concerns(rec *apiv1.AppRecord, host fsm.HostID) bool {
	if slices.Contains(rec.App.Placement, string(host)) {
		return true
	}
	return slices.ContainsFunc(rec.Migration.GetMoves(), func(m *apiv1.Move) bool {
		return m.From == string(host) || m.To == string(host)
	})
}

// record is the committed truth about an app at a view.
func (l *leader) record(v *fsm.View, app *apiv1.App) *apiv1.AppRecord {
	rec := &apiv1.AppRecord{Index: v.Index(), Term: l.term, App: app, Addrs: map[string]string{}}
	if mig, ok := v.PendingMigrationOf(fsm.AppID(app.Id)); ok {
		rec.Migration = mig
	}
	name := func(host string) {
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
