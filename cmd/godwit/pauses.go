package main

import (
	"cmp"
	"maps"
	"os"
	"slices"

	"golang.org/x/sys/unix"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

// lane is one stream of a rank.
type lane struct{ rank, stream int32 }

// maxHeld bounds what is held back of all unfinished lines together, in bytes.
const maxHeld = 16 << 20

// pauses shows lines so that none is in the midst of another one, up to maxHeld, though a program may pause in the midst of its line. On a terminal what there is
// of it is shown at once, and another rank's line begins a new one; elsewhere, in a file or a pipe, it is held back until it goes on.
type pauses struct {
	next   func(*apiv1.LogLine) error
	atOnce func(stream int32) bool // whether a stream is a terminal; nil: none is
	held   map[lane]*apiv1.LogLine
	bytes  int   // of what is held
	at     *lane // whose unfinished line the terminal's cursor is in; nil: nobody's
}

func newPauses(atOnce func(stream int32) bool, next func(*apiv1.LogLine) error) *pauses {
	return &pauses{next: next, atOnce: atOnce, held: map[lane]*apiv1.LogLine{}}
}

// line shows a line, or a part of it.
func (p *pauses) line(l *apiv1.LogLine) error {
	if p.atOnce != nil && p.atOnce(l.Stream) {
		return p.onTerminal(l)
	}
	k := lane{l.Rank, l.Stream}
	if h := p.held[k]; h != nil {
		delete(p.held, k)
		p.bytes -= len(h.Text)
		if l.Lost > 0 {
			if err := p.next(h); err != nil {
				return err
			}
		} else {
			l.Text = append(h.Text, l.Text...)
		}
	}
	if l.Paused && p.bytes+len(l.Text) <= maxHeld {
		p.held[k] = l
		p.bytes += len(l.Text)
		return nil
	}
	return p.next(l)
}

func (p *pauses) onTerminal(l *apiv1.LogLine) error {
	k := lane{l.Rank, l.Stream}
	if p.at != nil && *p.at != k {
		if err := p.next(&apiv1.LogLine{Rank: p.at.rank, Stream: p.at.stream}); err != nil {
			return err
		}
	}
	if p.at = nil; l.Partial {
		p.at = &k
	}
	return p.next(l)
}

// rest shows what is held back: nothing comes any more.
func (p *pauses) rest() error {
	byLane := func(a, b lane) int { return cmp.Or(cmp.Compare(a.rank, b.rank), cmp.Compare(a.stream, b.stream)) }
	for _, k := range slices.SortedFunc(maps.Keys(p.held), byLane) {
		if err := p.next(p.held[k]); err != nil {
			return err
		}
	}
	p.held, p.bytes = map[lane]*apiv1.LogLine{}, 0
	return nil
}

// onScreen says which streams' lines are seen on a terminal as the program has written them.
func (t lineTags) onScreen() func(stream int32) bool {
	if t.style != tagNone || t.pattern != "" || t.timestamp {
		return func(int32) bool { return false }
	}
	out, err := isScreen(os.Stdout), isScreen(os.Stderr)
	return func(stream int32) bool {
		if stream == stderrStream && !t.merge {
			return err
		}
		return out
	}
}

// isScreen says whether a file is a terminal.
func isScreen(f *os.File) bool {
	c, err := f.SyscallConn()
	if err != nil {
		return false
	}
	is := false
	err = c.Control(func(fd uintptr) {
		_, err := unix.IoctlGetTermios(int(fd), unix.TCGETS)
		is = err == nil
	})
	return is && err == nil
}
