// Package replay replays traces of jobs in virtual time: the real planner and the real replicated state decide, and how long a job
// takes is a model. It measures what comes of it under several schedulers. It is pure: the same trace and seed give the same result.
package replay

import (
	"cmp"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/fsm"
	"github.com/godwit-run/godwit/planner"
)

// Config is how a trace is replayed.
type Config struct {
	// Seed decides which hosts fail.
	Seed uint64
	// Spot: a quarter of the hosts fails each minute.
	Spot bool
	// StepCost is how long a job stands still for a migration, for being frozen, and for being thawed.
	StepCost time.Duration
	// Stop is asked now and then whether the run is to end, with an error; nil: it is not.
	Stop func() error
	// mostLive bounds the jobs that are submitted and have not ended; 0: as the state does. Tests have few.
	mostLive int
	// few is up to how many hosts the planner looks at all of them for each plan; 0: fewHosts. Tests have others.
	few int
}

// between is the time between two submissions in a closed loop.
const between = time.Second

// run replays a trace by the rules of one scheduler.
type run struct {
	cfg     Config
	trace   *Trace
	rules   Rules
	clock   agenda
	cluster *cluster
	tasks   []*task
	byID    map[fsm.AppID]*task
	placed  []*task // that hold hosts, in order of submission
	gauge   gauge
	counts  Counts

	due, sent, ended int           // jobs whose time has come, that are submitted, that have ended
	submitting       bool          // the next submission is foreseen
	lastPlaced       time.Duration // for a closed loop
	faults           faults
	checking         bool // a look of the checker is foreseen
	lastCheck        time.Duration
	checked          uint64 // index of the view at that
	leaving          bool   // a look at hosts that are to be left is foreseen
}

// Run replays a trace from its first job to the end of its last one. The same seed gives the same result.
func Run(t *Trace, rules Rules, cfg Config) (*Result, error) {
	r := &run{cfg: cfg, trace: t, rules: rules, byID: make(map[fsm.AppID]*task, len(t.Jobs)), lastPlaced: -between, lastCheck: -rules.Period}
	var err error
	if r.cluster, err = newCluster(t, &r.clock); err != nil {
		return nil, err
	}
	for i := range t.Jobs {
		j := newTask(i, &t.Jobs[i])
		r.tasks = append(r.tasks, j)
		r.byID[j.id] = j
	}
	if cfg.Spot {
		r.faults.dice = rand.New(rand.NewPCG(cfg.Seed, 2)) //nolint:gosec // which hosts fail, no secret
		r.clock.add(faultPeriod, hostsFault, nil)
	}
	if err := r.settle(); err != nil {
		return nil, err
	}
	for i := 0; r.ended < len(r.tasks); i++ {
		if err := r.stopped(i); err != nil {
			return nil, err
		}
		e, ok := r.clock.next(false)
		for ; ok; e, ok = r.clock.next(true) {
			if err := r.happens(e); err != nil {
				return nil, err
			}
		}
		if err := r.settle(); err != nil {
			return nil, err
		}
		if len(r.clock.heap) == 0 && r.ended < len(r.tasks) {
			return nil, errors.New("nothing happens any more, and jobs wait")
		}
	}
	if err := fsm.CheckInvariants(r.cluster.m.View()); err != nil {
		return nil, err
	}
	for alarm := range r.cluster.m.View().Alarms() {
		return nil, fmt.Errorf("the state has an alarm: %s", alarm.GetWhat())
	}
	return r.result(), nil
}

// stopEvery is after how many moments it is asked whether to end.
const stopEvery = 256

func (r *run) stopped(moments int) error {
	if r.cfg.Stop == nil || moments%stopEvery != 0 {
		return nil
	}
	return r.cfg.Stop()
}

func (r *run) happens(e event) error {
	if e.job != nil && e.job.stamp != e.stamp {
		return nil
	}
	switch e.kind {
	case jobDone:
		return r.finish(e.job)
	case stepDone:
		return r.stepDone(e.job)
	case hostsFault:
		return r.fault()
	case jobSubmit:
		r.submitting = false
		if !r.trace.Closed || r.cluster.m.View().Queued() == 0 {
			r.due++
		}
	case noticeHeeded:
		return r.heed(r.rules.Heed)
	case checkDue:
		r.checking = false
		return r.check()
	case leaveDue:
		r.leaving = false
		return r.leave()
	}
	return nil
}

// settle does what follows from what has happened at this moment.
func (r *run) settle() error {
	if err := r.submit(); err != nil {
		return err
	}
	for {
		next := r.next(r.cluster.follow())
		for _, n := range next {
			if err := r.start(n); err != nil {
				return err
			}
		}
		if len(next) == 0 {
			break
		}
	}
	r.foreseeSubmit()
	r.foreseeLooks()
	return nil
}

