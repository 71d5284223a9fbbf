package gossip

import (
	"bytes"
	"log"
	"log/slog"
	"net"
	"time"

	"github.com/godwit-run/godwit/internal/text"
)

// Strangers can cause a line with each packet: so many of a kind are passed on within floodFor.
const (
	floodFor  = time.Minute
	floodMost = 10
)

// newLogger returns a logger for memberlist that passes its lines on to to: warnings and errors as such, the rest as debug. Of warnings and errors
// of one kind only so many are; the rest is counted, and the count is logged with the first line after that.
// Once stopping is closed, that a connection was closed is no error any more: it was closed here.
func newLogger(to *slog.Logger, stopping <-chan struct{}) *log.Logger {
	return log.New(lineWriter{to, stopping, &text.Flood{For: floodFor, Most: floodMost}, time.Now}, "", 0)
}

type lineWriter struct {
	log      *slog.Logger
	stopping <-chan struct{}
	flood    *text.Flood
	now      func() time.Time
}

// Write takes one line, "[WARN] memberlist: text".
func (w lineWriter) Write(line []byte) (int, error) {
	level := slog.LevelDebug
	said := bytes.TrimSpace(line)
	if tag, rest, ok := bytes.Cut(said, []byte("] ")); ok {
		switch string(tag) {
		case "[WARN":
			level = slog.LevelWarn
		case "[ERR", "[ERROR":
			level = slog.LevelError
		}
		said = rest
	}
	if bytes.Contains(said, []byte(foreignText)) {
		level = slog.LevelDebug // said once, in our own words, where it was found.
	}
	if level > slog.LevelDebug && bytes.Contains(said, []byte(net.ErrClosed.Error())) { // memberlist gives the text alone.
		select {
		case <-w.stopping:
			level = slog.LevelDebug
		default:
		}
	}
	w.flood.Log(w.log, level, "memberlist", string(bytes.TrimPrefix(said, []byte("memberlist: "))), w.now())
	return len(line), nil
}
