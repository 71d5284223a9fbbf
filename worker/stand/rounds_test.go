package stand

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestRounds: a rank is ready when little is left, when it becomes no less, and at the latest after some rounds, or some time; and it stays so.
func TestRounds(t *testing.T) {
	const mib = 1 << 20
	for _, tt := range []struct {
		name  string
		bytes []int64
		since time.Duration
		ready bool
		news  bool
	}{
		{"one round", []int64{64 * mib}, 0, false, true},
		{"little", []int64{2 * mib}, 0, true, true},
		{"less each time", []int64{64 * mib, 32 * mib, 16 * mib}, 0, false, false},
		{"no less", []int64{64 * mib, 52 * mib}, 0, true, true},
		{"it stays ready", []int64{64 * mib, 52 * mib, 8 * mib}, 0, true, false},
		{"little at last", []int64{64 * mib, 32 * mib, mib}, 0, true, true},
		{"for long", []int64{64 * mib, 32 * mib}, time.Minute + 1, true, false}, // since the first
		{"many", []int64{16 << 30, 12 << 30, 9 << 30, 7 << 30, 5 << 30, 3 << 30, 2 << 30, 1 << 30, 700 * mib, 500 * mib, 300 * mib, 200 * mib, 100 * mib, 50 * mib, 25 * mib, 12 * mib}, 0, true, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r, news := Rounds{}, false
			for _, n := range tt.bytes {
				news = r.Went(n, tt.since)
			}
			require.Equal(t, tt.ready, r.Ready)
			require.Equal(t, tt.news, news)
			require.EqualValues(t, len(tt.bytes), r.Gone)
			if !tt.ready {
				require.Zero(t, r.Pause(time.Second, false))
				return
			}
			require.Equal(t, 8*time.Second, r.Pause(time.Second, false))
			require.Equal(t, roundPause, r.Pause(time.Millisecond, false))
			require.Equal(t, time.Second, r.Pause(time.Second, true))
			require.Equal(t, stopRoundPause, r.Pause(time.Microsecond, true))
		})
	}
}

// What the search below has: attempts, and streams of each.
const (
	someAttempts = 3
	someStreams  = 2
	someTries    = 3
)

// stream is one of an attempt, as far as it has come.
type stream struct {
	is   streamIs
	sent bool // all of the memory's part
	read bool // by the target
}

type streamIs uint8

const (
	streamNone   streamIs = iota
	streamCalled          // its first words are on their way, however long
	streamTaken
	streamRefused
	streamThere // the target has the rank whole, and says so
	streamWhole // the same, at the end
	streamVain  // the target cannot make the rank, and says so
	streamOver  // it broke, or the target has ended it
)

type outcome uint8

const (
	outcomeNone outcome = iota
	outcomeWhole
	outcomeFailed
	outcomeUnwanted
	outcomeBeyond // what the search does not follow
)

// crossing is a rank that goes from a source to a target, as both stand and what is between them.
type crossing struct {
	streams [someAttempts][someStreams]stream

	attempts Attempts
	attempt  int
	at       int  // how many of its streams the source has; then it sends, and then the rest
	rest     bool // of this attempt is sent
	stands   bool
	tried    int // attempts that have begun, and ended since the rank stands still
	failed   bool
	came     outcome

	coming Coming
	memory [someAttempts][someStreams]bool // whose bytes are in the target's memory
	used   bool
	makes  bool // the rank is just being made whole
	twice  bool // of one guest, by two attempts
	staged bool
	gone   bool // it is not expected any more
}

func wordOf(attempt int) string { return string(rune('a' + attempt)) }

// ended is the source's attempt when it is over.
func (c crossing) ended(how End, begun bool) crossing {
	does := c.attempts.Ended(how, begun, c.stands)
	if c.stands && begun {
		c.tried++
	}
	c.at, c.rest = 0, false
	switch does {
	case FollowNothing:
		c.came = outcomeUnwanted
	case FollowFail:
		c.failed = true
	case FollowTell:
		c.came = outcomeFailed
		if how == EndWhole {
			c.came = outcomeWhole
		}
	case FollowAnew:
		c.attempts.Broke(0)
		if c.attempt++; c.attempt == someAttempts {
			c.attempt, c.came = 0, outcomeBeyond
		}
	}
	return c
}

// source is what the source may do next.
func (c crossing) source() (out []crossing) {
	if c.came != outcomeNone {
		return nil
	}
	if !c.stands {
		x := c
		x.stands = true
		if x.failed { // it hears of it now
			x.came = outcomeFailed
		}
		out = append(out, x)
	}
	out = append(out, c.ended(EndUnwanted, false))
	if c.failed {
		return out
	}
	mine := &c.streams[c.attempt]
	if c.at < someStreams {
		switch mine[c.at].is {
		case streamNone:
			x := c
			x.streams[c.attempt][c.at].is = streamCalled
			out = append(out, x, c.ended(EndBroken, false)) // or nobody is there
		case streamTaken:
			x := c
			x.at++
			out = append(out, x)
		case streamThere:
			out = append(out, c.ended(EndWhole, false))
		case streamCalled, streamRefused, streamOver: // it waits for no answer for ever: the words may come later
			out = append(out, c.ended(EndBroken, false))
		default:
		}
		return out
	}
	if mine[0].is == streamWhole {
		return append(out, c.ended(EndWhole, true))
	}
	if mine[0].is == streamVain {
		return append(out, c.ended(EndVain, true))
	}
	if mine[0].is == streamOver || mine[1].is == streamOver {
		return append(out, c.ended(EndBroken, true))
	}
	x := c
	switch {
	case !mine[0].sent:
		x.streams[c.attempt][0].sent, x.streams[c.attempt][1].sent = true, true
		out = append(out, c.ended(EndVain, true)) // the target says that it has no room
	case c.stands && mine[1].read: // it has heard so
		x.rest = true
	}
	return append(out, x)
}

