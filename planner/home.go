package planner

import (
	"cmp"
	"fmt"
	"slices"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/fsm"
)

// HomePlan says where an app's directory is to be.
type HomePlan struct {
	// To is the host that it moves to; empty: it stays for now.
	To fsm.HostID
	// Urgent plans are of homes whose host is to be left. Others can wait.
	Urgent bool
	// Why the home is to be left; empty: it is not.
	Why string
	// Waits is what an urgent move waits for.
	Waits string
}

// MoveHome plans where the directory of a running app goes whose home is to be left: its host drains or goes, or all ranks that were there have moved
// away. Ranks go first. It goes to the host with most of the app's ranks, of those that take new ones, else, if it is urgent, to any that does, the freest
// first: one that has no rank either would be left as well. tries counts those that have failed, which are passed over in turn. A host needs no volumes of the app's for that.
func MoveHome(v *fsm.View, app *apiv1.App, tries int) HomePlan {
	files, id := app.GetFiles(), fsm.AppID(app.GetId())
	phase := fsm.PhaseOf(app)
	if files == nil || files.GetStored() || files.GetTo() != "" || app.GetVerdict() != "" || phase != fsm.Running && phase != fsm.Migrating {
		return HomePlan{}
	}
	home, ok := v.Host(fsm.HostID(files.GetHost()))
	if !ok {
		return HomePlan{}
	}
	plan := HomePlan{}
	switch wish := fsm.WishOf(home); {
	case fsm.ToBeLeft(home):
		plan.Urgent, plan.Why = true, fmt.Sprintf("host %s is %s", home.GetId(), wish)
	case !slices.Contains(app.GetPlacement(), home.GetId()):
		plan.Why = fmt.Sprintf("all ranks have left host %s", home.GetId())
	default:
		return HomePlan{}
	}
	share := v.ShareOf(fsm.HostID(home.GetId()), id)
	switch {
	case share.Ranks > 0:
		plan.Waits = fmt.Sprintf("%d ranks on it are to move first", share.Ranks)
	case app.GetMigrationId() != "":
		plan.Waits = "a migration is under way"
	default:
		if hosts := homesFor(v, id, home, plan.Urgent); len(hosts) > 0 {
			plan.To = hosts[tries%len(hosts)]
		} else {
			plan.Waits = "no other host takes them"
		}
	}
	return plan
}

// homesFor are the hosts that may be an app's home in place of the one that it has, the best first;
// with anywhere those too that have no rank of it, if no other may.
func homesFor(v *fsm.View, app fsm.AppID, home *apiv1.Host, anywhere bool) []fsm.HostID {
	type place struct {
		host  fsm.HostID
		ranks int
	}
	var places []place
	for id, share := range v.HostsOf(app) {
		host, ok := v.Host(id)
		if ok && share.Ranks > 0 && fsm.TakesRanks(host) && host.GetId() != home.GetId() {
			places = append(places, place{id, share.Ranks})
		}
	}
	if len(places) == 0 && anywhere {
		for host := range v.Hosts() {
			if fsm.TakesRanks(host) && host.GetId() != home.GetId() {
				places = append(places, place{fsm.HostID(host.GetId()), fsm.Free(host)})
			}
		}
	}
	slices.SortFunc(places, func(a, b place) int { return cmp.Or(cmp.Compare(b.ranks, a.ranks), cmp.Compare(a.host, b.host)) })
	out := make([]fsm.HostID, len(places))
	for i, p := range places {
		out[i] = p.host
	}
	return out
}
