package stand

import "time"

// The memory of a rank that is to go a way goes ahead while the rank runs: in rounds of what was written since the last, until little is left or it becomes no less. The rest goes when the rank stands still. What breaks is begun
// anew: an attempt.

const (
	// shortRound is how many bytes are little: a few milliseconds on a line of 10 Gbit/s.
	shortRound = 2 << 20
	// A round that is not below this part of the last one shows that they become no shorter; nor are there more than so many, or for longer.
	shrinking  = 0.8
	mostRounds = 16
	mostAhead  = time.Minute // from the end of the first
	// Between rounds of a rank that is ready is a pause of so many times the last round, and at least so long; once it is to stop they come sooner.
	roundsApart    = 8
	roundPause     = 50 * time.Millisecond
	stopRoundPause = 2 * time.Millisecond
	// MostTorn is after how many attempts that have sent something the next counts as progress only if it sends more than any before.
	MostTorn = 10
	// MostStreams is how many streams an attempt has at the most.
	MostStreams = 4
)

// Rounds is how far a rank that runs has gone ahead in one attempt.
type Rounds struct {
	Gone  int32 // rounds
	Ready bool  // little is left, or it becomes no less
	last  int64 // bytes of the last round
}

// Went notes a round of so many bytes of memory, which ended so long after the end of the first. It says whether that is news: the first round, or that the rank is ready.
func (r *Rounds) Went(bytes int64, since time.Duration) (news bool) {
	r.Gone++
	enough := bytes <= shortRound || r.last > 0 && float64(bytes) >= shrinking*float64(r.last) || r.Gone >= mostRounds || since > mostAhead
	news = r.Gone == 1 || enough && !r.Ready
	r.Ready, r.last = r.Ready || enough, bytes
	return news
}

// Pause is how long to wait before the next round, behind one that took so long; 0: no time. A rank that was asked to stop may do so any moment.
func (r *Rounds) Pause(took time.Duration, stops bool) time.Duration {
	switch {
	case !r.Ready:
		return 0
	case stops:
		return max(stopRoundPause, took)
	}
	return max(roundPause, roundsApart*took)
}

// Attempts is how often it was begun to send all of a rank.
type Attempts struct {
	most   int // of a rank that stands still
	still  int
	torn   int
	before int64 // bytes of those that have broken
}

// NewAttempts is of a rank that had better go on where it is when so many were made while it stood still. One that could begin is two: a target that only has to make another guest refuses the next for as long as that takes.
func NewAttempts(most int) Attempts { return Attempts{most: most} }

// End is how an attempt has ended.
type End uint8

// Ends of attempts.
const (
	EndWhole    End = iota // all of the rank is at its target
	EndBroken              // another one may do better
	EndVain                // no other would: the target refuses the rank, or what is wrong is wrong here
	EndUnwanted            // nobody wants the rank to go this way any more
)

// Following is what to do when an attempt has ended.
type Following uint8

// What to do when an attempt has ended.
const (
	FollowNothing Following = iota
	FollowTell              // tell the rank, which stands still, or will never have to, what has become of it
	FollowFail              // tell that the rank, which runs, cannot go this way; and tell the rank when it stands still
	FollowAnew              // begin anew
)

// Ended says what follows an attempt: whether it could begin to send, and whether the rank stands still by now.
func (a *Attempts) Ended(how End, begun, stands bool) Following {
	if stands {
		a.still++
		if begun {
			a.still++
		}
	}
	switch {
	case how == EndUnwanted:
		return FollowNothing
	case how == EndWhole:
		return FollowTell
	case how == EndBroken && a.still < a.most:
		return FollowAnew
	case stands:
		return FollowTell
	}
	return FollowFail
}

// Broke notes that an attempt has sent so many bytes in vain: all of them are sent again. The rank gets on all the same, a few times; what is sent again after that is no progress.
func (a *Attempts) Broke(sent int64) {
	if sent > 0 && a.torn < MostTorn {
		a.torn++
		a.before += sent
	}
}

// Gone is how many bytes have gone, of which this attempt has sent some.
func (a *Attempts) Gone(sent int64) int64 { return a.before + sent }

// Coming is how a rank's memory comes: by attempts, of which the newest counts. Each has a word of its own, and one stream or several, which come in order.
type Coming struct {
	Over    bool   // nothing more is taken
	word    string // of the attempt
	streams int    // of it, that have come
}

// Taking is what to do with a stream.
type Taking uint8

// What to do with a stream.
const (
	TakeNot  Taking = iota // refuse it
	TakeNew                // end all streams there are, and, where it May, make the memory empty and Begin
	TakeMore               // it is one more of the attempt
)

// Take says what to do with a stream of an attempt, the first of which has number 0.
func (c *Coming) Take(word string, stream int) Taking {
	switch {
	case c.Over:
		return TakeNot
	case stream == 0:
		c.word, c.streams = "", 0
		return TakeNew
	case word != c.word || stream != c.streams || stream >= MostStreams:
		return TakeNot
	}
	c.streams++
	return TakeMore
}

// May says whether an attempt may begin, when the streams of the one before have ended: where that has made some of the rank, by more than its memory, no other has it.
func (c *Coming) May(used bool) bool { return !c.Over && !used }

// Begin begins an attempt, of which the first stream has come.
func (c *Coming) Begin(word string) { c.word, c.streams = word, 1 }

// End takes nothing more.
func (c *Coming) End() { c.Over, c.word, c.streams = true, "", 0 }
