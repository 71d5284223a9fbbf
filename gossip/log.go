package gossip

import (
	"bytes"
	"context"
	"log"
	"log/slog"
	"net"
)

// newLogger returns a logger for memberlist that passes its lines on to to: warnings and errors as such, the rest as debug.
// Once stopping is closed, that a connection was closed is no error any more: it was closed here.
func newLogger(to *slog.Logger, stopping <-chan struct{}) *log.Logger {
	return log.New(lineWriter{to, stopping}, "", 0)
}

type lineWriter struct {
	log      *slog.Logger
	stopping <-chan struct{}
}

// Write takes one line, "[WARN] memberlist: text".
func (w lineWriter) Write(line []byte) (int, error) {
	level := slog.LevelDebug
	text := bytes.TrimSpace(line)
	if tag, rest, ok := bytes.Cut(text, []byte("] ")); ok {
		switch string(tag) {
		case "[WARN":
			level = slog.LevelWarn
		case "[ERR", "[ERROR":
			level = slog.LevelError
		}
		text = rest
	}
	if bytes.Contains(text, []byte(foreignText)) {
		level = slog.LevelDebug // said once, in our own words, where it was found.
	}
	if level > slog.LevelDebug && bytes.Contains(text, []byte(net.ErrClosed.Error())) { // memberlist gives the text alone.
		select {
		case <-w.stopping:
			level = slog.LevelDebug
		default:
		}
	}
	w.log.Log(context.Background(), level, string(bytes.TrimPrefix(text, []byte("memberlist: "))), "library", "memberlist") //nolint:sloglint // the library words its own messages
	return len(line), nil
}
