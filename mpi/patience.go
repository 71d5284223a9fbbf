package mpi

import "time"

// How a blocked rank waits before it parks. Where each rank of its World has a processor it looks again and again, and lets others run in between, as long as that is
// of use: for some tens of microseconds; for some hundreds where others are elsewhere, so that a message of some length comes, and its answer, before it sleeps.
// Else it yields for a few microseconds.
const (
	looks        = 32 // in a row
	farLooks     = 32 // each a call of the kernel, or two
	politeLooks  = 16 // at the most, by one that is polite
	selfishLooks = 12 // before one gives its processor away in between, as long as nobody has wanted it lately
	mostRounds   = 24
	leastRounds  = 2
	yields       = 40
	soon         = 60 * time.Microsecond // about how long the most rounds are
	farSoon      = 700 * time.Microsecond
)

// A rank that looks shares its processor with whoever else the machine runs, and who looks much has to wait when he needs it; who sleeps gets it at once. So one
// that was kept from its processor while it looked, for longer than anything takes that a look does, is polite for a while: it looks little, and gives the processor
// away between looks.
const (
	keptAway    = 400 * time.Microsecond
	leastPolite = 20 * time.Millisecond
	mostPolite  = time.Second
)

// Who gives its processor away finds by the time that takes whether anybody wanted it: if so it looks elsewhere as one that is polite, for a while. Several ranks' hosts may share
// a machine, and what one waits for may need the very processor that it looks on. To give it away again and again instead of sleeping would be faster for
// them, but Linux (6.18) then lets the processes of other sessions and services wait for seconds, until leases run out. Where nobody wants it giving it away costs a tenth of a message.
const (
	wantedAway  = 3 * time.Microsecond
	oftenWanted = 4
	sharesFor   = 50 * time.Millisecond
)

// patience is how long a rank looks before it parks. Times are the World's clock.
type patience struct {
	rounds int           // by what was of use
	polite time.Duration // how long it was so last
	until  time.Duration // when that is over
	shares time.Duration // until when others want its processor
	wanted int           // how much more often others wanted it than not, lately
}

// gave notes how long it took until its processor, given away, was its own again, and reports whether others want it: it was wanted four times more than it was not, of late. When it was
// not wanted as often, that is over.
func (p *patience) gave(took, now time.Duration) bool {
	if took <= wantedAway {
		if p.wanted = max(p.wanted-1, 0); p.wanted == 0 {
			p.shares = 0
		}
		return false
	}
	if p.wanted = min(p.wanted+1, oftenWanted); p.wanted < oftenWanted {
		return false
	}
	p.shares = now + sharesFor
	return true
}

// isPolite reports whether it is polite now to all that may want its processor.
func (p *patience) isPolite(now time.Duration) bool { return now < p.until }

// far is how many looks elsewhere it may take now, and after how many of them in vain it gives its processor away between two.
func (p *patience) far(now time.Duration) (most, selfish int) {
	if p.isPolite(now) || now < p.shares {
		return politeLooks, 0
	}
	return p.at(now) * farLooks, selfishLooks
}

// at is how many rounds it may look now.
func (p *patience) at(now time.Duration) int {
	if p.isPolite(now) {
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
	if now > p.until+mostPolite {
		p.polite = 0
	}
	p.polite = min(max(2*p.polite, leastPolite), mostPolite)
	p.until = now + p.polite
	p.rounds = 0
}
