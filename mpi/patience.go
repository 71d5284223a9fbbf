package mpi

import "time"

// How a blocked rank waits before it parks. Where each rank of its World has a processor it looks again and again, and lets others run in between, as long as that is
// of use: for some tens of microseconds; for some hundreds where others are elsewhere, so that a message of some length comes, and its answer, before it sleeps.
// Else it yields for a few microseconds.
const (
	looks       = 32 // in a row
	farLooks    = 32 // each a call of the kernel
	mostRounds  = 24
	leastRounds = 2
	yields      = 40
	soon        = 60 * time.Microsecond // about how long the most rounds are
	farSoon     = 300 * time.Microsecond
)

// A rank that looks shares its processor with whoever else the machine runs, and who looks much has to wait when he needs it; who sleeps gets it at once. So one
// that was kept from its processor while it looked, for longer than anything takes that a look does, looks little for a while.
const (
	keptAway  = 400 * time.Microsecond
	leastCalm = 20 * time.Millisecond
	mostCalm  = time.Second
)

// patience is how long a rank looks before it parks. Times are the World's clock.
type patience struct {
	rounds int           // by what was of use
	calm   time.Duration // how long it last looked little
	until  time.Duration // when that is over
}

// calms reports whether it looks little now.
func (p *patience) calms(now time.Duration) bool { return now < p.until }

// at is how many rounds it may look now.
func (p *patience) at(now time.Duration) int {
	if p.calms(now) {
		return leastRounds
	}
	return max(p.rounds, leastRounds)
}

// ended notes how a wait has ended that took so long: while it looked, or after. soon is about how long it can look.
func (p *patience) ended(looked bool, took, soon time.Duration) {
	switch {
	case looked:
		p.rounds = min(2*p.rounds+1, mostRounds)
	case took < soon: // to look for longer would have been of use
		p.rounds = min(p.rounds+1, mostRounds)
	default:
		p.rounds /= 2
	}
}

// lost notes that the processor was another's meanwhile.
func (p *patience) lost(now time.Duration) {
	if now > p.until+mostCalm {
		p.calm = 0
	}
	p.calm = min(max(2*p.calm, leastCalm), mostCalm)
	p.until = now + p.calm
	p.rounds = 0
}
