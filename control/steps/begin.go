package steps

import (
	"hash/fnv"
	"maps"
	"slices"
	"strings"
	"time"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/fsm"
)

// Causes of checkpoints.
const (
	CausePeriod = "period" // the app's period is over
	CauseAsked  = "manual" // somebody has asked for it
	CauseFreeze = "freeze" // somebody wants the app's ranks to end with it
)

// What was tried in vain is tried again later each time: each try has ranks stop.
const (
	vainPause    = 15 * time.Second
	maxVainPause = 10 * time.Minute
)

// Period is how often an app wants a checkpoint; not more than 0: never.
func Period(app *apiv1.App) time.Duration {
	return time.Duration(app.Spec.CheckpointPeriod * float64(time.Second))
}

// NextCheckpoint is how long after a checkpoint of an app has been begun the next is due.
func NextCheckpoint(v *fsm.View, app *apiv1.App) time.Duration {
	return nextAfter(Period(app), AbortedSince(v, app))
}

// nextAfter is how long after a checkpoint the next is due, of which so many in a row were aborted.
func nextAfter(period time.Duration, vain int) time.Duration {
	if vain == 0 {
		return period
	}
	return max(period, VainPause(vain+1))
}

// VainPause is how long it is until what has ranks stop is tried again that came to nothing so many times in a row.
func VainPause(vain int) time.Duration { return min(maxVainPause, vainPause<<min(max(0, vain-1), 10)) }

// AbortedSince is how many checkpoints of the app have been aborted since one was complete: others may have more room.
func AbortedSince(v *fsm.View, app *apiv1.App) (n int) {
	for c := range v.CheckpointsOf(fsm.AppID(app.Id)) {
		switch c.Phase {
		case apiv1.CheckpointAborted:
			n++
		case apiv1.CheckpointComplete:
			n = 0
		}
	}
	return n
}

// MayCheckpoint says whether a checkpoint of the app could be begun now.
func MayCheckpoint(v *fsm.View, app *apiv1.App) bool {
	return fsm.PhaseOf(app) == fsm.Running && app.Verdict == "" && app.MigrationId == "" && app.CheckpointId == "" && app.GetFiles().GetTo() == "" &&
		v.FeatureLevel() >= oneEntryLevel
}

// BeginCheckpoint begins a checkpoint of an app, whose id the caller has made. then is what becomes of the app with it.
func BeginCheckpoint(v *fsm.View, app *apiv1.App, id fsm.CheckpointID, cause string, then apiv1.AfterCheckpoint) *Step {
	return &Step{What: "checkpoint " + app.Id, Command: &apiv1.Command{Op: &apiv1.Command_BeginCheckpoint{BeginCheckpoint: begin(v, app, id, cause, then, AbortedSince(v, app))}}}
}

// begin is BeginCheckpoint of an app of which so many checkpoints in a row were aborted.
func begin(v *fsm.View, app *apiv1.App, id fsm.CheckpointID, cause string, then apiv1.AfterCheckpoint, vain int) *apiv1.BeginCheckpoint {
	return &apiv1.BeginCheckpoint{
		Id: string(id), App: app.Id, Epoch: app.Epoch, Cause: cause, To: app.Spec.CheckpointTo, Parts: seconds(v, app, vain), Then: then,
	}
}

// Alone is a host that will be gone, and would alone hold what it makes of the checkpoint that a step begins, or with others only that are gone no later; empty: there is
// none, or an object store has it as well.
func Alone(v *fsm.View, begin *Step) string {
	op := begin.Command.GetBeginCheckpoint()
	if op.To != "" {
		return ""
	}
	for _, p := range op.Parts {
		by := goes(v, p.Host)
		if by == nil {
			continue
		}
		if until := goes(v, p.Second); p.Second == "" || until != nil && !until.After(*by) {
			return p.Host
		}
	}
	return ""
}

// goes is when a host that is being evicted will be gone; nil: it is not, or nobody says when.
func goes(v *fsm.View, id string) (at *time.Time) {
	host, _ := v.Host(fsm.HostID(id))
	for _, w := range fsm.WishesOf(host) {
		if by := w.GetDeadline(); fsm.Wish(w.Wish) == fsm.Evicting && by != nil && (at == nil || by.AsTime().Before(*at)) {
			t := by.AsTime()
			at = &t
		}
	}
	return at
}

// seconds chooses for each host of an app another one that holds its part as well: another one of the app's, if there is one, for images are needed where its ranks
// may run; the same as ever, as long as it is there, for it has what has not changed.
func seconds(v *fsm.View, app *apiv1.App, vain int) []*apiv1.CheckpointPart {
	own := map[string]bool{}
	for _, h := range app.Placement {
		own[h] = true
	}
	for _, h := range app.FilesHosts() {
		own[h] = true
	}
	hosts := slices.Sorted(maps.Keys(own))
	ready := holders(v, hosts, own, vain > 0, func(h *apiv1.Host) bool { return !fsm.ToBeLeft(h) })
	only := ""                                                                                 // the one that stays
	if len(ready) < 2 && !slices.ContainsFunc(ready, func(h string) bool { return !own[h] }) { // those that are to be left are better than none
		only = strings.Join(ready, "")
		ready = holders(v, hosts, own, vain > 0, func(*apiv1.Host) bool { return true })
	}
	before := map[string]string{}
	if last, ok := v.Checkpoint(fsm.CheckpointID(app.LastCheckpoint)); ok {
		for _, p := range last.Parts {
			before[p.Host] = p.Second
		}
	}
	var parts []*apiv1.CheckpointPart
	for i, h := range hosts {
		second := before[h]
		if only != "" && only != h {
			second = only
		} else if vain > 0 || second == "" || second == h || !slices.Contains(ready, second) {
			second = choose(ready, h, app.Id, i, vain)
		}
		parts = append(parts, &apiv1.CheckpointPart{Host: h, Second: second})
	}
	return parts
}

// holders are the hosts that may be given a part to hold: the app's own, and the others if there are too few of them, or if they are wanted.
func holders(v *fsm.View, hosts []string, own map[string]bool, others bool, stays func(*apiv1.Host) bool) []string {
	may := func(id string) bool {
		h, ok := v.Host(fsm.HostID(id))
		return ok && fsm.HostStateOf(h) == fsm.Ready && fsm.WhyUnfit(h) == "" && stays(h)
	}
	ready := slices.DeleteFunc(slices.Clone(hosts), func(h string) bool { return !may(h) })
	if len(ready) < 2 || others {
		for h := range v.Hosts() {
			if !own[h.Id] && may(h.Id) {
				ready = append(ready, h.Id)
			}
		}
	}
	return ready
}

// choose takes the host behind h in a ring of hosts, or any by the app's name if h is none of them; each time that was in vain another one. "": there is no other.
func choose(ready []string, h, app string, i, vain int) string {
	others := slices.DeleteFunc(slices.Clone(ready), func(o string) bool { return o == h })
	if len(others) == 0 {
		return ""
	}
	if at := slices.Index(ready, h); at >= 0 && len(ready) == len(others)+1 && slices.IsSorted(ready) {
		return ready[(at+1+vain%len(others))%len(ready)]
	}
	sum := fnv.New32a()
	_, _ = sum.Write([]byte(app)) // it does not fail
	return others[(int(sum.Sum32()%1024)+i+vain)%len(others)]
}
