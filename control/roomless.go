package control

import (
	"maps"
	"sync"
	"time"

	"github.com/godwit-run/godwit/fsm"
	"github.com/godwit-run/godwit/internal/text"
)

// roomless is which hosts could not begin which apps from their checkpoints, for want of room: what this leader was told, for a while. Another one, or a later try, finds out anew. It may
// be used concurrently.
type roomless struct {
	state *fsm.Machine

	mu   sync.Mutex // guards apps
	apps map[fsm.AppID]map[string]noRoom
}

// noRoom is why a host could not begin an app, and until when it is not tried again.
type noRoom struct {
	why   string
	until time.Time
}

func newRoomless(state *fsm.Machine) *roomless {
	return &roomless{state: state, apps: map[fsm.AppID]map[string]noRoom{}}
}

// note has a host not tried by an app until then.
func (r *roomless) note(app fsm.AppID, host fsm.HostID, why string, until time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	v := r.state.View()
	for id := range r.apps { // of which there are few
		if a, ok := v.App(id); !ok || fsm.PhaseOf(a).Terminal() {
			delete(r.apps, id)
		}
	}
	if r.apps[app] == nil {
		r.apps[app] = map[string]noRoom{}
	}
	r.apps[app][string(host)] = noRoom{text.Line(why, maxWhyShown), until}
}

// of is which hosts an app is not to be placed on now.
func (r *roomless) of(app fsm.AppID) map[string]string {
	r.mu.Lock()
	defer r.mu.Unlock()
	out, now := map[string]string{}, time.Now()
	for host, x := range r.apps[app] {
		if now.Before(x.until) {
			out[host] = x.why
		}
	}
	return out
}

// over drops what is over at a time, and says whether there was some: then an app may be placed that waited.
func (r *roomless) over(now time.Time) (some bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for app, hosts := range r.apps {
		maps.DeleteFunc(hosts, func(_ string, x noRoom) bool {
			over := !now.Before(x.until)
			some = some || over
			return over
		})
		if len(hosts) == 0 {
			delete(r.apps, app)
		}
	}
	return some
}
