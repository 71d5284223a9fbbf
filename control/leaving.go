package control

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/fsm"
	"github.com/godwit-run/godwit/planner"
)

const (
	// leavesAtOnce bounds the apps that leave a host at a time: each of them is slower the more there are, and what has left is safe.
	leavesAtOnce = 4
	// leaveAgain is how long it is until an app is tried again that did not leave, at first, and leaveAgainMost at most.
	leaveAgain, leaveAgainMost = time.Second, 30 * time.Second
	// freezeNear is for how long before apps are frozen that do not leave no checkpoint of their periods is begun: what it still brings elsewhere then would hold up the freeze.
	freezeNear = time.Minute
)

// leaving has all that is on hosts that are draining, or evicting, leave them: running ranks by migrations, whatever their app's period; directories follow them (homes). What fits nowhere
// stays on a draining host, unless it is forced, and is frozen in time on an evicting one. The log has what is wanted; this only does it. It is used by one goroutine, but for what it says.
type leaving struct {
	l      *leader
	now    func() time.Time
	feed   *follower
	hosts  map[fsm.HostID]bool // that are to be left
	apps   map[fsm.AppID]*leaveWatch
	gained time.Time // when a host that takes ranks, and has room, has changed last

	mu    sync.Mutex // guards the fields below
	words map[fsm.HostID]hostWords
	soon  map[fsm.AppID]bool // that are to be frozen soon, or are being
}

// hostWords is what is said of a host.
type hostWords struct {
	ranks int32
	apps  int
	why   []string // they stay, of the first few
	more  int      // apps of which something is to be said
}

func (l *leader) newLeaving() *leaving {
	return &leaving{
		l: l, now: time.Now, feed: newFollower(l.c.state), hosts: map[fsm.HostID]bool{}, apps: map[fsm.AppID]*leaveWatch{}, words: map[fsm.HostID]hostWords{}, soon: map[fsm.AppID]bool{},
	}
}

// leftHost is a host that is to be left.
type leftHost struct {
	*apiv1.Host

	wishes []*apiv1.HostWish
	by     *time.Time // when it is to be left; nil: nobody says
	under  int        // apps that are leaving it
}

// leaver is an app of which something is on hosts that are to be left.
type leaver struct {
	*apiv1.App

	hosts []*leftHost // those that go first first
	parts int         // ranks and directories that are to leave
}

// look costs the hosts that have changed, and what is on those that are to be left.
func (x *leaving) look(ctx context.Context) {
	v := x.follow()
	if len(x.hosts) == 0 {
		clear(x.apps)
		x.say(nil, nil)
		return
	}
	now := x.now()
	hosts := x.inOrder(v)
	leavers := leaversOf(v, hosts)
	var plans *planner.Leaving // costs all hosts
	there := map[fsm.AppID]bool{}
	for _, a := range leavers {
		w := x.watch(v, a, now)
		there[fsm.AppID(a.Id)] = true
		if w.ready(now, x.gained) && !moves(v, a.App) && slices.ContainsFunc(a.hosts, func(h *leftHost) bool { return h.under < leavesAtOnce }) {
			if plans == nil {
				plans = planner.NewLeaving(v)
			}
			if x.try(ctx, v, a, plans.Plan(a.App), w, now) {
				a.isUnder()
			}
		}
	}
	for id := range x.apps {
		if !there[id] {
			delete(x.apps, id)
		}
	}
	x.say(hosts, leavers)
}

// follow brings the hosts that are to be left up to date.
func (x *leaving) follow() *fsm.View {
	v, changes, all := x.feed.look()
	note := func(id fsm.HostID) {
		host, ok := v.Host(id)
		if ok && fsm.Free(host) > 0 {
			x.gained = x.now()
		}
		if ok && fsm.ToBeLeft(host) && v.InUse(id) {
			x.hosts[id] = true
			return
		}
		delete(x.hosts, id)
	}
	if all {
		clear(x.hosts)
		for host := range v.Hosts() {
			note(fsm.HostID(host.Id))
		}
	}
	for _, c := range changes {
		for _, id := range c.Hosts {
			note(id)
		}
	}
	return v
}

