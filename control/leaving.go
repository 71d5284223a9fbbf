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
	"github.com/godwit-run/godwit/control/steps"
	"github.com/godwit-run/godwit/fsm"
	"github.com/godwit-run/godwit/internal/text"
	"github.com/godwit-run/godwit/planner"
)

const (
	// leavesAtOnce bounds the apps that leave a host at a time: each of them is slower the more there are, and what has left is safe.
	leavesAtOnce = 4
	// leaveAgain is how long it is until an app is tried again whose ranks did not leave, at first, and leaveAgainMost at most.
	leaveAgain, leaveAgainMost = time.Second, 30 * time.Second
)

// leaving has all that is on hosts that are draining, or evicting, leave them: running ranks by migrations, whatever their app's period; directories follow them (homes). What fits nowhere
// stays on a draining host, unless it is forced, and is frozen in time on an evicting one. The log has what is wanted; this only does it. It is used by one goroutine, but for what it says.
type leaving struct {
	l     *leader
	now   func() time.Time
	feed  *follower
	hosts map[fsm.HostID]bool // that are to be left
	apps  map[fsm.AppID]*leaveWatch

	mu    sync.Mutex // guards words
	words map[fsm.HostID]string
}

// leaveWatch is what this leader has tried to have an app's ranks leave.
type leaveWatch struct {
	left  int // ranks that were to leave at the last try
	tries int // in a row that came to nothing
	next  time.Time
	why   string // they stay
}

func (l *leader) newLeaving() *leaving {
	return &leaving{l: l, now: time.Now, feed: newFollower(l.c.state), hosts: map[fsm.HostID]bool{}, apps: map[fsm.AppID]*leaveWatch{}, words: map[fsm.HostID]string{}}
}

// look costs the hosts that have changed, and what is on those that are to be left.
func (x *leaving) look(ctx context.Context) {
	v := x.follow()
	if len(x.hosts) == 0 {
		clear(x.apps)
		return
	}
	now, there := x.now(), map[fsm.AppID]bool{}
	var plans *planner.Leaving // costs all hosts
	for _, host := range x.inOrder(v) {
		id, under, words := fsm.HostID(host.Id), 0, []string(nil)
		apps := appsThere(v, id)
		for _, app := range apps {
			if moves(app) {
				under++
			}
		}
		for _, app := range apps {
			w := x.watch(v, app, there)
			if moves(app) {
				continue
			}
			if under < leavesAtOnce && !now.Before(w.next) {
				if plans == nil {
					plans = planner.NewLeaving(v)
				}
				if x.try(ctx, v, host, app, plans.Plan(app), w, now) {
					under++
					continue
				}
			}
			if w.why != "" {
				words = append(words, w.why)
			}
		}
		x.say(host, len(apps), words)
	}
	for id := range x.apps {
		if !there[id] {
			delete(x.apps, id)
		}
	}
}

