package planner

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/fsm"
)

// Causes of migrations off hosts that are to be left.
const (
	CauseDrain = "drain"
	CauseEvict = "evict"
)

// Leaving plans how ranks leave the hosts of one view that are to be left: those that are draining, and those that are evicting. Each plan counts the targets of those
// before it as used, and not their sources as free, so that all can be proposed at once. A plan costs the app's own hosts and those that have room. It is for one goroutine.
type Leaving struct {
	view  *fsm.View
	hosts []Host
	at    map[string]int // the place of each in hosts
	room  []int          // the places of those that take ranks, some without room for more by now
}

// NewLeaving looks at all hosts of a view.
func NewLeaving(v *fsm.View) *Leaving {
	l := &Leaving{view: v, hosts: hostsOf(v), at: map[string]int{}}
	for i, h := range l.hosts {
		l.at[h.Name] = i
		if !h.Evicting && h.Used < h.Slots {
			l.room = append(l.room, i)
		}
	}
	return l
}

// Departure is how an app leaves hosts.
type Departure struct {
	// Proposal has the moves; there may be none.
	Proposal Proposal
	// Left is how many of its ranks stay for now on hosts that are to be left, and Why says why. It is empty if none does.
	Left int
	Why  string
	// Fits says of an app whose ranks do not move now that other hosts have room for all that are to leave. Short is that they stay for want of room alone.
	Fits, Short bool
}

// Plan moves the app's live ranks off hosts that are to be left: to those where it has most ranks, larger first. What fits nowhere stays, rather on a host that goes
// later. The ranks on other hosts stay where they are.
func (l *Leaving) Plan(app *apiv1.App) Departure {
	live := liveRanks(app)
	d := Departure{Proposal: Proposal{App: fsm.AppID(app.GetId()), FromEpoch: app.GetEpoch(), Cause: CauseDrain}}
	req, until := Request{Kind: KindMigrate, RankMemory: fsm.RankMemory(app)}, map[string]int64{} // when the hosts that are to be left are
	away := 0
	for _, r := range live {
		host := app.GetPlacement()[r]
		req.Current = append(req.Current, host)
		if _, known := until[host]; !known {
			if h, ok := l.view.Host(fsm.HostID(host)); ok && fsm.ToBeLeft(h) {
				until[host] = goesAt(h)
				if fsm.WishOf(h) == fsm.Evicting {
					d.Proposal.Cause = CauseEvict
				}
			}
		}
		if _, leaves := until[host]; leaves {
			away++
		}
	}
	if away == 0 {
		return d
	}
	req.Hosts = offering(l.hostsFor(req.Current), app.GetSpec())
	cs := candidates(req)
	slices.SortFunc(cs, func(a, b candidate) int { return cmp.Or(cmp.Compare(b.own, a.own), largerFirst(a, b)) })
	quotas, stay := leaveQuotas(cs, until, away)
	if err := l.mayLeave(app); err != nil {
		d.Left, d.Why, d.Fits = away, err.Error(), stay == 0
		return d
	}
	if d.Left = stay; stay > 0 {
		d.Short = true
		d.Why = fmt.Sprintf("%s of app %s there %s no slot%s elsewhere", ofRanks(stay, away), app.GetId(), have(stay), orMemory(req.RankMemory))
	}
	for _, m := range moved(req, cs, quotas).Moves {
		d.Proposal.Moves = append(d.Proposal.Moves, &apiv1.Move{Rank: int32(live[m.Rank]), From: m.From, To: m.To})
		l.hosts[l.at[m.To]].take(1, req.RankMemory)
	}
	return d
}

// hostsFor are the hosts that have room, and those that the ranks are on now.
func (l *Leaving) hostsFor(current []string) []Host {
	var out []Host
	seen := map[int]bool{}
	l.room = slices.DeleteFunc(l.room, func(i int) bool { return l.hosts[i].Used >= l.hosts[i].Slots })
	for _, i := range l.room {
		seen[i] = true
		out = append(out, l.hosts[i])
	}
	for _, host := range current {
		if i, ok := l.at[host]; ok && !seen[i] {
			seen[i] = true
			out = append(out, l.hosts[i])
		}
	}
	return out
}

// leaveQuotas is how many ranks each candidate has when those that can have left the hosts of until, and how many of away stay there: on those that go last.
func leaveQuotas(cs []candidate, until map[string]int64, away int) (quotas []int, stay int) {
	quotas, stay = make([]int, len(cs)), away
	var leaving []int
	for i, c := range cs {
		if _, leaves := until[c.Name]; leaves {
			leaving = append(leaving, i)
			continue
		}
		take := min(stay, max(0, c.room-c.own)) // beside those that it has
		quotas[i] = c.own + take
		stay -= take
	}
	slices.SortStableFunc(leaving, func(i, j int) int { return cmp.Compare(until[cs[j].Name], until[cs[i].Name]) })
	left := stay
	for _, i := range leaving {
		quotas[i] = min(cs[i].own, left)
		left -= quotas[i]
	}
	return quotas, stay
}

// mayLeave says why no rank of the app may be moved now; nil if some may. Unlike a move for another reason this one does not wait for a checkpoint whose ranks go on
// already: how long its images are on their way nobody knows, and the log takes the migration.
func (l *Leaving) mayLeave(app *apiv1.App) error {
	if _, held := l.view.HoldingCheckpoint(fsm.AppID(app.GetId())); held || app.GetCheckpointId() == "" {
		return movable(app)
	}
	return movable(&apiv1.App{
		Id: app.GetId(), Phase: app.GetPhase(), Verdict: app.GetVerdict(), Migratable: app.GetMigratable(), MigrationId: app.GetMigrationId(), Files: app.GetFiles(),
	})
}

// goesAt orders hosts that are to be left by when that is: those of which nobody says it last.
func goesAt(h *apiv1.Host) int64 {
	if until := fsm.LeftBy(h); until != nil {
		return until.AsTime().UnixNano()
	}
	return math.MaxInt64
}

// ofRanks is some of so many ranks, in words.
func ofRanks(some, all int) string {
	switch {
	case all == 1:
		return "the one rank"
	case some == all:
		return "all ranks"
	}
	return fmt.Sprintf("%d of the %d ranks", some, all)
}

func have(n int) string {
	if n == 1 {
		return "has"
	}
	return "have"
}
