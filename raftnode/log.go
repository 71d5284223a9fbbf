package raftnode

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
)

const (
	// repeatEvery is how often the same line of the library is passed on: about a peer that is down it says several a second.
	repeatEvery = 30 * time.Second
	// maxRepeats bounds the memory of what was passed on.
	maxRepeats = 128
	// noPeers is what the library says of a server that has no log yet. That waits for others, and its process says for whom.
	noPeers = "no known peers, aborting election"
)

// newHCLog returns a logger for the Raft library that passes warnings and errors on to log. The library's informative lines
// are about itself; what operators need of them Node says in its own words.
func newHCLog(log *slog.Logger) hclog.Logger {
	l := hclog.NewInterceptLogger(&hclog.LoggerOptions{Level: hclog.Warn, Output: io.Discard})
	l.RegisterSink(&slogSink{log: log, now: time.Now, last: make(map[string]time.Time)})
	return l
}

// slogSink is an hclog.SinkAdapter.
type slogSink struct {
	log *slog.Logger
	now func() time.Time

	// mu guards last: when a line was passed on.
	mu   sync.Mutex
	last map[string]time.Time
}

// Accept takes a line of the library.
func (s *slogSink) Accept(name string, level hclog.Level, msg string, args ...any) {
	var to slog.Level
	switch level {
	case hclog.Error:
		to = slog.LevelError
	case hclog.Warn:
		to = slog.LevelWarn
	default:
		return
	}
	if msg == noPeers {
		return
	}
	if s.repeated(msg, args) || closedHere(args) {
		to = slog.LevelDebug
	}
	s.log.Log(context.Background(), to, msg, append([]any{"library", "raft", "logger", name}, args...)...) //nolint:sloglint // the library words its own messages
}

// closedHere reports whether the line is about a connection or listener that this process closed, as it does when it stops.
func closedHere(args []any) bool {
	for _, a := range args {
		if err, ok := a.(error); ok && errors.Is(err, net.ErrClosed) {
			return true
		}
	}
	return false
}

// repeated reports whether the line was passed on within repeatEvery. Lines about two peers differ, those that differ in an
// error or a duration do not.
func (s *slogSink) repeated(msg string, args []any) bool {
	for i := 0; i+1 < len(args); i += 2 {
		if args[i] == "peer" || args[i] == "target" || args[i] == "server-id" {
			msg += fmt.Sprint(" ", args[i+1])
		}
	}
	now := s.now()
	s.mu.Lock()
	defer s.mu.Unlock()
	if at, ok := s.last[msg]; ok && now.Sub(at) < repeatEvery {
		return true
	}
	if len(s.last) >= maxRepeats {
		clear(s.last)
	}
	s.last[msg] = now
	return false
}
