package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

// tagStyle is what goes in front of each line.
type tagStyle uint8

const (
	tagNone   tagStyle = iota
	tagRank            // [3], MPICH's
	tagOutput          // [1,3]<stdout>:, Open MPI's
)

// stderrStream is the stream of a line that was written to standard error.
const stderrStream = 2

// lineTags say how lines are shown. A tagged line always ends in a newline, and is written at once: no other line
// is ever in it.
type lineTags struct {
	style     tagStyle
	pattern   string // MPICH's: %r rank, %h host, %g and %p 0; empty: by the style
	timestamp bool
	merge     bool // all to standard output

	hostOf func(rank int32) string // for %h; nil: it stays empty
}

// lineWriter prints lines as the program wrote them, with the rank before each if label is set.
func lineWriter(stdout, stderr io.Writer, label bool) func(*apiv1.LogLine) error {
	return labels(label).writer(stdout, stderr)
}

// labels are tags of the rank alone, or none.
func labels(label bool) lineTags {
	if label {
		return lineTags{style: tagRank}
	}
	return lineTags{}
}

func (t lineTags) writer(stdout, stderr io.Writer) func(*apiv1.LogLine) error {
	return func(l *apiv1.LogLine) error {
		w := stdout
		if l.Stream == stderrStream && !t.merge {
			w = stderr
		}
		tag := t.tag(l)
		line := append([]byte(tag), l.Text...)
		if !l.Partial || tag != "" {
			line = append(line, '\n')
		}
		_, err := w.Write(line)
		return err
	}
}

func (t lineTags) tag(l *apiv1.LogLine) string {
	var b strings.Builder
	if t.timestamp {
		b.WriteString(time.UnixMilli(l.AtMs).Format(time.ANSIC))
	}
	switch {
	case t.pattern != "":
		b.WriteString(expandPattern(t.pattern, l.Rank, t.hostOf))
	case t.style == tagRank:
		if t.timestamp {
			b.WriteByte(' ')
		}
		fmt.Fprintf(&b, "[%d] ", l.Rank)
	case t.style == tagOutput:
		fmt.Fprintf(&b, "[1,%d]<%s>:", l.Rank, streamName(l.Stream))
	case t.timestamp:
		fmt.Fprintf(&b, "<%s>:", streamName(l.Stream))
	}
	return b.String()
}

func streamName(stream int32) string {
	if stream == stderrStream {
		return "stderr"
	}
	return "stdout"
}

// expandPattern fills in one of MPICH's patterns.
func expandPattern(pattern string, rank int32, hostOf func(int32) string) string {
	host := ""
	if hostOf != nil && strings.Contains(pattern, "%h") {
		host = hostOf(rank)
	}
	return strings.NewReplacer("%%", "%", "%r", strconv.Itoa(int(rank)), "%h", host, "%g", "0", "%p", "0").Replace(pattern)
}

// lineFiles say which files lines go to, beside or instead of the terminal.
type lineFiles struct {
	dir            string // Open MPI's --output-filename: dir/1/rank.N/stdout
	only           bool   // not to the terminal as well
	stdout, stderr string // MPICH's patterns; lines that have one do not go to the terminal

	ranks  int // of the app: how wide a rank is written
	hostOf func(rank int32) string
	merge  bool

	mu     sync.Mutex // guards what is below: a run may end in a write to the terminal that nobody reads
	open   map[string]*os.File
	closed bool
}

// any says whether lines go to files at all.
func (f *lineFiles) any() bool { return f.dir != "" || f.stdout != "" || f.stderr != "" }

// writer writes to the files, and what else is to be seen to next. close must follow.
func (f *lineFiles) writer(next func(*apiv1.LogLine) error) func(*apiv1.LogLine) error {
	return func(l *apiv1.LogLine) error {
		stream := l.Stream
		if f.merge {
			stream = 0
		}
		pattern := f.stdout
		if stream == stderrStream {
			pattern = f.stderr
		}
		shown := !f.only
		if pattern != "" {
			shown = false
			if err := f.write(expandPattern(pattern, l.Rank, f.hostOf), l); err != nil {
				return err
			}
		}
		if f.dir != "" {
			width := len(strconv.Itoa(max(0, f.ranks-1)))
			path := filepath.Join(f.dir, "1", fmt.Sprintf("rank.%0*d", width, l.Rank), streamName(stream))
			if err := f.write(path, l); err != nil {
				return err
			}
		}
		if !shown {
			return nil
		}
		return next(l)
	}
}

// write appends a line to a file that this run has made anew.
func (f *lineFiles) write(path string, l *apiv1.LogLine) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return nil
	}
	file := f.open[path]
	if file == nil {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		var err error
		if file, err = os.Create(path); err != nil {
			return err
		}
		if f.open == nil {
			f.open = map[string]*os.File{}
		}
		f.open[path] = file
	}
	text := append([]byte(nil), l.Text...)
	if !l.Partial {
		text = append(text, '\n')
	}
	_, err := file.Write(text)
	return err
}

func (f *lineFiles) close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	var first error
	for _, file := range f.open {
		if err := file.Close(); err != nil && first == nil {
			first = err
		}
	}
	f.open, f.closed = nil, true
	return first
}
