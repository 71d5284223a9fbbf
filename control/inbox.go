package control

import (
	"maps"
	"slices"
	"sync"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/control/steps"
	"github.com/godwit-run/godwit/fsm"
	"github.com/godwit-run/godwit/internal/notify"
)

// maxReported bounds the apps that one host may report of; a worker holds no more.
const maxReported = 16_384

// inbox holds what each host last reported of each app, and which apps have had news that the duties have not looked at.
// Statuses in it are immutable. Only what came over a host's present session counts; which one that is the sessions know, and
// they learn of a new one, or of a host's end, through the inbox only, so that neither knows of one without the other.
type inbox struct {
	sessions *sessions
	changed  notify.Broadcast
	news     notify.Broadcast // also of what only takeReports acts on

	mu     sync.Mutex // guards the fields below; the sessions' own lock may be taken under it
	byHost map[fsm.HostID]map[fsm.AppID]*apiv1.AppStatus
	byApp  map[fsm.AppID]map[fsm.HostID]*apiv1.AppStatus
	fresh  map[fsm.AppID]bool
}

func newInbox(sessions *sessions) *inbox {
	return &inbox{
		sessions: sessions, byHost: map[fsm.HostID]map[fsm.AppID]*apiv1.AppStatus{},
		byApp: map[fsm.AppID]map[fsm.HostID]*apiv1.AppStatus{}, fresh: map[fsm.AppID]bool{},
	}
}

// watch is a channel that is closed at the next change, but for those that putNews makes.
func (b *inbox) watch() <-chan struct{} { return b.changed.Watch() }

// watchNews is a channel that is closed at the next change.
func (b *inbox) watchNews() <-chan struct{} { return b.news.Watch() }

// signal wakes the duties.
func (b *inbox) signal() {
	b.news.Wake()
	b.changed.Wake()
}

// open makes a new session its host's only one, and what comes with it all that the host has reported.
// It says no if the host is just being called lost.
func (b *inbox) open(s *session, apps []*apiv1.AppStatus) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.sessions.add(s) {
		return false
	}
	b.clear(s.host)
	for _, st := range apps {
		b.store(s.host, st)
	}
	b.signal()
	return true
}

// put stores a report that came over s.
func (b *inbox) put(s *session, st *apiv1.AppStatus) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.sessions.current(s) {
		b.store(s.host, st)
		b.signal()
	}
}

// putNews is put for a report of which nobody makes anything but takeReports: most of short programs. The other duties find it when they look.
func (b *inbox) putNews(s *session, st *apiv1.AppStatus) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.sessions.current(s) {
		b.store(s.host, st)
		b.news.Wake()
	}
}

// store is put for callers that hold mu.
func (b *inbox) store(host fsm.HostID, st *apiv1.AppStatus) {
	id := fsm.AppID(st.App)
	reports := b.byHost[host]
	if reports == nil {
		reports = map[fsm.AppID]*apiv1.AppStatus{}
		b.byHost[host] = reports
	}
	if _, known := reports[id]; !known && len(reports) >= maxReported {
		return
	}
	reports[id] = st
	if b.byApp[id] == nil {
		b.byApp[id] = map[fsm.HostID]*apiv1.AppStatus{}
	}
	b.byApp[id][host] = st
	b.fresh[id] = true
}

// clear forgets what a host reported. Holds mu.
func (b *inbox) clear(host fsm.HostID) {
	for id := range b.byHost[host] {
		b.drop(id, host)
	}
	delete(b.byHost, host)
}

// drop forgets what a host reported of an app, but in byHost. Holds mu.
func (b *inbox) drop(id fsm.AppID, host fsm.HostID) {
	delete(b.byApp[id], host)
	if len(b.byApp[id]) == 0 {
		delete(b.byApp, id)
		delete(b.fresh, id)
	}
}

// endHost ends the session of a host's incarnation, and forgets what it reported. Where another incarnation has a session
// already, it changes nothing.
func (b *inbox) endHost(host fsm.HostID, incarnation string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.sessions.endOf(host, incarnation) {
		b.clear(host)
	}
}

// forgetApp forgets what is reported of an app that is over.
func (b *inbox) forgetApp(id fsm.AppID) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for host := range b.byApp[id] {
		delete(b.byHost[host], id)
	}
	delete(b.byApp, id)
	delete(b.fresh, id)
}

// takeFresh returns the apps with news, and takes them as looked at.
func (b *inbox) takeFresh() []fsm.AppID {
	b.mu.Lock()
	defer b.mu.Unlock()
	ids := slices.Collect(maps.Keys(b.fresh))
	clear(b.fresh)
	return ids
}

// again has an app looked at again at the next look; it wakes nobody.
func (b *inbox) again(id fsm.AppID) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.byApp[id] != nil {
		b.fresh[id] = true
	}
}

// ofApp is what each host reports of an app.
func (b *inbox) ofApp(id fsm.AppID) map[fsm.HostID]*apiv1.AppStatus {
	b.mu.Lock()
	defer b.mu.Unlock()
	return maps.Clone(b.byApp[id])
}

// report is what a host last said of an app; nil: nothing.
func (b *inbox) report(host fsm.HostID, id fsm.AppID) *apiv1.AppStatus {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.byHost[host][id]
}

// reports is report for one app.
func (b *inbox) reports(id fsm.AppID) steps.Reports {
	return func(host fsm.HostID) *apiv1.AppStatus { return b.report(host, id) }
}
