package text

import (
	"cmp"
	"context"
	"log/slog"
	"strings"
	"sync"
	"time"
)

// maxKinds is how many kinds of lines are told apart within a window; all others are one more.
const maxKinds = 32

// OtherKinds is the kind of the lines that are of one kind too many.
const OtherKinds = "others"

// Flood bounds the lines of a log that others can cause, as often as they like: so many of a kind pass in a window of time, and those that are
// left out are counted. Any goroutines may use it.
type Flood struct {
	For  time.Duration // a window
	Most int           // lines of a kind within it

	mu    sync.Mutex
	until time.Time      // when the window ends
	lines map[string]int // of each kind, in the window
}

// Verdict is what is to be done about a line.
type Verdict struct {
	Pass bool   // it is to be logged
	Last bool   // and is the last of its kind for now: whoever reads the log is to be told
	Left []Left // what was left out before, to be told now
}

// Left is how many lines of a kind were left out in a window.
type Left struct {
	Kind  string
	Lines int
}

// Line says what is to be done about a line of a kind. With kind empty there is none, and it says only what was left out.
func (f *Flood) Line(kind string, now time.Time) (v Verdict) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !now.Before(f.until) {
		for kind, n := range f.lines {
			if n > f.Most {
				v.Left = append(v.Left, Left{kind, n - f.Most})
			}
		}
		f.lines = nil
	}
	if kind == "" {
		return v
	}
	if f.lines == nil {
		f.lines, f.until = map[string]int{}, now.Add(f.For)
	}
	if _, known := f.lines[kind]; !known && len(f.lines) >= maxKinds {
		kind = OtherKinds
	}
	f.lines[kind]++
	v.Pass, v.Last = f.lines[kind] <= f.Most, f.lines[kind] == f.Most
	return v
}

// Log passes a library's line on, unless too many of its kind were: these are counted, and the count is logged with the first line after the
// window. Lines for debugging are not counted, and pass.
func (f *Flood) Log(to *slog.Logger, level slog.Level, library, said string, now time.Time) {
	kind := ""
	if level > slog.LevelDebug {
		kind = cmp.Or(Kind(said), "nothing said")
	}
	v := f.Line(kind, now)
	for _, left := range v.Left {
		to.Warn("lines of a library were left out", "kind", left.Kind, "lines", left.Lines, "within", f.For, "library", library)
	}
	attrs := []any{"library", library}
	switch {
	case kind != "" && !v.Pass:
		return
	case v.Last:
		attrs = append(attrs, "more", "left out and counted for up to "+f.For.String())
	}
	to.Log(context.Background(), level, said, attrs...) //nolint:sloglint // the library words its own messages
}

// Kind is what a library's line has in common with others of its kind: its first three words, numbers being alike.
func Kind(line string) string {
	const most = 64
	words := strings.Fields(line[:min(len(line), 4*most)])
	words = words[:min(len(words), 3)]
	for i, word := range words {
		if strings.ContainsAny(word, "0123456789") {
			words[i] = "#"
		}
	}
	return Clean(strings.Join(words, " "), most)
}
