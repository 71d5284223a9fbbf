package raftnode

import (
	"bytes"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/stretchr/testify/require"
)

func TestLibraryLinesAreThinnedOut(t *testing.T) {
	var out bytes.Buffer
	now := time.Unix(0, 0)
	s := &slogSink{
		log: slog.New(slog.NewTextHandler(&out, nil)), now: func() time.Time { return now }, last: map[string]time.Time{},
	}
	say := func(level hclog.Level, msg string, args ...any) string {
		out.Reset()
		s.Accept("raft", level, msg, args...)
		return out.String()
	}
	require.Empty(t, say(hclog.Info, "entering leader state"))
	require.Contains(t, say(hclog.Error, "failed to heartbeat to", "peer", "a", "error", "x"), "level=ERROR")
	require.Empty(t, say(hclog.Error, "failed to heartbeat to", "peer", "a", "error", "y"))
	require.Contains(t, say(hclog.Warn, "failed to heartbeat to", "peer", "b"), "level=WARN")
	require.Empty(t, say(hclog.Error, "failed to accept connection", "error", &net.OpError{Op: "accept", Err: net.ErrClosed}), "a stop is no error")
	require.Empty(t, say(hclog.Warn, "no known peers, aborting election"), "it waits for others")
	now = now.Add(repeatEvery)
	require.Contains(t, say(hclog.Error, "failed to heartbeat to", "peer", "a"), "library=raft")
	for i := range 2 * maxRepeats {
		say(hclog.Warn, strings.Repeat("x", i+1))
	}
	require.LessOrEqual(t, len(s.last), maxRepeats)
}
