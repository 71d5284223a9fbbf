package text

import "time"

// maxLately is of how many texts it is known when they were said.
const maxLately = 8

// Lately tells news from what was said already, for whoever tries something again and again and would log the same few reasons by turns.
// A text is news once in For, and no more than maxLately of them are within For, whatever they are: the rest is not said. It is for one
// goroutine.
type Lately struct {
	For  time.Duration
	said []saidText // the oldest first
}

type saidText struct {
	text string
	at   time.Time
}

// News says whether the text is to be said now, and remembers it if so.
func (l *Lately) News(text string, now time.Time) bool {
	for len(l.said) > 0 && now.Sub(l.said[0].at) > l.For {
		l.said = l.said[1:]
	}
	if len(l.said) >= maxLately {
		return false
	}
	for _, s := range l.said {
		if s.text == text {
			return false
		}
	}
	l.said = append(l.said, saidText{text, now})
	return true
}
