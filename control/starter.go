package control

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/fsm"
	"github.com/godwit-run/godwit/internal/text"
)

const (
	// startsEach is how often it is looked which starts are due; each is after a startLooks-th of StartDeadline, so that many starts on many
	// hosts cost little, and when it may have stood still for all of it. A gap of startsGap between looks means that this process did not run: what
	// hosts told meanwhile may still wait to be read.
	startsEach = time.Second
	startLooks = 8
	startsGap  = 5 * time.Second
	// passOver is for how long a host on which a start stood still is given no ranks: long enough that the queue goes elsewhere, and
	// not for ever, for what held it up may be over.
	passOver = 5 * time.Minute
)

// starts are the apps that start, and what was last seen of each host that they wait for. It is used by one goroutine.
type starts struct {
	l    *leader
	feed *tracker
	last time.Time // of the last look
	apps map[fsm.AppID]map[fsm.HostID]*hostStart
	next *schedule[fsm.AppID] // look at each
}

// hostStart is where a host's start of an app stands.
type hostStart struct {
	session *session
	epoch   uint64
	steps   uint64
	files   string // how far the app's directory is, for which its ranks may wait
	since   time.Time
}

// starter stops an app whose start stands still on a host: it makes no progress there for StartDeadline, though the host has its
// lease. It fails, or, where it begins from a checkpoint, runs again from that. That is a wish only: the app has ended when its hosts have ended its ranks, as with every app that is stopped.
func (l *leader) starter() func(context.Context) {
	s := l.newStarts()
	return func(ctx context.Context) {
		if now := time.Now(); now.Sub(s.last) >= startsEach {
			s.look(ctx, now)
		}
	}
}

func (l *leader) newStarts() *starts {
	return &starts{l: l, feed: newTracker(l.c.state), apps: map[fsm.AppID]map[fsm.HostID]*hostStart{}, next: newSchedule[fsm.AppID]()}
}

func (s *starts) look(ctx context.Context, now time.Time) {
	v, ids, all := s.feed.changed()
	if all {
		for id := range s.apps {
			ids[id] = true
		}
	}
	for id := range ids {
		app, ok := v.App(id)
		switch {
		case !ok || fsm.PhaseOf(app) != fsm.Starting || app.Verdict != "":
			delete(s.apps, id)
			s.next.remove(id)
		case s.apps[id] == nil:
			s.apps[id] = map[fsm.HostID]*hostStart{}
			s.next.set(id, now)
		}
	}
	if now.Sub(s.last) > startsGap {
		for _, hosts := range s.apps {
			clear(hosts)
		}
	}
	s.last = now
	bound := s.l.c.cfg.StartDeadline
	for _, id := range s.next.due(now) {
		app, ok := v.App(id)
		if !ok {
			continue
		}
		at := now.Add(max(startsEach, bound/startLooks))
		if over := s.watch(ctx, v, app, now).Add(bound + 1); over.Before(at) {
			at = over
		}
		if soon := now.Add(startsEach); at.Before(soon) {
			at = soon
		}
		s.next.set(id, at)
	}
}

// watch looks at the hosts that the app waits for, and returns since when the one stands still that has done so longest.
func (s *starts) watch(ctx context.Context, v *fsm.View, app *apiv1.App, now time.Time) time.Time {
	first := now
	seen := s.apps[fsm.AppID(app.Id)]
	home := s.l.inbox.report(fsm.HostID(app.GetFiles().GetHost()), fsm.AppID(app.Id)).GetFiles()
	for host, share := range v.HostsOf(fsm.AppID(app.Id)) {
		if _, started := slices.BinarySearch(app.StartedHosts, string(host)); started || share.Ranks == 0 {
			delete(seen, host)
			continue
		}
		is := hostStart{session: s.l.sessions.of(host), epoch: app.Epoch, files: home.GetProgress(), since: now}
		trouble := ""
		if home.GetProgress() != "" { // it comes from a checkpoint
			trouble = home.GetTrouble()
		}
		if st := s.l.inbox.report(host, fsm.AppID(app.Id)); st.GetEpoch() == app.Epoch {
			is.steps, trouble = st.GetStartSteps(), cmp.Or(st.GetStartTrouble(), trouble)
		}
		was := seen[host]
		if was == nil || is.session == nil || was.session != is.session || was.epoch != is.epoch || was.steps != is.steps || was.files != is.files {
			seen[host] = &is // without a session its lease decides
			continue
		}
		switch away := v.WhyAway(app); {
		case trouble != "" && away != "": // its hosts are free while it waits for those that hold it
			s.again(ctx, app, host, away, false)
			return was.since
		case now.Sub(was.since) <= s.l.c.cfg.StartDeadline:
		case app.Restore != "" && trouble != "": // those that hold it are there, and may answer yet; where none of them has it the host says so
			was.since = now
		default:
			s.giveUp(ctx, app, host, was.session, trouble, now)
			return was.since
		}
		if was.since.Before(first) {
			first = was.since
		}
	}
	return first
}

// giveUp stops an app whose start stands still on a host, and has the host passed over: by this leader, in this session. What it saw is a
// guess of its own, and no decision that others have to keep. A host to which others do not give what it needs (trouble) is not passed over.
func (s *starts) giveUp(ctx context.Context, app *apiv1.App, host fsm.HostID, at *session, trouble string, now time.Time) {
	bound := s.l.c.cfg.StartDeadline
	why := fmt.Sprintf("%s did not start its ranks: no progress for %s; godwit hosts says more", host, bound)
	if trouble != "" {
		why = fmt.Sprintf("%s did not start its ranks for %s: %s", host, bound, trouble)
	} else {
		at.setStalled(fmt.Sprintf("it made no progress for %s in the start of app %s; this leader gives it no new ranks for %s from then on, or until its worker has a new session; the next leader may try it sooner: look at its disk and its load",
			bound, app.Id, passOver), now.Add(passOver))
	}
	why = text.Clean(why, maxReasonBytes)
	if app.Restore != "" {
		s.again(ctx, app, host, why, true)
		return
	}
	done := s.l.propose(ctx, "stalled start of "+app.Id, func(c *apiv1.Command) {
		c.Op = &apiv1.Command_StopApp{StopApp: &apiv1.StopApp{App: app.Id, Phase: string(fsm.Failed), Reason: why}}
	})
	if done {
		s.l.log.Warn("an app's start stands still on a host: the app is stopped", "app", app.Id, "host", host, "for", bound)
	}
}

// again has an app that begins from a checkpoint run again from it: in vain, or to wait for it in the queue.
func (s *starts) again(ctx context.Context, app *apiv1.App, host fsm.HostID, why string, inVain bool) {
	done := s.l.propose(ctx, "restart of "+app.Id, func(c *apiv1.Command) {
		c.Op = &apiv1.Command_RestartApp{RestartApp: &apiv1.RestartApp{App: app.Id, Attempt: app.Attempt, Reason: why, FromCheckpoint: true, InVain: inVain}}
	})
	if done {
		s.l.log.Warn("an app's start stands still on a host: it runs again from its checkpoint", "app", app.Id, "host", host, "why", why)
	}
}