// inOrder are the hosts that are to be left, those first that go first.
func (x *leaving) inOrder(v *fsm.View) []*leftHost {
	var out []*leftHost
	for id := range x.hosts {
		if host, ok := v.Host(id); ok {
			h := &leftHost{Host: host, wishes: fsm.WishesOf(host)}
			if by := fsm.LeftBy(host); by != nil {
				at := by.AsTime()
				h.by = &at
			}
			out = append(out, h)
		}
	}
	slices.SortFunc(out, func(a, b *leftHost) int {
		switch {
		case a.by != nil && b.by != nil:
			return cmp.Or(a.by.Compare(*b.by), cmp.Compare(a.Id, b.Id))
		case a.by != nil:
			return -1
		case b.by != nil:
			return 1
		}
		return cmp.Compare(a.Id, b.Id)
	})
	return out
}

// leaversOf are the apps of which something is on hosts that are to be left: those on hosts that go first first, each of them in order of submission.
func leaversOf(v *fsm.View, hosts []*leftHost) []*leaver {
	var out []*leaver
	known := map[string]*leaver{}
	for _, h := range hosts {
		begin := len(out)
		for app, share := range v.AppsOn(fsm.HostID(h.Id)) {
			a := known[app.Id]
			if a == nil {
				a = &leaver{App: app}
				known[app.Id], out = a, append(out, a)
			}
			a.hosts, a.parts = append(a.hosts, h), a.parts+share.Ranks+share.Files
		}
		slices.SortFunc(out[begin:], func(a, b *leaver) int { return fsm.BySubmission(a.App, b.App) })
	}
	for _, a := range out {
		if moves(v, a.App) {
			a.isUnder()
		}
	}
	return out
}

// isUnder notes that the app is leaving.
func (a *leaver) isUnder() {
	for _, h := range a.hosts {
		h.under++
	}
}

// moves tells whether something of the app is under way, whose end is waited for.
func moves(v *fsm.View, app *apiv1.App) bool {
	_, held := v.HoldingCheckpoint(fsm.AppID(app.Id))
	return held || app.MigrationId != "" || app.GetFiles().GetTo() != "" && !app.GetFiles().GetStored()
}

// maxLeavingShown bounds what is said of the apps on one host.
const maxLeavingShown = 2

// say is what is said of hosts from now on, and which apps are to be frozen soon.
func (x *leaving) say(hosts []*leftHost, leavers []*leaver) {
	words, soon, now := make(map[fsm.HostID]hostWords, len(hosts)), map[fsm.AppID]bool{}, x.now()
	for _, h := range hosts {
		words[fsm.HostID(h.Id)] = hostWords{ranks: h.Used}
	}
	for _, a := range leavers {
		w := x.apps[fsm.AppID(a.Id)]
		if w.freezesBy(now.Add(freezeNear)) {
			soon[fsm.AppID(a.Id)] = true
		}
		why := w.why()
		for _, h := range a.hosts {
			x := words[fsm.HostID(h.Id)]
			switch x.apps++; {
			case why == "":
			case len(x.why) < maxLeavingShown:
				x.why = append(x.why, why)
			default:
				x.more++
			}
			words[fsm.HostID(h.Id)] = x
		}
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.words, x.soon = words, soon
}

// numbered is so many of something, in words.
func numbered(n int, one, more string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, more)
}

// said is how far a host is that is to be left; empty: nothing is known.
func (x *leaving) said(host fsm.HostID) string {
	x.mu.Lock()
	w := x.words[host]
	x.mu.Unlock()
	why := strings.Join(w.why, "; ")
	if w.more > 0 {
		why += "; and " + numbered(w.more, "app more", "apps more")
	}
	if w.ranks == 0 { // but directories
		return why
	}
	return strings.TrimSuffix(numbered(int(w.ranks), "rank is on it", "ranks are on it")+": "+why, ": ")
}

// freezesBy says whether an app may be frozen by a time: it is due then, not held back for the freezes that were in vain, and somebody who stays could hold its images.
func (w *leaveWatch) freezesBy(at time.Time) bool {
	return w.due != nil && !at.Before(*w.due) && !at.Before(w.rest) && !w.alone
}

// freezesSoon says whether an app is to be frozen soon, or is being, since it does not leave a host.
func (x *leaving) freezesSoon(app fsm.AppID) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.soon[app]
}
