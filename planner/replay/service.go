package replay

import (
	"math"
	"time"
)

// The model of service. How long a job takes depends on where its ranks are, by one number: the share of the pairs of
// its ranks that are not on one host. With all on one host it takes Alone; with the share s it takes Alone x (1 + Penalty x s),
// at every moment anew. So what has been measured of a few placements says what all others take.

// localityPenalty is that of a job that talks all the time: 8 ranks as 4+4, where 16 of 28 pairs are apart, take 1.74 times as
// long as on one host.
const localityPenalty = (1.74 - 1) / (16.0 / 28)

// Workload is what jobs of a trace do that has their sizes only.
type Workload string

// Workloads whose times have been measured.
const (
	// Locality is LAMMPS with a network that it uses a great deal.
	Locality Workload = "locality"
	// Compute is LAMMPS that computes: from 6 ranks on it does not matter where they are.
	Compute Workload = "compute"
)

// measuredSlots is how many slots the hosts had on which they were measured.
const measuredSlots = 8

// measured are the seconds that jobs of 2, 3, ... ranks took, those of more than 8 as 8+k.
func (w Workload) measured() (first int, seconds []float64) {
	switch w {
	case Locality:
		return 2, []float64{519, 358, 279, 307, 265, 255, 228, 450, 530, 530, 590, 650, 710, 710}
	case Compute:
		return 4, []float64{237, 301, 252, 215, 195, 175, 165, 146, 134, 131, 118, 112}
	default:
		return 0, nil
	}
}

// job is a job of this many ranks; ok is false where nobody has measured any.
func (w Workload) job(ranks int) (j Job, ok bool) {
	first, seconds := w.measured()
	if ranks < first || ranks >= first+len(seconds) {
		return Job{}, false
	}
	j = Job{Ranks: ranks, Penalty: localityPenalty}
	if w == Compute && ranks >= 6 {
		j.Penalty = 0
	}
	j.Alone = seconds[ranks-first] / j.factor(leastLinks(ranks, measuredSlots))
	return j, true
}

// Job is one program of a trace.
type Job struct {
	// Submit is when it is submitted; it means nothing in a closed loop.
	Submit time.Duration
	Ranks  int
	// Alone is the seconds that it would take with all ranks on one host.
	Alone float64
	// Penalty is how much longer it takes with every rank on a host of its own, as a share of Alone.
	Penalty float64
}

// seconds is how long the job takes where so many pairs of its ranks are on different hosts.
func (j *Job) seconds(links int) float64 { return j.Alone * j.factor(links) }

// best is the seconds that it takes on hosts of this size which are empty.
func (j *Job) best(slots int) float64 { return j.seconds(leastLinks(j.Ranks, slots)) }

func (j *Job) factor(links int) float64 {
	if j.Ranks < 2 {
		return 1
	}
	pairs := float64(j.Ranks) * float64(j.Ranks-1) / 2
	return 1 + float64(j.Penalty*(float64(links)/pairs)) // float64 around products: the same on processors that would add in one step
}

// linksOf counts the pairs of n ranks that are on different hosts, of which each has so many.
func linksOf(hosts []share, n int) int {
	links := 0
	for _, h := range hosts {
		links += h.ranks * (n - h.ranks)
	}
	return links / 2
}

// leastLinks is what n ranks have on empty hosts.
func leastLinks(n, slots int) int {
	full, rest := n/slots, n%slots
	return (full*slots*(n-slots) + rest*(n-rest)) / 2
}

// duration is seconds as the clock has them.
func duration(seconds float64) time.Duration {
	return time.Duration(math.Round(seconds * float64(time.Second)))
}
