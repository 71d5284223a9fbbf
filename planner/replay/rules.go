package replay

import (
	"fmt"
	"math"
	"time"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/fsm"
	"github.com/godwit-run/godwit/planner"
)

// Schedulers by name. Godwit has a policy besides.
const (
	Batch  = "batch"
	Slurm  = "slurm"
	Granny = "granny"
	Godwit = "godwit"
)

// Rules are what schedulers differ in. All place strictly in order of submission, and the head of the queue holds up all behind it.
type Rules struct {
	// Scheduler is one of those above; Policy is that of the apps, for Godwit.
	Scheduler, Policy string
	// Whole: a job gets whole, empty hosts.
	Whole bool
	// Period is how often all running jobs are looked at, whether they should move; 0: never.
	Period time.Duration
	// Leaves: ranks leave hosts that have notice, or are frozen. Else they run until their hosts go, and then from the beginning.
	Leaves bool
	// WhatIf are further rules: granny's reserve, and what godwit might have.
	WhatIf
}

// RulesOf are the rules of a scheduler. period is that of Godwit's apps. spot: hosts are to fail.
func RulesOf(scheduler, policy string, period time.Duration, spot bool) (Rules, error) {
	r := Rules{Scheduler: scheduler}
	switch scheduler {
	case Batch:
		r.Whole = true
	case Slurm:
	case Granny: // which looks at every loop, and by its spot policy where hosts fail
		r.Reserve, r.Period, r.Leaves = 0.05, time.Second, true
		if r.Policy = planner.BinPack; spot {
			r.Policy = planner.Spot
		}
	case Godwit:
		r.Policy, r.Period, r.Leaves = policy, period, true
		if _, err := planner.Decide(planner.Request{Kind: planner.KindNew, Policy: policy, Ranks: 1}); err != nil { // the queue would pass over all apps
			return r, err
		}
	default:
		return r, fmt.Errorf("scheduler %q is not one of %s, %s, %s, %s", scheduler, Batch, Slurm, Granny, Godwit)
	}
	return r, nil
}

// calm are the rules where no host fails.
func (r Rules) calm() Rules {
	if r.Scheduler == Granny {
		r.Policy = planner.BinPack
	}
	return r
}

// Name is what tables call them.
func (r *Rules) Name() string {
	if r.Scheduler == Godwit {
		return r.Scheduler + "/" + r.Policy + r.words()
	}
	return r.Scheduler
}

// spec is what a job is submitted as.
func (r *Rules) spec(ranks int) *apiv1.AppSpec {
	return &apiv1.AppSpec{
		ModuleDigest: digest, Size: int32(ranks), Policy: r.Policy, MigrationCheckPeriod: r.Period.Seconds(),
		Restarts: fsm.MaxRestarts, HostLossRestarts: fsm.MaxRestarts,
	}
}

// MaxPeriod is the longest time between two looks at running jobs.
const MaxPeriod = fsm.MaxPeriodSeconds * time.Second

// placedTogether bounds the placements of one look, as in the leader.
const placedTogether = 64

// next finds which queued apps are to be placed, and where.
func (r *run) next(v *fsm.View) []planner.Next {
	if v.Queued() == 0 {
		return nil
	}
	if !r.rules.Whole && r.rules.Reserve == 0 && !r.rules.Snug {
		return r.cluster.board.Next(v, placedTogether)
	}
	var head *apiv1.App
	for app := range v.Queue() {
		if v.WhyAway(app) == "" {
			head = app
			break
		}
	}
	if head == nil {
		return nil
	}
	size := int(head.GetSize())
	if r.rules.Whole {
		return r.whole(v, head, size)
	}
	reserve := int(math.Floor(r.rules.Reserve * float64(r.trace.slots())))
	if r.cluster.rooms.total-size < reserve && len(r.placed) > 0 {
		return nil
	}
	if !r.rules.Snug {
		return r.cluster.board.Next(v, 1)
	}
	placement := snugly(v, size)
	if room := v.PlacingRoom(); placement == nil || !room.Take(head) {
		return nil
	}
	return []planner.Next{{App: head, Placement: placement}}
}

// whole places an app on hosts with nothing on them, as few as have the slots.
func (r *run) whole(v *fsm.View, app *apiv1.App, size int) []planner.Next {
	empty := r.cluster.rooms.empty(r.trace.Slots)
	if len(empty)*r.trace.Slots < size {
		return nil
	}
	if room := v.PlacingRoom(); !room.Take(app) {
		return nil
	}
	next := planner.Next{App: app}
	for i := range size {
		next.Placement = append(next.Placement, r.cluster.rooms.names[empty[i/r.trace.Slots]])
	}
	return []planner.Next{next}
}