// submit submits the jobs whose time has come, as many as the state has room for.
func (r *run) submit() error {
	var cmds []*apiv1.Command
	most := cmp.Or(r.cfg.mostLive, fsm.MaxLiveApps)
	for r.sent < r.due && r.sent-r.ended < most {
		j := r.tasks[r.sent]
		j.submitted = r.clock.now
		if !r.trace.Closed {
			if j.submitted = j.Submit; j.Submit < r.clock.now {
				r.counts.Held++
			}
		}
		cmds = append(cmds, &apiv1.Command{Op: &apiv1.Command_SubmitApp{SubmitApp: &apiv1.SubmitApp{Id: string(j.id), Spec: r.rules.spec(j.Ranks)}}})
		r.sent++
	}
	return r.cluster.apply(cmds...)
}

// foreseeSubmit plans the next submission: at its time, or, in a closed loop, when all before it have hosts.
func (r *run) foreseeSubmit() {
	if r.submitting || r.due == len(r.tasks) || r.trace.Closed && r.cluster.m.View().Queued() > 0 {
		return
	}
	at := r.lastPlaced + between
	if !r.trace.Closed {
		at = r.tasks[r.due].Submit
	}
	r.submitting = true
	r.clock.add(at, jobSubmit, nil)
}

// start has an app placed, and its ranks run.
func (r *run) start(n planner.Next) error {
	t := r.byID[fsm.AppID(n.App.GetId())]
	cmds := []*apiv1.Command{{Op: &apiv1.Command_PlaceApp{PlaceApp: fsm.NewPlaceApp(t.id, n.Placement)}}}
	hosts := slices.Compact(slices.Sorted(slices.Values(n.Placement)))
	for _, host := range hosts {
		cmds = append(cmds, &apiv1.Command{Op: &apiv1.Command_HostStarted{HostStarted: &apiv1.HostStarted{App: string(t.id), Host: host, Epoch: n.App.GetEpoch() + 1}}})
	}
	if err := r.cluster.apply(cmds...); err != nil {
		return err
	}
	if r.lastPlaced = r.clock.now; t.begun < 0 {
		t.begun = r.clock.now
	}
	at, _ := slices.BinarySearchFunc(r.placed, t, byID)
	r.placed = slices.Insert(r.placed, at, t)
	r.moved(t)
	t.since = r.clock.now
	if n.App.GetRestore() != "" {
		r.take(t, thawing, "")
		return nil
	}
	r.goOn(t)
	return nil
}

func byID(a, b *task) int { return cmp.Compare(a.id, b.id) }

// moved takes a task's placement as the state has it now.
func (r *run) moved(t *task) {
	r.gauge.change(r.clock.now, -t.ranks(), -t.links)
	t.shares = sharesOf(r.cluster.m.View(), t.id)
	t.links, t.speed = linksOf(t.shares, t.Ranks), r.cluster.slowest(t.shares)
	r.gauge.change(r.clock.now, t.ranks(), t.links)
	if !t.placed() {
		at, ok := slices.BinarySearchFunc(r.placed, t, byID)
		if ok {
			r.placed = slices.Delete(r.placed, at, at+1)
		}
	}
}

// goOn has a placed task make headway from now on.
func (r *run) goOn(t *task) {
	t.step, t.stepID, t.since = noStep, "", r.clock.now
	t.stamp++
	r.clock.add(r.clock.now+t.left(), jobDone, t)
}

// take has a task stand still for a step.
func (r *run) take(t *task, s step, id string) {
	t.advance(r.clock.now)
	t.step, t.stepID = s, id
	t.stamp++
	r.clock.add(r.clock.now+r.cfg.StepCost, stepDone, t)
}

// finish ends a job.
func (r *run) finish(t *task) error {
	app, err := r.cluster.app(t.id)
	if err != nil {
		return err
	}
	cmds := endedOn(app, 0)
	if t.lastCheckpoint != "" {
		cmds = append(cmds, removeCheckpoint(t.lastCheckpoint))
	}
	if err := r.cluster.apply(cmds...); err != nil {
		return err
	}
	r.over(t)
	return nil
}

// over notes that a job has ended.
func (r *run) over(t *task) {
	t.ended, t.done = r.clock.now, 1
	t.stamp++
	r.moved(t)
	r.ended++
	r.faults.rounds = 0
}

// waiting is the first job that has not ended.
func (r *run) waiting() fsm.AppID {
	i := slices.IndexFunc(r.tasks, func(t *task) bool { return t.ended < 0 })
	return r.tasks[i].id
}
