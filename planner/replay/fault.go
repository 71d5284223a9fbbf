package replay

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/fsm"
	"github.com/godwit-run/godwit/planner"
)

// Spot faults: each minute a quarter of the hosts, chosen at random, has notice that it restarts in a minute. So from the second
// minute on a quarter of them has notice at any time.
const (
	faultPeriod = time.Minute
	faultShare  = 4 // one host of so many
)

// maxRounds is how many rounds of faults may go by without the end of a job: a week.
const maxRounds = 7 * 24 * 60

// leavesAtOnce bounds the apps that leave a host at a time, as in the leader.
const leavesAtOnce = 4

// faults are the hosts that have notice now.
type faults struct {
	dice        *rand.Rand
	hosts       []string
	told, until time.Duration // since when they are to be left, and by when
	looked      time.Duration // when they had the last look
	leave       bool          // something may be on them that is to leave
	rounds      int           // since a job has ended
}

// inUse tells whether something is on hosts that have notice.
func (f *faults) inUse(v *fsm.View) bool {
	return slices.ContainsFunc(f.hosts, func(h string) bool { return v.InUse(fsm.HostID(h)) })
}

// fault restarts the hosts whose time is over, and gives notice to others.
func (r *run) fault() error {
	for _, host := range r.faults.hosts {
		if err := r.restart(host); err != nil {
			return err
		}
	}
	f := &r.faults
	f.hosts, f.leave = nil, false
	if f.rounds++; f.rounds > maxRounds {
		return fmt.Errorf("no job has ended in %d rounds of faults: job %s cannot run on hosts that fail so often", maxRounds, r.waiting())
	}
	chosen := f.dice.Perm(r.trace.Hosts)[:r.trace.Hosts/faultShare]
	slices.Sort(chosen)
	for _, i := range chosen {
		f.hosts = append(f.hosts, hostName(i))
	}
	r.clock.add(r.clock.now+faultPeriod, hostsFault, nil)
	if heed := r.rules.Heed; heed > 0 && heed < faultPeriod {
		r.clock.add(r.clock.now+faultPeriod-heed, noticeHeeded, nil)
		return nil
	}
	return r.heed(faultPeriod)
}

// heed gives the hosts that will fail no more ranks, and has theirs leave.
func (r *run) heed(in time.Duration) error {
	f := &r.faults
	f.told, f.until, f.leave = r.clock.now, r.clock.now+in, true
	f.looked = f.told - leavePeriod // the first is due at once
	var cmds []*apiv1.Command
	for _, host := range f.hosts {
		cmds = append(cmds, &apiv1.Command{Op: &apiv1.Command_SetHostWish{SetHostWish: &apiv1.SetHostWish{
			Host: host, Wish: string(fsm.Evicting), Deadline: r.cluster.at(in),
		}}})
	}
	return r.cluster.apply(cmds...)
}

// restart takes what is on a host, which is there again at once.
func (r *run) restart(host string) error {
	v := r.cluster.m.View()
	var hit []*task
	for app := range v.AppsOn(fsm.HostID(host)) {
		hit = append(hit, r.byID[fsm.AppID(app.GetId())])
	}
	err := r.cluster.apply(&apiv1.Command{Op: &apiv1.Command_SetHostState{SetHostState: &apiv1.SetHostState{
		Host: host, Incarnation: r.cluster.incarnation(host), State: string(fsm.Lost),
	}}})
	if err != nil {
		return err
	}
	for _, t := range hit {
		if err := r.lost(t); err != nil {
			return err
		}
	}
	return r.cluster.apply(r.cluster.register(host, r.trace.Slots),
		&apiv1.Command{Op: &apiv1.Command_SetHostWish{SetHostWish: &apiv1.SetHostWish{Host: host, Wish: string(fsm.Schedulable)}}})
}

// lost looks at what has become of a job that had something on a host that is gone.
func (r *run) lost(t *task) error {
	app, err := r.cluster.app(t.id)
	if err != nil {
		return err
	}
	if fsm.PhaseOf(app) == fsm.Running && app.GetVerdict() == "" { // it was only to move there
		t.advance(r.clock.now)
		r.goOn(t)
		return nil
	}
	if fsm.PhaseOf(app).Placed() {
		if err := r.cluster.apply(endedOn(app, fsm.ExitFailed)...); err != nil {
			return err
		}
		if app, err = r.cluster.app(t.id); err != nil {
			return err
		}
	}
	if r.counts.Restarts++; fsm.PhaseOf(app).Terminal() {
		r.counts.Failed++
		r.over(t)
		return nil
	}
	if t.done = 0; app.GetRestore() != "" {
		t.done = t.saved
	}
	r.unplaced(t)
	return nil
}

// leave has what is on hosts with notice leave them, as the leader does: by migrations, and what fits nowhere is frozen, by the
// policy spot at once, else when half of the time is over.
func (r *run) leave() error {
	v := r.cluster.follow()
	r.faults.looked = r.clock.now
	over := r.rules.Policy == planner.Spot || r.clock.now >= r.faults.told+(r.faults.until-r.faults.told)/2
	var plans *planner.Leaving
	for _, host := range r.faults.hosts {
		under := 0
		var apps []*apiv1.App
		for app, s := range v.AppsOn(fsm.HostID(host)) {
			if s.Ranks == 0 {
				continue
			}
			apps = append(apps, app)
			if r.byID[fsm.AppID(app.GetId())].step != noStep {
				under++
			}
		}
		slices.SortFunc(apps, fsm.BySubmission)
		for _, app := range apps {
			t := r.byID[fsm.AppID(app.GetId())]
			if under >= leavesAtOnce || t.step != noStep {
				continue
			}
			if plans == nil {
				plans = planner.NewLeaving(v)
			}
			var err error
			switch d := plans.Plan(app); {
			case len(d.Proposal.Moves) > 0:
				err = r.propose(d.Proposal)
			case over:
				err = r.freeze(t, app)
			default:
				continue
			}
			if under++; err != nil {
				return err
			}
		}
	}
	return nil
}