// broken is when a stream breaks, and maybe in the midst of making the rank whole: then there is another guest in the place of that.
func (c crossing) broken(attempt, i int) crossing {
	c.streams[attempt][i].is = streamOver
	if i == 0 && c.makes {
		c.makes, c.used, c.memory, c.coming = false, false, [someAttempts][someStreams]bool{}, Coming{}
		for a := range c.streams {
			for s := range c.streams[a] {
				if c.streams[a][s].is == streamTaken {
					c.streams[a][s].is = streamOver
				}
			}
		}
	}
	return c
}

// hears is when the first words of a stream come.
func (c crossing) hears(attempt, i int) crossing {
	s := &c.streams[attempt][i]
	if c.staged {
		s.is = streamThere
		return c
	}
	switch c.coming.Take(wordOf(attempt), i) {
	case TakeNot:
		s.is = streamRefused
	case TakeNew:
		for a := range c.streams {
			for k := range c.streams[a] {
				if c.streams[a][k].is == streamTaken {
					c.streams[a][k].is = streamOver
				}
			}
		}
		if !c.coming.May(c.used) {
			s.is = streamRefused
			return c
		}
		c.memory = [someAttempts][someStreams]bool{}
		c.coming.Begin(wordOf(attempt))
		s.is = streamTaken
	case TakeMore:
		s.is = streamTaken
	}
	return c
}

// target is what the target, and the lines, may do next.
func (c crossing) target() (out []crossing) {
	for a := range c.streams {
		for i, s := range c.streams[a] {
			switch s.is {
			case streamCalled:
				if !c.makes { // it waits for that
					out = append(out, c.hears(a, i))
				}
				out = append(out, c.broken(a, i))
			case streamTaken:
				if s.sent && !s.read {
					x := c
					x.streams[a][i].read, x.memory[a][i] = true, true
					out = append(out, x)
				}
				out = append(out, c.broken(a, i))
			case streamThere, streamWhole, streamVain, streamRefused: // the word of that may be lost
				x := c
				x.streams[a][i].is = streamOver
				out = append(out, x)
			default:
			}
		}
	}
	first := &c.streams[c.attempt][0]
	if first.is == streamTaken && first.read && c.rest && !c.makes && !c.staged {
		x := c
		x.twice = c.used
		x.makes, x.used = true, true
		out = append(out, x)
	}
	if c.makes {
		x, y := c, c
		x.makes, x.staged = false, true
		x.streams[c.attempt][0].is = streamWhole
		y.makes = false // the image is none
		y.streams[c.attempt][0].is = streamVain
		out = append(out, x, y)
	}
	if !c.gone && !c.makes && !c.staged {
		x := c
		x.gone = true
		x.coming.End()
		for a := range x.streams {
			for i := range x.streams[a] {
				if x.streams[a][i].is == streamTaken {
					x.streams[a][i].is = streamOver
				}
			}
		}
		out = append(out, x)
	}
	return out
}

// TestEveryCrossing goes through all that a rank may meet between two hosts in a few attempts: streams that come late, twice as it were, or never, that break anywhere, words that are lost, a target that is gone, a rank that stops, or
// need not go any more, at any moment. No target makes a rank of the bytes of two attempts, or of some; a source says that the rank is there only if it is; and it always says something.
func TestEveryCrossing(t *testing.T) {
	seen := map[crossing]bool{}
	begin := crossing{attempts: NewAttempts(someTries)}
	todo := []crossing{begin}
	from := map[crossing][]crossing{}
	var ends []crossing
	outcomes := map[outcome]int{}
	for len(todo) > 0 {
		c := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if seen[c] {
			continue
		}
		seen[c] = true
		if c.makes || c.staged {
			whole := 0
			for a := range c.memory {
				require.Equal(t, c.memory[a][0], c.memory[a][1], "a rank is made of a part of what an attempt has sent: %+v", c)
				if c.memory[a][0] {
					whole++
				}
			}
			require.Equal(t, 1, whole, "a rank is made of the bytes of several attempts: %+v", c)
		}
		require.False(t, c.twice, "a guest is made of what two attempts have sent: %+v", c)
		takes := 0
		for _, s := range c.streams {
			if s[0].is == streamTaken || s[1].is == streamTaken {
				takes++
			}
		}
		require.LessOrEqual(t, takes, 1, "streams of several attempts are taken: %+v", c)
		require.True(t, c.came != outcomeWhole || c.staged, "the source says that the rank is there: %+v", c)
		require.False(t, c.gone && takes > 0, "a rank that is not expected any more takes streams: %+v", c)
		require.LessOrEqual(t, c.tried, (someTries+1)/2, "%+v", c)
		if c.came != outcomeNone {
			ends = append(ends, c)
			outcomes[c.came]++
		}
		for _, n := range append(c.source(), c.target()...) {
			if n != c {
				from[n] = append(from[n], c)
				todo = append(todo, n)
			}
		}
	}
	comes := map[crossing]bool{}
	for len(ends) > 0 {
		c := ends[len(ends)-1]
		ends = ends[:len(ends)-1]
		if !comes[c] {
			comes[c] = true
			ends = append(ends, from[c]...)
		}
	}
	require.Len(t, comes, len(seen), "from everywhere there is a way to an end")
	for _, o := range []outcome{outcomeWhole, outcomeFailed, outcomeUnwanted} {
		require.Positive(t, outcomes[o])
	}
	t.Logf("%d states", len(seen))
}
