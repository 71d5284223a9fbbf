package planner

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/fsm"
)

// maxShapes bounds what is remembered of apps: more than may be queued at a time.
const maxShapes = 4 * fsm.MaxLiveApps

// fits knows which apps fit a cluster with nothing on it. What is found holds for all apps of one shape, until a host comes or goes, or
// has other slots: what is placed and what ends does not matter. It may be used concurrently.
type fits struct {
	empty []Host
	slots int

	mu      sync.Mutex // guards the field below, and is held while one app is planned for
	reasons map[shape]string
}

// shape is all of an app that a plan depends on. Rules can be many: an app that has some is told apart by its id.
type shape struct {
	policy, hint, mainHost, tenant string
	volumes, on, spread            string
	asked                          fsm.Place
	size                           int32
	rankMemory                     int64
	oversubscribe                  bool
}

func shapeOf(app *apiv1.App, policy string) shape {
	spec := wish(app, policy)
	if len(spec.GetPlace()) > 0 {
		return shape{asked: fsm.SubmissionOf(app)}
	}
	return shape{
		policy: placesAs(spec.GetPolicy()), hint: spec.GetHint(), mainHost: spec.GetMainHost(), tenant: spec.GetTenant(),
		size: spec.GetSize(), oversubscribe: spec.GetOversubscribe(), volumes: strings.Join(mounted(spec), " "),
		on: strings.Join(spec.GetOn(), "\x00"), spread: spec.GetSpread(), rankMemory: spec.GetMemoryBytes(),
	}
}

// mounted names the volumes that an app mounts, each once, in order.
func mounted(spec *apiv1.AppSpec) []string {
	out := fsm.MountNames(spec)
	slices.Sort(out)
	return slices.Compact(out)
}

// maxOffered bounds the names of volumes in a sentence.
const maxOffered = 8

// offered says which volumes hosts have, and of which of them that they may not be written to, if that is asked for.
func offered(hosts []Host, toWrite bool) string {
	all := map[string]bool{}
	for _, h := range hosts {
		for _, name := range h.Volumes {
			all[name] = true
		}
	}
	var names []string
	for name := range all {
		switch {
		case strings.HasSuffix(name, fsm.WritableVolume):
		case toWrite && !all[name+fsm.WritableVolume]:
			names = append(names, name+" (read-only)")
		default:
			names = append(names, name)
		}
	}
	slices.Sort(names)
	switch {
	case len(names) == 0:
		return "none has any"
	case len(names) > maxOffered:
		return fmt.Sprintf("there are %s and %d more", strings.Join(names[:maxOffered], ", "), len(names)-maxOffered)
	}
	return "there is " + strings.Join(names, ", ")
}

// follow returns what is known of the hosts: f itself, if they are those that it knows.
func (f *fits) follow(hosts []Host) *fits {
	empty := emptied(hosts)
	if f != nil && slices.EqualFunc(f.empty, empty, func(a, b Host) bool {
		return a.Name == b.Name && a.Slots == b.Slots && a.Memory == b.Memory && a.RankMemory == b.RankMemory && a.Speed == b.Speed && a.Evicting == b.Evicting && a.Why == b.Why && slices.Equal(a.Volumes, b.Volumes) && maps.Equal(a.Labels, b.Labels)
	}) {
		return f
	}
	return &fits{empty: empty, slots: slotsOf(empty), reasons: make(map[shape]string)}
}

// never says why an app, by the policy of those that name none, would not fit the hosts even if nothing were on them; it is empty if it would.
func (f *fits) never(app *apiv1.App, policy string) string {
	spec := wish(app, policy)
	if plain(spec) && spec.GetMemoryBytes() == 0 && !spec.GetOversubscribe() && int(spec.GetSize()) <= f.slots {
		return ""
	}
	s := shapeOf(app, policy)
	f.mu.Lock()
	defer f.mu.Unlock()
	reason, ok := f.reasons[s]
	if !ok {
		reason = f.plan(app, policy)
		if len(f.reasons) == maxShapes {
			clear(f.reasons)
		}
		f.reasons[s] = reason
	}
	return reason
}

func (f *fits) plan(app *apiv1.App, policy string) string {
	spec := wish(app, policy)
	plan, err := placeApp(app, f.empty, policy)
	switch {
	case err == nil && plan.Outcome != Placed && len(spec.GetMounts()) > 0 && slotsOf(offering(f.empty, spec)) == 0:
		var asked []string
		toWrite := false
		for _, name := range mounted(spec) {
			asked = append(asked, fsm.VolumeText(name))
			toWrite = toWrite || strings.HasSuffix(name, fsm.WritableVolume)
		}
		return fmt.Sprintf("no host that takes ranks has volume %s: %s, and a worker offers one with --volume NAME=DIR", strings.Join(asked, " and volume "), offered(f.empty, toWrite))
	case err != nil:
		return "cannot be placed: " + err.Error()
	case plan.Outcome == Placed:
		return ""
	case len(spec.GetPlace()) > 0:
		return "cannot be placed as asked for: " + plan.Reason // names the hosts; they may join yet, or others be named
	case int(app.GetSize()) > f.slots:
		return fmt.Sprintf("needs %d slots; the cluster has %d", app.GetSize(), f.slots)
	case spec.GetMemoryBytes() > 0 && int(app.GetSize()) > roomFor(f.empty, spec.GetMemoryBytes()):
		return fmt.Sprintf("needs %s; the cluster has memory and slots for %d of them with nothing else on it%s", slotsAnd(int(app.GetSize()), spec.GetMemoryBytes()), roomFor(f.empty, spec.GetMemoryBytes()), tooSmall(f.empty, spec.GetMemoryBytes()))
	}
	return "does not fit the empty cluster: " + plan.Reason
}

// tooSmall names hosts that give no rank so much memory, to be put behind why an app does not fit.
func tooSmall(hosts []Host, rank int64) string {
	var named []string
	for _, h := range hosts {
		if !h.Evicting && h.memory().TooLittleFor(rank) {
			if len(named) == maxReasonsNamed {
				named = append(named, "others")
				break
			}
			named = append(named, h.Name)
		}
	}
	if len(named) == 0 {
		return ""
	}
	return fmt.Sprintf(" (less for a rank, by --memory-limit of their workers, give: %s)", strings.Join(named, ", "))
}

// stuck is never, but for an app that fits the hosts as they are.
func (f *fits) stuck(app *apiv1.App, hosts []Host, policy string) string {
	never := f.never(app, policy)
	if never != "" && fuller(wish(app, policy)) {
		if plan, err := placeApp(app, hosts, policy); err == nil && plan.Outcome == Placed {
			return ""
		}
	}
	return never
}

// try places an app on the hosts as they are. never tells why it would not fit them even if nothing were on them.
func (f *fits) try(app *apiv1.App, hosts []Host, policy string) (plan Plan, never string) {
	never = f.never(app, policy)
	if never != "" && !fuller(app.GetSpec()) {
		return Plan{Outcome: NotEnoughSlots, Reason: never}, never
	}
	plan, err := placeApp(app, hosts, policy)
	if err == nil && plan.Outcome == Placed {
		return plan, ""
	}
	return plan, never
}

// fuller reports whether an app may fit hosts that have something on them though it would not fit them empty: by hints that go by how
// much of each is free.
func fuller(spec *apiv1.AppSpec) bool {
	return spec.GetHint() == NeverAlone || spec.GetHint() == Underfull
}
