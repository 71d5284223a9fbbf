package control

import (
	"github.com/godwit-run/godwit/fsm"
)

// follower follows the change feed for one duty. It is used by one goroutine.
type follower struct {
	state *fsm.Machine
	next  uint64
	known bool // all before next has been looked at
}

func newFollower(state *fsm.Machine) *follower { return &follower{state: state} }

// look returns a view, and what has changed in it since the last look. all says that everything in the view has to be
// looked at: at the first look, and when the feed does not reach back far enough.
func (f *follower) look() (v *fsm.View, changes []fsm.Change, all bool) {
	v, changes, ok := f.state.Feed().Look(f.next)
	all = !ok || !f.known
	f.next, f.known = v.Index(), true
	if all {
		return v, nil, true
	}
	return v, changes, false
}

// tracker follows the change feed for which apps a duty has to look at. It is used by one goroutine.
type tracker struct {
	feed  *follower
	addrs map[fsm.HostID]string
}

func newTracker(state *fsm.Machine) *tracker {
	return &tracker{feed: newFollower(state), addrs: map[fsm.HostID]string{}}
}

// changed returns a view, and the apps that may look otherwise in it than at the last call: the apps themselves, their
// migrations, or the addresses of their hosts, and of those that hold what they begin from. all says that every app has to be looked at: at the first call, and when the
// feed does not reach back far enough.
func (t *tracker) changed() (v *fsm.View, ids map[fsm.AppID]bool, all bool) {
	v, changes, all := t.feed.look()
	if all {
		return v, t.restart(v), true
	}
	ids = map[fsm.AppID]bool{}
	moved := false
	for _, c := range changes {
		for _, id := range c.Apps {
			ids[id] = true
		}
		for _, id := range c.Migrations {
			if mig, ok := v.Migration(id); ok {
				ids[fsm.AppID(mig.App)] = true
			}
		}
		for _, id := range c.Checkpoints {
			if c, ok := v.Checkpoint(id); ok {
				ids[fsm.AppID(c.App)] = true
			}
		}
		for _, id := range c.Hosts {
			moved = t.host(v, id, ids) || moved
		}
	}
	if moved {
		restored(v, ids)
	}
	return v, ids, false
}

// restored adds the apps that have begun, or begin, from a checkpoint: they may have a part of it, or their files, come from any host. It is one look for all that
// have moved.
func restored(v *fsm.View, ids map[fsm.AppID]bool) {
	for app := range v.Placed() {
		if app.Restore != "" {
			ids[fsm.AppID(app.Id)] = true
		}
	}
}

// host adds the apps on a host that has another address than before, or is there again, or is gone; it says whether it has.
func (t *tracker) host(v *fsm.View, id fsm.HostID, ids map[fsm.AppID]bool) bool {
	addr := addrOf(v, id)
	if t.addrs[id] == addr {
		return false
	}
	if t.addrs[id] = addr; addr == "" {
		delete(t.addrs, id)
	}
	for app := range v.AppsOn(id) {
		ids[fsm.AppID(app.Id)] = true
	}
	return true
}

// addrOf is where a host is reached, as records say it; empty: it is gone.
func addrOf(v *fsm.View, id fsm.HostID) string {
	h, ok := v.Host(id)
	if !ok || fsm.HostStateOf(h).Gone() {
		return ""
	}
	return h.Addr
}

// restart learns the hosts' addresses from a view, and returns its apps.
func (t *tracker) restart(v *fsm.View) map[fsm.AppID]bool {
	clear(t.addrs)
	for h := range v.Hosts() {
		if addr := addrOf(v, fsm.HostID(h.Id)); addr != "" {
			t.addrs[fsm.HostID(h.Id)] = addr
		}
	}
	ids := map[fsm.AppID]bool{}
	for app := range v.Placed() {
		ids[fsm.AppID(app.Id)] = true
	}
	return ids
}
