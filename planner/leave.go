package planner

import (
	"cmp"
	"fmt"
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
// before it as used, and not their sources as free, so that all can be proposed at once. It is for one goroutine.
type Leaving struct {
	view  *fsm.View
	hosts []Host
}

// NewLeaving looks at all hosts of a view.
func NewLeaving(v *fsm.View) *Leaving { return &Leaving{view: v, hosts: hostsOf(v)} }

// Departure is how an app leaves hosts.
type Departure struct {
	// Proposal has the moves; there may be none.
	Proposal Proposal
	// Left is how many of its ranks stay for now on hosts that are to be left, and Why says why. It is empty if none does.
	Left int
	Why  string
}

// Plan moves the app's live ranks off hosts that are to be left: to those where it has most ranks, larger first. What fits nowhere stays. The ranks on other hosts
// stay where they are.
func (l *Leaving) Plan(app *apiv1.App) Departure {
	live := liveRanks(app)
	leaving := func(host string) bool {
		h, ok := l.view.Host(fsm.HostID(host))
		return ok && fsm.ToBeLeft(h)
	}
	req := Request{Kind: KindMigrate, Hosts: offering(l.hosts, app.GetSpec())}
	d := Departure{Proposal: Proposal{App: fsm.AppID(app.GetId()), FromEpoch: app.GetEpoch(), Cause: CauseDrain}}
	away := 0
	for _, r := range live {
		host := app.GetPlacement()[r]
		req.Current = append(req.Current, host)
		if leaving(host) {
			away++
			if h, _ := l.view.Host(fsm.HostID(host)); fsm.WishOf(h) == fsm.Evicting {
				d.Proposal.Cause = CauseEvict
			}
		}
	}
	if away == 0 {
		return d
	}
	if err := movable(app); err != nil {
		d.Left, d.Why = away, err.Error()
		return d
	}
	cs := candidates(req)
	slices.SortFunc(cs, func(a, b candidate) int { return cmp.Or(cmp.Compare(b.own, a.own), largerFirst(a, b)) })
	quotas, free := make([]int, len(cs)), away
	for i, c := range cs {
		if leaving(c.Name) {
			continue
		}
		take := min(free, max(0, c.room-c.own)) // beside those that it has
		quotas[i] = c.own + take
		free -= take
	}
	d.Left = free
	for i, c := range cs { // what fits nowhere
		if leaving(c.Name) {
			quotas[i] = min(c.own, free)
			free -= quotas[i]
		}
	}
	if d.Left > 0 {
		d.Why = fmt.Sprintf("%d of the %d ranks of app %s there have no slot elsewhere", d.Left, away, app.GetId())
	}
	for _, m := range moved(req, cs, quotas).Moves {
		d.Proposal.Moves = append(d.Proposal.Moves, &apiv1.Move{Rank: int32(live[m.Rank]), From: m.From, To: m.To})
		at := slices.IndexFunc(l.hosts, func(h Host) bool { return h.Name == m.To })
		l.hosts[at].Used++
	}
	return d
}