// follow brings the hosts that are to be left up to date.
func (x *leaving) follow() *fsm.View {
	v, changes, all := x.feed.look()
	note := func(id fsm.HostID) {
		if host, ok := v.Host(id); ok && fsm.ToBeLeft(host) && v.InUse(id) {
			x.hosts[id] = true
			return
		}
		delete(x.hosts, id)
		x.mu.Lock()
		delete(x.words, id)
		x.mu.Unlock()
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
func (x *leaving) inOrder(v *fsm.View) []*apiv1.Host {
	var out []*apiv1.Host
	for id := range x.hosts {
		if host, ok := v.Host(id); ok {
			out = append(out, host)
		}
	}
	const never = 1 << 62
	until := func(h *apiv1.Host) int64 {
		if h.Deadline == nil {
			return never
		}
		return h.Deadline.AsTime().UnixNano()
	}
	slices.SortFunc(out, func(a, b *apiv1.Host) int { return cmp.Or(cmp.Compare(until(a), until(b)), cmp.Compare(a.Id, b.Id)) })
	return out
}

// appsThere are the apps with ranks on a host, in order of submission.
func appsThere(v *fsm.View, id fsm.HostID) []*apiv1.App {
	var out []*apiv1.App
	for app, share := range v.AppsOn(id) {
		if share.Ranks > 0 {
			out = append(out, app)
		}
	}
	slices.SortFunc(out, fsm.BySubmission)
	return out
}

// moves tells whether something of the app is under way, whose end is waited for.
func moves(app *apiv1.App) bool {
	return app.MigrationId != "" || app.CheckpointId != "" || app.GetFiles().GetTo() != "" && !app.GetFiles().GetStored()
}

// watch is what is known of an app that is to leave: less of it is there than at the last try, and the next may follow at once.
func (x *leaving) watch(v *fsm.View, app *apiv1.App, there map[fsm.AppID]bool) *leaveWatch {
	id := fsm.AppID(app.Id)
	there[id] = true
	w, left := x.apps[id], 0
	for host, share := range v.HostsOf(id) {
		if h, ok := v.Host(host); ok && fsm.ToBeLeft(h) {
			left += share.Ranks
		}
	}
	if w == nil || left != w.left {
		w = &leaveWatch{left: left}
		x.apps[id] = w
	}
	return w
}

// try has an app's ranks leave, and says whether something is under way now.
func (x *leaving) try(ctx context.Context, v *fsm.View, host *apiv1.Host, app *apiv1.App, d planner.Departure, w *leaveWatch, now time.Time) bool {
	w.why = d.Why
	if w.tries > 0 {
		w.why = cmp.Or(w.why, fmt.Sprintf("app %s did not move at %d tries: godwit migrations says why", app.Id, w.tries))
	}
	due := freezeAt(host, app)
	over := due != nil && !now.Before(*due)
	w.next = now.Add(min(leaveAgain<<min(w.tries, 10), leaveAgainMost))
	if due != nil && now.Before(*due) && w.next.After(*due) {
		w.next = *due
	}
	if len(d.Proposal.Moves) > 0 && (!over || w.tries < triesBeforeFreeze) {
		w.tries++
		done := x.l.propose(ctx, "leave "+host.Id+" "+app.Id, func(c *apiv1.Command) { migrationCommand(c, d.Proposal) })
		if done {
			x.l.log.Info("ranks leave a host", "app", app.Id, "host", host.Id, "cause", d.Proposal.Cause, "moves", len(d.Proposal.Moves), "stay", d.Left)
		}
		return done
	}
	return over && x.freeze(ctx, v, host, app, w.why)
}

// triesBeforeFreeze is how many migrations in a row have come to nothing before an app is frozen in their place, when it is time for that.
const triesBeforeFreeze = 1

// freezeAt is from when on what does not leave the host is to be frozen, and, by force, ended if it cannot be: nil is never.
func freezeAt(host *apiv1.Host, app *apiv1.App) *time.Time {
	at := host.WishedAt.AsTime()
	switch {
	case fsm.WishOf(host) == fsm.Evicting && app.Spec.Policy == planner.Spot: // which asks for that at once
	case fsm.WishOf(host) == fsm.Evicting && host.Deadline != nil: // half of the time is for finding it room, and half for its images
		at = at.Add(host.Deadline.AsTime().Sub(at) / 2)
	case !host.Force:
		return nil
	case host.Deadline != nil:
		at = host.Deadline.AsTime()
	}
	return &at
}

// freeze freezes an app that does not leave the host, to wait in the queue; if it cannot be, it is ended by force. It says whether something is under way now.
func (x *leaving) freeze(ctx context.Context, v *fsm.View, host *apiv1.Host, app *apiv1.App, why string) bool {
	if app.Migratable && steps.MayCheckpoint(v, app) {
		done := x.l.proposeStep(ctx, steps.BeginCheckpoint(v, app, newCheckpointID(), steps.CauseFreeze, apiv1.AfterCheckpoint_AFTER_CHECKPOINT_QUEUE))
		if done {
			x.l.log.Info("an app is frozen, for it did not move elsewhere", "app", app.Id, "host", host.Id)
		}
		return done
	}
	if !host.Force || app.Migratable || fsm.PhaseOf(app) != fsm.Running {
		return false
	}
	reason := text.Clean(fmt.Sprintf("host %s is drained by force: %s", host.Id, why), maxReasonBytes)
	return x.l.propose(ctx, "end "+app.Id, func(c *apiv1.Command) {
		c.Op = &apiv1.Command_StopApp{StopApp: &apiv1.StopApp{App: app.Id, Phase: string(fsm.Failed), Reason: reason}}
	})
}

// maxLeavingShown bounds what is said of the apps on one host.
const maxLeavingShown = 2

// say is what is said of a host from now on.
func (x *leaving) say(host *apiv1.Host, apps int, words []string) {
	said := fmt.Sprintf("%d ranks are on it", host.Used)
	if apps == 0 {
		said = "" // directories, of which homesText tells
	} else if len(words) > 0 {
		more := ""
		if n := len(words) - maxLeavingShown; n > 0 {
			more = fmt.Sprintf("; and %d apps more", n)
		}
		said += ": " + strings.Join(words[:min(len(words), maxLeavingShown)], "; ") + more
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.words[fsm.HostID(host.Id)] = said
}

// said is how far a host is that is to be left; empty: nothing is known.
func (x *leaving) said(host fsm.HostID) string {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.words[host]
}
