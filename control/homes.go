package control

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/fsm"
	"github.com/godwit-run/godwit/internal/text"
	"github.com/godwit-run/godwit/planner"
)

const (
	// homeRest is for how long an app's ranks have left its home before that follows them: they may be on their way back.
	homeRest = 3 * time.Second
	// homeAgain is how long it is until a move is tried again that came to nothing, at first, and homeAgainMost at most.
	homeAgain     = time.Second
	homeAgainMost = time.Minute
	// homeTries is how many moves may come to nothing that are not urgent: the app stands still for each. From then on it stays, unless it is to leave.
	homeTries = 5
	// homeSilence is how long a new home may say nothing of a move. From then on it has a patience of its own.
	homeSilence = 30 * time.Second
)

// homes has the directories of apps leave hosts that are to be left. It is used by one goroutine, but for what it says.
type homes struct {
	l    *leader
	feed *follower
	apps map[fsm.AppID]*homeWatch // whose home is to be left, or moves

	mu    sync.Mutex // guards words
	words map[fsm.AppID]string
}

// homeWatch is what this leader has seen of an app's home.
type homeWatch struct {
	host  string
	since time.Time // since when it is to be left
	tries int       // moves of it that were begun
	next  time.Time // not before then
	move  uint64    // the last that was seen under way
	to    string
	began time.Time // when this leader saw it first
	heard time.Time // when its target had said something of it last, or it began
	fault string    // why it came to nothing
}

func (l *leader) newHomes() *homes {
	return &homes{l: l, feed: newFollower(l.c.state), apps: map[fsm.AppID]*homeWatch{}, words: map[fsm.AppID]string{}}
}

// look costs the apps that have changed, those on hosts that are to be left, and those whose home is to be.
func (h *homes) look(ctx context.Context) {
	v, ids := h.changed()
	if !v.Mounts() {
		return
	}
	for id := range h.apps {
		ids[id] = true
	}
	now := time.Now()
	for id := range ids {
		app, ok := v.App(id)
		if !ok || !h.follow(ctx, v, app, now) {
			delete(h.apps, id)
			h.say(id, "")
		}
	}
}

// changed are the apps that may have a home to be left since the last look.
func (h *homes) changed() (*fsm.View, map[fsm.AppID]bool) {
	v, changes, all := h.feed.look()
	ids := map[fsm.AppID]bool{}
	if all {
		for app := range v.Placed() {
			ids[fsm.AppID(app.Id)] = true
		}
	}
	for _, c := range changes {
		for _, id := range c.Apps {
			ids[id] = true
		}
		for _, id := range c.Hosts {
			if host, ok := v.Host(id); !ok || fsm.WishOf(host) == fsm.Schedulable {
				continue
			}
			for app, share := range v.AppsOn(id) {
				if share.Files > 0 {
					ids[fsm.AppID(app.Id)] = true
				}
			}
		}
	}
	return v, ids
}

// follow does the next step of one home, and says whether it is to be watched on.
func (h *homes) follow(ctx context.Context, v *fsm.View, app *apiv1.App, now time.Time) bool {
	id, files := fsm.AppID(app.Id), app.GetFiles()
	if files == nil || files.Stored || !fsm.PhaseOf(app).Placed() {
		return false
	}
	w := h.apps[id]
	if w == nil || w.host != files.Host {
		w = &homeWatch{host: files.Host, since: now}
	}
	plan := planner.MoveHome(v, app, w.tries)
	if files.To == "" && plan.Why == "" {
		return false
	}
	h.apps[id] = w
	if files.To != "" {
		h.watchMove(ctx, app, w, now)
		return true
	}
	h.say(id, planText(plan, w))
	if plan.To == "" || now.Before(w.next) || !plan.Urgent && (w.tries >= homeTries || now.Sub(w.since) < homeRest) {
		return true
	}
	op := &apiv1.ChangeFiles{App: app.Id, Host: string(plan.To), What: apiv1.ChangeFiles_WHAT_MOVES, Move: rand.Uint64() | 1} //nolint:gosec // a number, no secret
	w.next = now.Add(min(homeAgain<<min(w.tries, 10), homeAgainMost))
	if h.l.propose(ctx, "move the files of "+app.Id, func(c *apiv1.Command) { c.Op = &apiv1.Command_ChangeFiles{ChangeFiles: op} }) {
		w.tries++
		h.l.log.Info("an app's files move", "app", app.Id, "from", files.Host, "to", plan.To, "why", plan.Why)
	}
	return true
}

// watchMove ends a move that its target has given up, or says nothing of.
func (h *homes) watchMove(ctx context.Context, app *apiv1.App, w *homeWatch, now time.Time) {
	files := app.Files
	if w.move != files.Move {
		w.move, w.to, w.began, w.heard, w.fault = files.Move, files.To, now, now, ""
	}
	st := h.l.inbox.report(fsm.HostID(files.To), fsm.AppID(app.Id)).GetFiles()
	if st.GetMove() == files.Move && st.GetFault() == "" {
		w.heard = now
	}
	h.say(fsm.AppID(app.Id), "")
	switch {
	case st.GetMove() == files.Move && st.GetFault() != "":
		w.fault = text.Clean(st.Fault, maxReasonBytes)
	case now.Sub(w.heard) > homeSilence:
		w.fault = fmt.Sprintf("host %s says nothing of it", files.To)
	default:
		return
	}
	op := &apiv1.ChangeFiles{App: app.Id, Host: files.To, What: apiv1.ChangeFiles_WHAT_STAYS, Move: files.Move, Reason: w.fault}
	if h.l.propose(ctx, "files of "+app.Id+" stay", func(c *apiv1.Command) { c.Op = &apiv1.Command_ChangeFiles{ChangeFiles: op} }) {
		h.l.log.Warn("an app's files stay where they were", "app", app.Id, "host", files.Host, "instead_of", files.To, "why", w.fault)
		// It has held up the ranks for as long as it took: it is tried again after as long a rest at least.
		w.next = now.Add(max(min(homeAgain<<min(w.tries, 10), homeAgainMost), now.Sub(w.began)))
	}
}

// planText says why an app's files are to leave their home, and have not.
func planText(plan planner.HomePlan, w *homeWatch) string {
	switch {
	case w.fault != "" && !plan.Urgent && w.tries >= homeTries:
		return fmt.Sprintf("they stay, after %d moves that came to nothing, the last to %s: %s", w.tries, w.to, w.fault)
	case w.fault != "":
		return "they did not move to " + w.to + ": " + w.fault
	case plan.Urgent && plan.Waits != "":
		return plan.Why + ", and they wait: " + plan.Waits
	}
	return ""
}

// say is what is said of an app's home from now on; empty: nothing.
func (h *homes) say(id fsm.AppID, words string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if words == "" {
		delete(h.words, id)
		return
	}
	h.words[id] = words
}

// said is what is said of it.
func (h *homes) said(id fsm.AppID) string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.words[id]
}
