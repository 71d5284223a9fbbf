package raftnode

import (
	"context"
	"io"
	"log/slog"

	"github.com/hashicorp/go-hclog"
)

// newHCLog returns a logger for the Raft library that passes warnings and errors on to log. The library's informative lines
// are about itself; what operators need of them Node says in its own words.
func newHCLog(log *slog.Logger) hclog.Logger {
	l := hclog.NewInterceptLogger(&hclog.LoggerOptions{Level: hclog.Warn, Output: io.Discard})
	l.RegisterSink(slogSink{log})
	return l
}

// slogSink is an hclog.SinkAdapter.
type slogSink struct{ log *slog.Logger }

func (s slogSink) Accept(name string, level hclog.Level, msg string, args ...any) {
	var to slog.Level
	switch {
	case level >= hclog.Error && level != hclog.Off:
		to = slog.LevelError
	case level == hclog.Warn:
		to = slog.LevelWarn
	default:
		return
	}
	s.log.Log(context.Background(), to, msg, append([]any{"library", "raft", "logger", name}, args...)...)
}
