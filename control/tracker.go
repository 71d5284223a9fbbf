package control

import (
	"github.com/godwit-run/godwit/fsm"
)

// tracker follows the change feed for one duty: which apps it has to look at. It is used by one goroutine.
type tracker struct {
	state *fsm.Machine
	next  uint64
	known bool // all before next has been looked at
	addrs map[fsm.HostID]string
}

func newTracker(state *fsm.Machine) *tracker {
	return &tracker{state: state, addrs: map[fsm.HostID]string{}}
}

// changed returns a view, and the apps that may look otherwise in it than at the last call: the apps themselves, their
// migrations, or the addresses of their hosts. all says that every app has to be looked at: at the first call, and when the
// feed does not reach back far enough.
func (t *tracker) changed() (v *fsm.View, ids map[fsm.AppID]bool, all bool) {
	if !t.known {
		return t.restart()
	}
	changes, next, ok := t.state.Feed().Since(t.next)
	if !ok {
		return t.restart()
	}
	t.next = next
	v = t.state.View()
	ids = map[fsm.AppID]bool{}
	for _, c := range changes {
		for _, id := range c.Apps {
			ids[id] = true
		}
		for _, id := range c.Migrations {
			if mig, ok := v.Migration(id); ok {
				ids[fsm.AppID(mig.App)] = true
			}
		}
		for _, id := range c.Hosts {
			t.host(v, id, ids)
		}
	}
	return v, ids, false
}

// host adds the apps on a host that has another address than before.
func (t *tracker) host(v *fsm.View, id fsm.HostID, ids map[fsm.AppID]bool) {
	h, ok := v.Host(id)
	if !ok {
		delete(t.addrs, id)
		return
	}
	if t.addrs[id] == h.Addr {
		return
	}
	t.addrs[id] = h.Addr
	for app := range v.AppsOn(id) {
		ids[fsm.AppID(app.Id)] = true
	}
}

func (t *tracker) restart() (v *fsm.View, ids map[fsm.AppID]bool, all bool) {
	v = t.state.View()
	t.next, t.known = v.Index(), true
	clear(t.addrs)
	for h := range v.Hosts() {
		t.addrs[fsm.HostID(h.Id)] = h.Addr
	}
	ids = map[fsm.AppID]bool{}
	for app := range v.Placed() {
		ids[fsm.AppID(app.Id)] = true
	}
	return v, ids, true
}
