package replay

import (
	"fmt"
	"slices"
	"time"

	"github.com/godwit-run/godwit/fsm"
)

// Trace is what is replayed: jobs, and the cluster that they are submitted to.
type Trace struct {
	Name  string
	Hosts int
	Slots int // of each host
	// Speeds are those of the hosts, in turn: the first host has the first, and the one behind the last has the first again. Empty: all are as fast.
	Speeds []float64
	Jobs   []Job
	// Closed: a job is submitted a second after the one before it was placed. Else each has its time.
	Closed bool
	// TooLarge and Unusable are jobs that are left out: those of more ranks than the cluster has slots or an app may have,
	// and those without a size or a time.
	TooLarge, Unusable int
}

// Bounds of a trace.
const (
	maxJobs    = 1 << 21
	maxSeconds = 100 * 365 * 24 * 3600 // of times in a trace, so that all sums of them can be told
)

// Shape is what a reader is told about the cluster; 0: the trace says.
type Shape struct {
	Hosts, Slots int
	// Penalty is that of jobs of which the trace has the times; nil: that of the locality traces.
	Penalty *float64
	// Workload is what jobs do of which it has sizes only; empty: the trace's name says.
	Workload Workload
}

func (s *Shape) penalty() float64 {
	if s.Penalty == nil {
		return localityPenalty
	}
	return *s.Penalty
}

// check refuses a cluster that cannot be made.
func (t *Trace) check() error {
	switch {
	case t.Hosts < 1 || t.Hosts > fsm.MaxHosts:
		return fmt.Errorf("hosts: %d; 1 to %d are possible (--hosts)", t.Hosts, fsm.MaxHosts)
	case t.Slots < 1 || t.Slots > fsm.MaxSlots:
		return fmt.Errorf("slots: %d; 1 to %d are possible (--slots)", t.Slots, fsm.MaxSlots)
	case len(t.Jobs) == 0:
		return fmt.Errorf("no jobs that can be replayed: %d are too large for %d hosts of %d slots, %d have no size or time", t.TooLarge, t.Hosts, t.Slots, t.Unusable)
	}
	return nil
}

// fits tells whether a job can ever run.
func (t *Trace) fits(ranks int) bool { return ranks <= min(t.Hosts*t.Slots, fsm.MaxAppSize) }

// speed is how fast a host is.
func (t *Trace) speed(host int) float64 {
	if len(t.Speeds) == 0 {
		return 0
	}
	return t.Speeds[host%len(t.Speeds)]
}

// CheckSpeeds refuses speeds that no hosts have.
func CheckSpeeds(speeds []float64) error {
	if len(speeds) > fsm.MaxHosts {
		return fmt.Errorf("%d speeds; at most %d are possible", len(speeds), fsm.MaxHosts)
	}
	for _, s := range speeds {
		if !(s >= fsm.MinSpeed && s <= fsm.MaxSpeed) { // also what is no number
			return fmt.Errorf("speed %v; %v to %v are possible", s, fsm.MinSpeed, float64(fsm.MaxSpeed))
		}
	}
	return nil
}

// slots is how many the cluster has.
func (t *Trace) slots() int { return t.Hosts * t.Slots }

// least is the integral of links of a run that had no job wait for its best placement: no scheduler has less.
func (t *Trace) least() float64 {
	sum := 0.0
	for i := range t.Jobs {
		j := &t.Jobs[i]
		links := leastLinks(j.Ranks, t.Slots)
		sum += float64(float64(links) * j.seconds(links))
	}
	if len(t.Speeds) > 0 { // as if all were on the fastest
		sum /= slices.Max(t.Speeds)
	}
	return sum
}

func secondsToTime(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// Check refuses a shape that no cluster has.
func (s *Shape) Check() error {
	if _, seconds := s.Workload.measured(); s.Workload != "" && seconds == nil {
		return fmt.Errorf("workload %q is not one of %s, %s", s.Workload, Locality, Compute)
	}
	if s.Hosts < 0 || s.Hosts > fsm.MaxHosts {
		return fmt.Errorf("%d hosts; 1 to %d are possible", s.Hosts, fsm.MaxHosts)
	}
	if s.Slots < 0 || s.Slots > fsm.MaxSlots {
		return fmt.Errorf("%d slots of a host; 1 to %d are possible", s.Slots, fsm.MaxSlots)
	}
	return nil
}
